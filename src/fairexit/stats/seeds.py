"""How far a mean over training seeds is known from networks that share their test images.

The value of seed s, for example a difference of two methods, is

    d_s = mu + A + B_s + E_s

where A is what the draw of the images does to all networks, E_s what it does to single networks,
and B_s what the training seed does. Draws of the images with the networks held have the variance
Var A + Var E / S in the mean of the d_s. The variance of the d_s over seeds is Var B + Var E: it
holds Var E again, which must not be counted twice. So the variance of the mean is

    images + max(0, s^2 - e^2) / S

with e^2 = Var E from the same draws: the variance of each d_s around their mean in a draw, summed
over s, / (S - 1). With few seeds s^2 is little known. It is moderated (Smyth 2004): the ratio
s^2 / e^2 is pooled over the rows of a study, and weighs as many degrees of freedom as `PRIOR`. The
ratio is pooled rather than s^2 because e^2 knows how alike the networks of a comparison are: rows
that share networks, or metrics of rare classes. Half the width of an interval is that of the
images and that of the seeds in quadrature, the latter with Student's t of the moderated degrees of
freedom.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtri, ndtri, stdtrit

from fairexit.metrics.rates import mean_known

LEVEL = 0.95
PRIOR = 4.0
"""Degrees of freedom that the pooled ratio weighs, at most: those of five seeds."""
LIKELY = 32
"""How many values represent the distribution of what seeds add to an interval."""

Array = NDArray[np.float64]


class Pool(NamedTuple):
    """How much more the values of several rows vary over seeds than draws of the images explain.

    Attributes:
        ratio: sum of s^2 over sum of e^2, (...); 1 if seeds add nothing.
        freedom: degrees of freedom of s^2, summed over the rows.
    """

    ratio: Array
    freedom: int


@dataclass(frozen=True, eq=False)
class Variance:
    """The variance of a mean over S training seeds, (...) each.

    Attributes:
        images: over draws of the images, for these networks: Var A + Var E / S.
        networks: Var E, what a draw of the images does to a single network.
        seeds: Var B, what a training seed adds; 0 for a single seed, of which it is not known.
        freedom: degrees of freedom with which the seeds' part is known; 0 for a single seed.
        number: S.
    """

    images: Array
    networks: Array
    seeds: Array
    freedom: float
    number: int

    @property
    def total(self) -> Array:
        """Variance of the mean over draws of images and seeds."""
        return self.images + self.seeds / self.number

    def widening(self, level: float) -> Array:
        """What the seeds add, in quadrature, to half the width of an interval over the images."""
        if not self.freedom:
            return np.zeros(self.images.shape)
        half: Array = stdtrit(self.freedom, (1 + level) / 2) * np.sqrt(self.seeds / self.number)
        return half

    def likely_widenings(self, level: float) -> Array:
        """Equally likely values of `widening` in studies of this design, (`LIKELY`, ...).

        With few seeds s^2 differs much from one study to the next.
        """
        if not self.freedom:
            return np.zeros((1, *self.images.shape))
        tails = 1 - (np.arange(LIKELY) + 0.5) / LIKELY
        over_seeds = np.multiply.outer(
            chdtri(self.freedom, tails) / self.freedom, self.networks + self.seeds
        )
        tail = float(stdtrit(self.freedom, (1 + level) / 2))
        likely: Array = tail * np.sqrt(np.maximum(over_seeds - self.networks, 0) / self.number)
        return likely


def pool(rows: Iterable[tuple[ArrayLike, ArrayLike]]) -> Pool:
    """Pool the seeds' variance over rows, each given by its values as in `seed_variance`."""
    over_seeds, of_images, freedom = [], [], 0
    for points, draws in rows:
        values = np.asarray(points, float)
        if len(values) > 1:
            over_seeds.append(values.var(0, ddof=1))
            of_images.append(_networks(np.asarray(draws, float)))
            freedom += len(values) - 1
    if not freedom:
        return Pool(np.ones(()), 0)
    above, below = np.sum(over_seeds, 0), np.sum(of_images, 0)
    return Pool(np.divide(above, below, out=np.ones(below.shape), where=below > 0), freedom)


def seed_variance(points: ArrayLike, draws: ArrayLike, pooled: Pool | None = None) -> Variance:
    """The variance of a mean over seeds, its parts and degrees of freedom.

    Args:
        points: the value of each of S seeds, (S, ...).
        draws: the same in B draws of the images, (B, S, ...).
        pooled: over rows that include those of this value, see `pool`; none moderates nothing.
    """
    values, drawn = np.asarray(points, float), np.asarray(draws, float)
    number = len(values)
    images = _variance(drawn.mean(1))
    if number == 1:
        nothing = np.zeros(images.shape)
        return Variance(images, nothing, nothing, 0, 1)
    networks, own = _networks(drawn), number - 1
    # The value's own seeds are among those of the pool.
    weight = min(PRIOR, max(pooled.freedom - own, 0)) if pooled else 0.0
    ratio = pooled.ratio if pooled else 1.0
    over_seeds = (own * values.var(0, ddof=1) + weight * ratio * networks) / (own + weight)
    return Variance(images, networks, np.maximum(over_seeds - networks, 0), own + weight, number)


def _networks(draws: Array) -> Array:
    """The part e^2 of a draw's images that single networks have alone, (...), from (B, S, ...)."""
    own = draws - draws.mean(1, keepdims=True)
    part: Array = _variance(own).sum(0) / (draws.shape[1] - 1)
    return part


def _variance(draws: Array) -> Array:
    """The variance over draws, the first axis, of what is defined; NaN where nothing is."""
    values = np.moveaxis(draws, 0, -1)
    return mean_known((values - mean_known(values)[..., None]) ** 2)


def half_width(
    images: ArrayLike, seeds: ArrayLike = 0.0, runs: int = 1, confidence_level: float = LEVEL
) -> Array:
    """Half the width of the interval of a mean over runs of which only standard errors are known.

    What images do to single networks is then counted in both parts, so that intervals are too wide
    rather than too narrow.

    Args:
        images: standard errors over images, (...).
        seeds: standard deviations over runs, (...); not used for a single run.
        runs: number of runs, R.
        confidence_level: coverage, in (0, 1).
    Returns:
        (...), in the unit of the standard errors.
    """
    tail = (1 + confidence_level) / 2
    half: Array = np.asarray(images, float) * float(ndtri(tail))
    if runs == 1:
        return half
    of_seeds = np.asarray(seeds, float) * float(stdtrit(runs - 1, tail)) / np.sqrt(runs)
    return np.hypot(half, of_seeds)
