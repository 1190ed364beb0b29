"""Outcomes of comparisons and claims: measured differences, words, power."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from fairexit.stats.contrasts import POWER, Contrast
from fairexit.stats.intervals import Interval
from fairexit.stats.multiple import holm
from fairexit.stats.seeds import LEVEL
from fairexit.study.comparisons import Claim, Comparison
from fairexit.study.deciding import Decides, Design, decides
from fairexit.study.words import Direction, Verdict, direction_of


@dataclass(frozen=True)
class Outcome:
    """The measured difference of one comparison, with its interval and power.

    Attributes:
        comparison: what is claimed, over the pairs that were run.
        seeds: number of seeds that all sides have.
        a, b: means over these seeds; b is NaN where the comparison has no second side.
        difference, low, high: a - b with its interval over seeds and images; with one seed over
            images alone, so that it is valid for these networks only.
        level: confidence level of the interval.
        p_value: two-sided, of a - b at the margin; NaN with one seed. Of a secondary comparison it
            is corrected for all of its claim.
        smallest: the smallest true difference, from the margin on in the claimed direction, that
            this design shows in 80 of 100 studies.
        paper: the printed a - b; None where the paper prints none.
        power: the share of studies of this design that show the printed difference; None where
            nothing is printed, or it is within the margin or in the other direction.
        decides: what would show the printed difference; None likewise.
        independent: of the entanglement with a label, the change that independence of features and
            label would give; None for other metrics.
    """

    comparison: Comparison
    seeds: int
    a: float
    b: float
    difference: float
    low: float
    high: float
    level: float
    p_value: float
    smallest: float
    paper: float | None
    power: float | None
    decides: Decides | None
    independent: float | None = None

    @property
    def direction(self) -> Direction:
        """Where the interval lies; "open" with one seed, because the claims are about methods."""
        if self.seeds == 1:
            return "open"
        comparison = self.comparison
        return direction_of(self.low, self.high, sign=comparison.sign, margin=comparison.margin)

    @property
    def enough(self) -> bool | None:
        """Whether this design shows the printed difference in 80 of 100 studies."""
        return None if self.power is None else self.power >= POWER

    @property
    def leaves_out_paper(self) -> bool | None:
        """Whether the interval leaves out the printed difference; None where nothing is printed."""
        return None if self.paper is None else not self.low <= self.paper <= self.high


@dataclass(frozen=True)
class ClaimOutcome:
    """The verdict on one claim.

    Attributes:
        claim: the claim.
        verdict: the word on it.
        outcomes: of the secondary comparisons; None for a comparison that was not run.
        primary: of each form of the primary comparison.
        condition: of the condition; None if the claim has none, or it was not run.
    """

    claim: Claim
    verdict: Verdict
    outcomes: tuple[Outcome | None, ...]
    primary: tuple[Outcome | None, ...] = ()
    condition: Outcome | None = None

    @property
    def forms(self) -> list[str]:
        """Metrics of the primary comparisons and the condition on which the word rests."""
        if self.verdict == "holds":
            return [o.comparison.metric for o in self.primary if o and o.direction == "for"]
        if self.verdict == "contradicted":
            parts = (*self.primary, self.condition)
            return [o.comparison.metric for o in parts if o and o.direction == "against"]
        return []


def outcome_of(
    comparison: Comparison,
    contrast: Contrast,
    *,
    level: float = LEVEL,
    means: tuple[float, float] = (math.nan, math.nan),
    printed: float | None,
    design: Design,
    limit: float = 1.0,
) -> Outcome:
    """The outcome of a comparison.

    Args:
        comparison: what is claimed.
        contrast: a - b.
        level: confidence level of the interval, on which the power rests too.
        means: a and b.
        printed: the paper's a - b.
        design: the study's data.
        limit: the largest possible difference.
    """
    sign, seeds = comparison.sign, contrast.variance.number
    low, high = clipped_ends(contrast.interval(level), limit)
    power, way = None, None
    effect = math.nan if printed is None else sign * printed + comparison.margin
    if effect > 0:
        power = contrast.power(effect, sign, confidence_level=level)
        needed = contrast.needed(effect, sign, confidence_level=level)
        way = decides(needed, design, seeds=seeds, rows=len(comparison.rows))
    return Outcome(
        comparison,
        seeds,
        *means,
        float(contrast.point),
        low,
        high,
        level,
        math.nan if seeds == 1 else contrast.p_value(-sign * comparison.margin),
        contrast.smallest(sign, confidence_level=level),
        printed,
        power,
        way,
    )


def corrected(outcomes: Iterable[Outcome | None]) -> tuple[Outcome | None, ...]:
    """The outcomes with p-values that are corrected together, by Holm's method."""
    parts = tuple(outcomes)
    p_values = holm(np.array([o.p_value if o else math.nan for o in parts]))
    return tuple(o and replace(o, p_value=float(p)) for o, p in zip(parts, p_values, strict=True))


def clipped_ends(interval: Interval, limit: float = 1.0) -> tuple[float, float]:
    """The ends of an interval, limited to [-limit, limit].

    A difference of two metrics lies in [-1, 1]; Student's t with few seeds exceeds it.
    """
    return max(float(interval.low), -limit), min(float(interval.high), limit)
