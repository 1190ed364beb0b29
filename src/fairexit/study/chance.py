"""The gaps of each row beside what chance alone gives."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fairexit.metrics.rates import Values
from fairexit.metrics.record import main_gaps
from fairexit.stats.permutation import permute
from fairexit.study.collect import POLICY, Pooled

CHANCE_DRAWS = 300


@dataclass(frozen=True)
class Chance:
    """A row's gap and its distribution under permuted groups; means over seeds.

    Attributes:
        row: the row.
        metric: name of the gap.
        value: the measured gap.
        null_mean, null_quantile: mean and 95 % quantile of the gap under permuted groups.
    """

    row: str
    metric: str
    value: float
    null_mean: float
    null_quantile: float


def chance(pooled: Sequence[Pooled]) -> list[Chance]:
    """The main gaps of each row, and what they are when groups are permuted."""
    gaps: dict[tuple[str, str], list[Values]] = {}
    for cell in pooled:
        sample = cell.sample.with_answers(cell.answers(POLICY)[None])
        null = permute(sample, metrics=main_gaps(), n_resamples=CHANCE_DRAWS)
        for gap in main_gaps():
            values = [null.point[gap], null.null_mean(gap), null.null_quantile(gap)]
            gaps.setdefault((cell.row, gap), []).append(np.ravel(values))
    return [Chance(row, gap, *np.mean(v, axis=0).tolist()) for (row, gap), v in gaps.items()]
