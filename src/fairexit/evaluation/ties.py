"""Which candidates cannot be told apart from the best one, and how much its value is luck."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.evaluation.comparable import Comparable
from fairexit.evaluation.goal import COST, Goal
from fairexit.evaluation.operating_points import OperatingPoints, draw_points
from fairexit.evaluation.rules import ROUNDING
from fairexit.evaluation.theta import Fallback
from fairexit.metrics.rates import Empty, Values, mean_known
from fairexit.stats.resampling import resample

Draws = NDArray[np.floating[Any]]

N_DRAWS = 100
"""Draws in which all allowed candidates are compared: standard errors are known to within 7 %."""
Z = 1.96
"""Standard errors that a difference must exceed for two candidates to be told apart."""
SINGLE = 1e-6
"""Standard error that single precision does not tell from 0."""


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

    Two are told apart if their difference in the objective exceeds 1.96 of its standard errors. A
    standard error of 0 shows nothing: the draws did not vary. A cost is taken as known.

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
        error = _errors(drawn, drawn[members == best])
        apart = (lead > np.maximum(Z * error, ROUNDING)) & (error > SINGLE)
        luck = selection_luck(goal.sign * drawn)
    tied = allowed.copy()
    tied[members] = ~apart
    return Ties(tied, luck)


def _weights(data: Comparable) -> NDArray[np.float32]:
    """How often each of `N_DRAWS` draws within groups holds each cluster, (clusters, draws)."""
    rng, once = np.random.default_rng(0), np.ones_like(data.strata)
    draws = resample(once, data.strata, N_DRAWS, rng, width=len(once))
    return np.concatenate(list(draws)).T.astype(np.float32)


def _errors(drawn: Draws, reference: Draws) -> Values:
    """Standard error of the difference to a reference (1, B) of values (n, B), (n,)."""
    difference = drawn - reference
    spread = difference - mean_known(difference)[:, None]
    return np.sqrt(mean_known(spread**2))


def selection_luck(drawn: Draws) -> float:
    """By how much the best of several values surpasses its own mean over draws, on average.

    Taken from the mean over draws rather than from the measured value, it leaves out what chance
    adds to every gap alike.

    Args:
        drawn: more is better, (candidates, draws); draws with NaN are left out.
    """
    known = drawn[:, ~np.isnan(drawn).any(0)]
    if not known.size:
        return 0.0
    winner = known.argmax(0)
    lead = known[winner, np.arange(known.shape[1])] - known.mean(1)[winner]
    return float(lead.mean())
