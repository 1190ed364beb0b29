"""The word on whether a row of a study repairs a planted cause of unfairness.

The rule was written down before any run was judged by it; docs/results/causes.md describes it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fairexit.stats.multiple import holm
from fairexit.stats.seeds import LEVEL
from fairexit.study.claims import MARGINS

PRIMARY = "eopp1_weighted"
"""The gap that decides: Eopp1 as a mean over classes is mostly noise of the rarest ones."""
MEASURES = ("accuracy", "f1", PRIMARY, "eopp1", "eodd_weighted", "eodd")
DECIDED = 3.0
"""A gap is decided if it is this many times the distance to the lower end of its interval."""
NEGLIGIBLE = 0.25
"""A reduction by less than this share of the baseline's gap is no repair."""

Word = Literal["repairs", "does not", "harms", "not decided"]


@dataclass(frozen=True)
class Baseline:
    """Plain training, with which rows are compared, and its primary gap.

    Attributes:
        row: the row's name.
        seeds: number of its seeds.
        gap, low, high: mean over its seeds, with the interval over images and seeds.
    """

    row: str
    seeds: int
    gap: float
    low: float
    high: float

    @property
    def decided(self) -> bool:
        """Whether there is a gap that could be repaired; never with one seed."""
        is_clear = self.low > 0 and self.gap >= DECIDED * (self.gap - self.low)
        return self.seeds > 1 and is_clear


@dataclass(frozen=True)
class Change:
    """A measure of a row, and its change against the baseline.

    Attributes:
        value: the row's mean over the seeds that both have.
        change, low, high: row minus baseline, with its 95 % interval over images and seeds.
    """

    value: float
    change: float
    low: float
    high: float


@dataclass(frozen=True)
class Repair:
    """A row, or one of its exits, against its baseline.

    Attributes:
        row: the row's name.
        exit: "policy", or the name of the exit at which all images leave.
        baseline: plain training with the same exits; for plain training with exits, that without.
        seeds: number of seeds that both have.
        mark: whether a network collapsed, and parts of the method without effect; or "".
        changes: measure -> its change.
        p_value: of the change of the primary gap, corrected by Holm's method; NaN with one seed.
        probes: how well the attribute is read from the first and the last exit that can answer.
        decides: whether the row can decide anything: its method had an effect, and no network
            collapsed.
        word: whether the row repairs the cause.
    """

    row: str
    exit: str
    baseline: Baseline
    seeds: int
    mark: str
    changes: dict[str, Change]
    p_value: float
    probes: tuple[float, float]
    decides: bool
    word: Word = "not decided"

    @property
    def closed(self) -> float:
        """The share of the baseline's primary gap that is closed; negative where it grew."""
        gap = self.baseline.gap
        return -self.changes[PRIMARY].change / gap if gap else math.nan


def with_words(parts: Sequence[Repair]) -> list[Repair]:
    """One family of comparisons with p-values corrected together, and with their words."""
    p_values = holm(np.array([part.p_value for part in parts]))
    corrected = [replace(r, p_value=float(p)) for r, p in zip(parts, p_values, strict=True)]
    return [replace(repair, word=repair_word(repair)) for repair in corrected]


def repair_word(repair: Repair) -> Word:
    """The word on a row whose p-value has been corrected.

    "harms" and "repairs": the interval of the primary gap's change lies wholly above or below 0,
    also after Holm's correction, and the measured loss of F1 is within the margin where the gap
    shrinks. "does not": F1 is shown to be lost beyond the margin, or the interval leaves out that
    `NEGLIGIBLE` of the baseline's gap is closed. Else "not decided".
    """
    gap, f1 = repair.changes[PRIMARY], repair.changes["f1"]
    can_decide = repair.decides and repair.baseline.decided and repair.seeds > 1
    if not can_decide or math.isnan(gap.low) or math.isnan(gap.high):
        return "not decided"
    is_shown = repair.p_value <= 1 - LEVEL
    if is_shown and gap.low > 0:
        return "harms"
    if f1.high < -MARGINS["f1"]:
        return "does not"
    if is_shown and gap.high < 0:
        return "repairs" if f1.change >= -MARGINS["f1"] else "not decided"
    return "does not" if gap.low > -NEGLIGIBLE * repair.baseline.gap else "not decided"
