"""What was found of one comparison, and the arithmetic of its word."""

import math
from dataclasses import dataclass

from scipy.special import ndtri

from fairexit.stats.seeds import LEVEL, POWER, seeds_needed
from fairexit.study.claims import Bounds, Claim, Comparison, Word, word_of

POWERED = float(ndtri((1 + LEVEL) / 2) + ndtri(POWER))
"""Standard errors of images alone that a true difference must have to be found: 2.8."""


@dataclass(frozen=True)
class Outcome:
    """What was found of one comparison.

    Attributes:
        comparison: what is claimed.
        seeds: that both sides have.
        a, b: means over them; b is NaN where there is none.
        difference, low, high: a - b with its 95 % interval over seeds and clusters; with one seed
            over clusters, for these very networks.
        bounds: of the claimed direction.
        paper: the printed a - b.
        smallest: the smallest difference that this design finds in 80 of 100 studies.
        needed: seeds of each row (None with one seed, which tells nothing of others), and test
            images, that would find the printed one as often; None where nothing is printed, or
            what is printed is no more than the margin forbids.
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
    def word(self) -> Word:
        return word_of([self.bounds])


@dataclass(frozen=True)
class Verdict:
    """The word on one claim, and what it rests on; None for a comparison that was not run."""

    claim: Claim
    word: Word
    outcomes: tuple[Outcome | None, ...]


def bounds(
    comparison: Comparison,
    interval: tuple[float, float],
    strict: tuple[float, float],
    seeds: int,
) -> Bounds:
    """Intervals of a - b as bounds of what is claimed to be above zero."""
    if seeds == 1:
        return Bounds(-math.inf, math.inf, math.inf)
    ends = sorted(comparison.sign * end + comparison.margin for end in interval)
    strict_high = max(comparison.sign * end + comparison.margin for end in strict)
    return Bounds(ends[0], ends[1], strict_high)


def needed(
    comparison: Comparison, printed: float, *, of_seeds: float, of_images: float, images: int
) -> tuple[int | None, int] | None:
    """Seeds of each row, and test images, that find the printed difference in 80 of 100 studies.

    The images are as many as leave half of the variance that many seeds would be allowed,
    (difference / 2.8)^2 / 2; the seeds as many as then make the difference detectable.

    Args:
        comparison: what is claimed; its margin adds to the difference.
        printed: the paper's a - b.
        of_seeds: variance of the difference from seed to seed; NaN with one, whose images then
            find the difference of these networks.
        of_images: variance of the mean difference over draws of the test images at hand.
        images: how many these are.
    """
    effect = comparison.sign * printed + comparison.margin
    if not effect > 0:
        return None
    allowed = (effect / POWERED) ** 2
    if math.isnan(of_seeds):
        return None, math.ceil(of_images * images / allowed)
    half = allowed / 2
    return seeds_needed(effect, half, of_seeds), math.ceil(of_images * images / half)
