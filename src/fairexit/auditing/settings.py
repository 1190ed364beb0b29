"""Settings of an audit: numbers of draws, levels, and the verdict on a test."""

import math
from dataclasses import dataclass, replace

from fairexit.auditing.gap_results import COULD_BE_CHANCE, MORE_THAN_CHANCE, NOT_TESTED
from fairexit.errors import UserError
from fairexit.stats.bootstrap import IntervalMethod

MIN_CLUSTERS = 10
"""Clusters that each side of a comparison needs; with fewer it has too few samples."""

MAX_RATES = 2**23
"""Rates of all groups, classes and resamples up to which all resamples are drawn."""

MIN_RESAMPLES = 1_000
"""Resamples and permutations that are drawn whatever the number of rates."""


@dataclass(frozen=True)
class AuditSettings:
    """Settings of an audit.

    Attributes:
        n_resamples: bootstrap draws of the metrics of counts.
        n_score_resamples: bootstrap draws of AUROC and calibration error.
        n_permutations: permutations of each test.
        n_gap_resamples: draws from each population by which the interval of a gap is computed.
        random_state: seed of all draws and permutations.
        confidence_level: of the intervals.
        alpha: largest p-value that counts as more than chance.
        method: of the intervals, bca or percentile.
        specificity: specificity at which sensitivity is measured.
    Raises:
        UserError: a level is not between 0 and 1.
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


def within_limits(settings: AuditSettings, rates: int) -> tuple[AuditSettings, tuple[str, ...]]:
    """Fewer resamples and permutations where each has very many rates, and a note that says so.

    Args:
        settings: the settings that were asked for.
        rates: groups times classes of the attribute with most groups.
    """
    most = max(MIN_RESAMPLES, MAX_RATES // rates // 1000 * 1000)
    asked = settings.n_resamples, settings.n_permutations
    if max(asked) <= most:
        return settings, ()
    note = (
        f"With {rates:,} combinations of group and class, {most:,} resamples and permutations were "
        f"drawn in place of {max(asked):,}, and intervals are hardly widened where few clusters "
        "stand behind a rate."
    )
    n_resamples, n_permutations = (min(number, most) for number in asked)
    return replace(settings, n_resamples=n_resamples, n_permutations=n_permutations), (note,)


def verdict_on(p_value: float, alpha: float) -> str:
    """The verdict on a gap by its p-value."""
    if math.isnan(p_value):
        return NOT_TESTED
    return MORE_THAN_CHANCE if p_value <= alpha else COULD_BE_CHANCE
