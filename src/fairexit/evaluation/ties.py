"""Which candidates cannot be told apart from the best one, and how much its value is luck."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.evaluation.comparable import Comparable
from fairexit.evaluation.goal import COST, Goal
from fairexit.evaluation.operating_points import OperatingPoints, draw_points
from fairexit.evaluation.rules import ROUNDING
from fairexit.evaluation.theta import Fallback
from fairexit.metrics.rates import Empty, Values
from fairexit.stats.resampling import resample

Draws = NDArray[np.floating[Any]]

N_DRAWS = 100
"""Draws in which all allowed candidates are compared."""
CONFIDENCE = 0.95
"""Probability with which the truly best candidate is among those that are not told apart."""
SINGLE = 1e-6
"""Spread of draws that single precision does not tell from 0."""


@dataclass(frozen=True, eq=False)
class Ties:
    """What draws of validation say of the best allowed candidate.

    Attributes:
        tied: whether a candidate is allowed and cannot be told apart from the best one, which
            belongs to them, (K,).
        luck: by how much the value of the best one is expected to flatter it, because it is the
            best of many values that are known with an error.
    """

    tied: NDArray[np.bool_]
    luck: float

    @property
    def number(self) -> int:
        return int(self.tied.sum())


def find_ties(
    data: Comparable,
    goal: Goal,
    points: OperatingPoints,
    allowed: NDArray[np.bool_],
    *,
    best: int,
    fallback: Fallback,
    empty: Empty,
) -> Ties:
    """Compare all allowed candidates with the best one in the same draws of clusters.

    The best one of many leads by luck, so it is not enough that a difference exceeds its own error.
    A candidate is told apart if its lag behind the best exceeds what it would have in 95 of 100
    draws if it were the best in truth: the largest error of all candidates, minus its own
    (multiple comparisons with the best, Hsu 1981, by bootstrap). So the truly best of the allowed
    candidates stays with that probability, however many there are. A cost is taken as known.

    Args:
        data: validation answers of the runs.
        goal: the objective.
        points: K candidates.
        allowed: those that meet the constraints, (K,).
        best: the allowed one with the best objective.
        fallback: as for `fairexit.evaluation.thresholds.select`.
        empty: value of a rate without samples, see `fairexit.metrics.rates`.
    """
    members = np.flatnonzero(allowed)
    value = goal.better(goal.objective, points.values)
    lead = value[best] - value[members]
    if goal.objective == COST:
        apart, luck = lead > ROUNDING, 0.0
    else:
        weights = _weights(data)
        drawn = draw_points(
            data,
            points,
            members,
            weights=weights,
            name=goal.objective,
            fallback=fallback,
            empty=empty,
        )
        apart = lead > np.maximum(largest_lags(goal.sign * drawn), ROUNDING)
        luck = selection_luck(goal.sign * drawn, value[members])
    tied = allowed.copy()
    tied[members] = ~apart
    return Ties(tied, luck)


def _weights(data: Comparable) -> NDArray[np.float32]:
    """How often each of `N_DRAWS` draws within groups holds each cluster, (clusters, draws)."""
    rng, once = np.random.default_rng(0), np.ones_like(data.strata)
    draws = resample(once, data.strata, N_DRAWS, rng, width=len(once))
    return np.concatenate(list(draws)).T.astype(np.float32)


def largest_lags(drawn: Draws) -> Values:
    """How far each candidate may lag behind the best of all by chance, if it is best, (n,).

    Args:
        drawn: more is better, (n, B); draws with NaN are left out.
    Returns:
        The quantile `CONFIDENCE` over draws; infinity where too few draws are known, or where
        they do not vary, which shows nothing.
    """
    errors = _errors(drawn)
    number = errors.shape[1]
    place = math.ceil(CONFIDENCE * (number + 1)) - 1
    if place >= number:
        return np.full(len(drawn), np.inf)
    lags = errors.max(0) - errors
    quantile = np.partition(lags, place, axis=1)[:, place]
    return np.where(quantile > SINGLE, quantile, np.inf)


def selection_luck(drawn: Draws, values: Values) -> float:
    """By how much the value of the best of several is expected to flatter it.

    The candidates' true values are closer to each other than the measured ones, which errors spread
    further apart. They are taken as shrunk towards their mean (James and Stein 1961), by the share
    of their spread that the draws' errors explain. To these the errors of each draw are added; the
    winner's error, on average over draws, is its luck. What chance adds to every gap alike is left
    out.

    Args:
        drawn: more is better, (n, B); draws with NaN are left out.
        values: the measured values, (n,).
    """
    errors = _errors(drawn)
    if not errors.size:
        return 0.0
    spread = values.var()
    explained = errors.var(0).mean()
    kept = max(0.0, 1 - explained / spread) if spread > 0 else 0.0
    true = values.mean() + kept * (values - values.mean())
    winner = (true[:, None] + errors).argmax(0)
    return float(errors[winner, np.arange(errors.shape[1])].mean())


def _errors(drawn: Draws) -> Draws:
    """Draws (n, B) minus each candidate's mean; without the draws in which one is NaN."""
    known = drawn[:, ~np.isnan(drawn).any(0)]
    return known - known.mean(1, keepdims=True) if known.size else known
