"""Outcomes of comparisons and claims, and what a study would need to decide them."""

import math
from dataclasses import dataclass

from scipy.special import ndtri

from fairexit.stats.intervals import Interval
from fairexit.stats.seeds import LEVEL, POWER, seeds_needed
from fairexit.study.claims import Bounds, Claim, Comparison, Verdict, verdict_of

POWERED = float(ndtri((1 + LEVEL) / 2) + ndtri(POWER))
"""A true difference of this many standard errors is detected in 80 of 100 studies: 2.8."""


@dataclass(frozen=True)
class Outcome:
    """The measured difference of one comparison, with its interval and power.

    Attributes:
        comparison: what is claimed.
        seeds: number of seeds that both sides have.
        a, b: means over these seeds; b is NaN where the comparison has no second side.
        difference, low, high: a - b with its 95 % interval over seeds and clusters; with one seed
            over clusters alone, so that it is valid for these networks only.
        bounds: the interval in the claimed direction.
        paper: the printed a - b; None where the paper prints none.
        smallest: the smallest true difference that this design detects in 80 of 100 studies.
        needed: number of seeds of each row (None where one seed was run, whose spread is unknown)
            and of test images that would detect the printed difference in 80 of 100 studies; None
            where nothing is printed, or the printed difference is within the margin or in the
            other direction.
    """

    comparison: Comparison
    seeds: int
    a: float
    b: float
    difference: float
    low: float
    high: float
    bounds: Bounds
    paper: float | None
    smallest: float
    needed: tuple[int | None, int] | None

    @property
    def verdict(self) -> Verdict:
        return verdict_of([self.bounds])


@dataclass(frozen=True)
class ClaimOutcome:
    """The verdict on one claim.

    Attributes:
        claim: the claim.
        verdict: whether it holds.
        outcomes: one for each of its comparisons; None for a comparison that was not run.
    """

    claim: Claim
    verdict: Verdict
    outcomes: tuple[Outcome | None, ...]


def clipped_ends(interval: Interval) -> tuple[float, float]:
    """The ends of an interval, limited to [-1, 1].

    A difference of two metrics lies in this range; Student's t with few seeds exceeds it.
    """
    return max(float(interval.low), -1.0), min(float(interval.high), 1.0)


def bounds(
    comparison: Comparison,
    interval: tuple[float, float],
    strict: tuple[float, float],
    seeds: int,
) -> Bounds:
    """Turn intervals of a - b into bounds of sign * (a - b) + margin.

    Args:
        comparison: gives sign and margin.
        interval: ends of the 95 % interval of a - b.
        strict: ends of the interval at the level that allows for all comparisons of the claim.
        seeds: number of seeds; with one the bounds are infinite.
    """
    if seeds == 1:
        return Bounds(-math.inf, math.inf, math.inf)
    ends = sorted(comparison.sign * end + comparison.margin for end in interval)
    strict_high = max(comparison.sign * end + comparison.margin for end in strict)
    return Bounds(ends[0], ends[1], strict_high)


def needed(
    comparison: Comparison,
    printed: float,
    *,
    seed_variance: float,
    image_variance: float,
    images: int,
) -> tuple[int | None, int] | None:
    """Seeds of each row and test images that detect the printed difference in 80 of 100 studies.

    The difference is detected where its standard error is at most difference / 2.8. Half of that
    variance, (difference / 2.8)^2 / 2, is allowed to the images, which gives their number; the
    number of seeds is the smallest with which the difference is then detectable.

    Args:
        comparison: what is claimed; its margin adds to the difference.
        printed: the paper's a - b.
        seed_variance: variance of the difference from seed to seed; NaN with one seed. Then all of
            the variance is allowed to the images, and the number of seeds is None.
        image_variance: variance of the mean difference over resamples of the test images.
        images: number of test images.
    Returns:
        Numbers of seeds and images; None where the printed difference is within the margin or in
        the other direction.
    """
    effect = comparison.sign * printed + comparison.margin
    if not effect > 0:
        return None
    allowed = (effect / POWERED) ** 2
    if math.isnan(seed_variance):
        return None, math.ceil(image_variance * images / allowed)
    half_variance = allowed / 2
    enough_images = math.ceil(image_variance * images / half_variance)
    return seeds_needed(effect, half_variance, seed_variance), enough_images
