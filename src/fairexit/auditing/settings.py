"""How an audit draws, and when it calls something a difference."""

import math
from dataclasses import dataclass

from fairexit.auditing.results import COULD_BE_CHANCE, MORE_THAN_CHANCE, NOT_TESTED
from fairexit.errors import UserError
from fairexit.stats.bootstrap import IntervalMethod

MIN_CLUSTERS = 10
"""Clusters that a cell needs on each side of a comparison; with fewer it has too few samples."""


@dataclass(frozen=True)
class AuditSettings:
    """How an audit draws.

    Attributes:
        n_resamples: draws of the bootstrap of count metrics.
        n_score_resamples: draws of the bootstrap of AUROC and calibration error.
        n_permutations: permutations of each test.
        n_gap_resamples: draws from each population that the interval of a gap is read from.
        random_state: seed of all of them.
        confidence_level: of the intervals.
        alpha: largest p-value called a difference.
        method: of the intervals, bca or percentile.
        specificity: at which sensitivity is read.
    """

    n_resamples: int = 10_000
    n_score_resamples: int = 1_000
    n_permutations: int = 10_000
    n_gap_resamples: int = 1_000
    random_state: int = 0
    confidence_level: float = 0.95
    alpha: float = 0.05
    method: IntervalMethod = "bca"
    specificity: float = 0.9

    def __post_init__(self) -> None:
        for name in ("confidence_level", "alpha", "specificity"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise UserError(f"{name} is {value}; it must be between 0 and 1, such as 0.9")


def verdict_on(p_value: float, alpha: float) -> str:
    """The verdict that a p-value gives."""
    if math.isnan(p_value):
        return NOT_TESTED
    return MORE_THAN_CHANCE if p_value <= alpha else COULD_BE_CHANCE
