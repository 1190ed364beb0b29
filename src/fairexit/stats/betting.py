"""Evidence by betting, which may be looked at after every sample: e-processes of bounded means.

A gambler bets that the mean of values in [0, 1] is lower (or higher) than v, a fraction c of the
largest bet that cannot ruin him. If it is not, his wealth is a supermartingale that starts at 1, so
that it *ever* reaches 1 / alpha with probability alpha at most (Ville 1939; Waudby-Smith and Ramdas
2024). Fractions are mixed with equal weights, as in a universal portfolio, so that the wealth does
not depend on the order of the values within a look.

The e-value of a hypothesis about two independent means is the smallest product of the wealths over
all pairs of means that the hypothesis allows: at the true pair it is the product of two independent
wealths. So differences of means, gaps, and differences of gaps are watched without an interval that
is inserted in between, and the uncertainty of every sample is in them.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEPS = 400
"""Steps of the grid of means between 0 and 1."""

LEVELS = 100
"""Values are rounded to multiples of 1 / LEVELS."""

BETS = np.geomspace(0.002, 0.98, 12)
"""Fractions of the largest bet."""

CLOSEST = 1e-12
"""Distance of a hypothetical mean from the end of the scale, so that no bet is infinite."""

MOST = 1e150
"""Wealth above which more is not counted, so that products are finite."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Evidence about a parameter after each of T looks, on a grid of V values.

    Attributes:
        start: the first value of the grid, in steps of 1 / STEPS.
        below: log e-value against "the parameter is at least v", (T, V), not falling in v.
        above: log e-value against "the parameter is at most v", (T, V), not rising in v.
    """

    start: int
    below: Floats
    above: Floats

    def __neg__(self) -> "Evidence":
        """Evidence about the parameter with its sign changed."""
        end = self.start + self.below.shape[1] - 1
        return Evidence(-end, self.above[:, ::-1], self.below[:, ::-1])

    def __sub__(self, other: "Evidence") -> "Evidence":
        """Evidence about the difference of two parameters of independent samples.

        The grid is coarser than the parameters, so each cell of it counts with its least favourable
        corner.
        """
        start = self.start - (other.start + other.below.shape[1] - 1)
        return Evidence(
            start,
            _smallest_sums(self.below, _next(other.above)),
            _smallest_sums(_next(self.above), other.below),
        )

    @property
    def now(self) -> "Evidence":
        """The evidence after the last look, T = 1."""
        return Evidence(self.start, self.below[-1:], self.above[-1:])

    def interval(self, log_threshold: float) -> tuple[Floats, Floats]:
        """The values whose e-values stay below a threshold on both sides, (T,) and (T,).

        They are a confidence sequence: all intervals together cover the parameter with probability
        1 - 2 / threshold, if it does not change. A lower end above the upper one says that it did.
        """
        last = self.below.shape[1] - 1
        low = (self.above >= log_threshold).sum(1)
        high = last - (self.below >= log_threshold).sum(1)
        return (self.start + low) / STEPS, (self.start + high) / STEPS


def evidence_on_mean(counts: NDArray[np.integer[Any]], *, restart: bool = False) -> Evidence:
    """Evidence about the mean of values in [0, 1].

    Args:
        counts: how often each multiple of 1 / LEVELS has occurred until each look, (T, LEVELS + 1).
        restart: whether part of the wealth enters the game only after each later look, so that a
            change is seen although much time has passed without one.
    """
    return Evidence(0, _wealth(counts, restart), _wealth(counts[:, ::-1], restart)[:, ::-1])


def lower(new: Evidence, base: Evidence, by: int = 0) -> Floats:
    """Log e-value against "new is at least base - by", `by` in steps, (T,).

    As `(new - base).below` at -by, without the other differences.
    """
    k = np.arange(base.above.shape[1])
    i = base.start + k - by - new.start
    inside = (i >= 0) & (i < new.below.shape[1])
    return (new.below[:, i[inside]] + _next(base.above)[:, k[inside]]).min(1)


def wider(new: Evidence, base: Evidence, tolerance: int) -> Floats:
    """Log e-value against "abs(new) is at most abs(base) + tolerance", (T,).

    Args:
        new, base: evidence about two gaps, on the same grid, symmetric about 0.
        tolerance: in steps.
    """
    sides = [_beyond(new, base, tolerance), _beyond(-new, -base, tolerance)]
    return np.max(sides, 0) - math.log(2)


def _beyond(new: Evidence, base: Evidence, tolerance: int) -> Floats:
    """Log e-value against "new is at least -abs(base) - tolerance", (T,)."""
    size = np.arange(-base.start + 1)
    # Both signs of a gap of this size are possible; cells count with their least favourable corner.
    of_base = np.minimum(base.above[:, -base.start - size], base.below[:, -base.start + size])
    of_new = new.below[:, np.maximum(-new.start - size - 1 - tolerance, 0)]
    return (of_base + of_new).min(1)


def _wealth(counts: NDArray[np.integer[Any]], restart: bool) -> Floats:
    """Log wealth of bets that the mean is below each value of the grid, (T, STEPS + 1)."""
    occurs = np.flatnonzero(counts[-1])
    values = occurs / LEVELS
    means = np.minimum(np.arange(STEPS + 1) / STEPS, 1 - CLOSEST)
    gains = np.maximum((means - values[:, None]) / (1 - means), -1)
    logs = np.log1p(BETS[:, None, None] * gains).transpose(1, 0, 2)
    since = np.diff(counts[:, occurs], axis=0, prepend=0).astype(float)
    growth = np.exp(np.minimum(np.tensordot(since, logs, 1), math.log(MOST)))
    wealth, total = np.zeros(growth.shape[1:]), np.empty((len(growth), STEPS + 1))
    shares, waiting = _shares(len(growth), restart)
    for t in range(len(growth)):
        # Money above the limit is thrown away, which a gambler may do.
        wealth = np.minimum(growth[t] * (wealth + shares[t]), MOST)
        total[t] = wealth.mean(0) + waiting[t]
    return np.log(np.maximum(total, 1 / MOST))


def _shares(looks: int, restart: bool) -> tuple[Floats, Floats]:
    """What enters the game before each look, and what has not entered by its end, (T,) each.

    Half of 1 enters at the beginning, and 1 / (2 k (k + 1)) after look k; without restarts all
    enters at the beginning.
    """
    k = np.arange(1.0, looks)
    if not restart:
        return np.append(1.0, 0 * k), np.zeros(looks)
    return np.append(0.5, 0.5 / (k * (k + 1))), 0.5 / np.arange(1, looks + 1)


def _next(values: Floats) -> Floats:
    """The values at the upper ends of the cells of the grid, (T, V); the last is its own."""
    return np.concatenate([values[:, 1:], values[:, -1:]], 1)


def _smallest_sums(first: Floats, second: Floats) -> Floats:
    """The smallest first[i] + second[k] over all pairs of each difference i - k, (T, I + K - 1)."""
    width, other = first.shape[1], second.shape[1]
    looks = max(len(first), len(second))
    smallest = np.full((looks, width + other - 1), np.inf)
    for k in range(other):
        part = smallest[:, other - 1 - k : other - 1 - k + width]
        np.minimum(part, first + second[:, k : k + 1], out=part)
    return smallest
