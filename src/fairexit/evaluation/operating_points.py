"""Operating points of several runs: each exit alone, and early exit at each threshold of a grid."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairexit.evaluation.candidate import ExitThetas
from fairexit.evaluation.comparable import Answers, Comparable
from fairexit.evaluation.goal import COST
from fairexit.evaluation.point_margins import Weights, point_margins
from fairexit.evaluation.theta import ALWAYS, Fallback, check_thetas
from fairexit.evaluation.thresholds import exit_intervals, select
from fairexit.metrics.collapse import COLLAPSED, main_answer_share
from fairexit.metrics.counts import Margins
from fairexit.metrics.rates import Empty, Values
from fairexit.metrics.record import METRICS, compute

Ints = NDArray[np.int64]

NO_EXIT = -1
"""In place of an exit where a threshold decides."""
LARGE = 2**22
"""How many counts are turned into metrics at a time, to save memory."""


@dataclass(frozen=True, eq=False)
class OperatingPoints:
    """K operating points; those of a run stand together, its largest threshold first.

    Attributes:
        model: index of the run, (K,).
        exit: index of the exit at which all samples leave, `NO_EXIT` where theta decides, (K,).
        theta: the threshold; NaN at a single exit, (K,).
        values: quantity -> its value on validation, (K,).
        usable: whether fewer than 99 % of the answers are of one class, (K,).
    """

    model: Ints
    exit: Ints
    theta: NDArray[np.float64]
    values: dict[str, Values]
    usable: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.model)

    def policy_theta(self, k: int, num_exits: int) -> float | ExitThetas | None:
        """Theta of the policy of a point, of a network with `num_exits` exits."""
        if self.exit[k] == NO_EXIT:
            return float(self.theta[k])
        if self.exit[k] == num_exits - 1:
            return None
        return tuple(ALWAYS if e == self.exit[k] else None for e in range(num_exits - 1))


def measure_points(
    data: Comparable,
    grid: Sequence[float],
    names: Sequence[str],
    *,
    fallback: Fallback = "final",
    empty: Empty = "exclude",
) -> OperatingPoints:
    """All operating points of the runs, and their values on validation.

    Args:
        data: the answers of the runs.
        grid: thresholds, in any order; a network with one exit has none.
        names: of the metrics; the cost is always measured.
        fallback: as for `select`.
        empty: value of a rate without samples, see `fairexit.metrics.rates`.
    Raises:
        UserError: a threshold is out of range.
    """
    thetas = np.unique(check_thetas(grid, np.float64))
    once = np.ones((int(data.cluster.max()) + 1, 1), np.float32)
    parts = []
    for m, model in enumerate(data.models):
        own = thetas if model.num_exits > 1 else thetas[:0]
        exits = np.arange(model.num_exits)
        drawn = point_margins(data, model, own, exits, weights=once, fallback=fallback)
        # Whole numbers, so that metrics are computed in double precision.
        margins = Margins(*(table[:, 0].astype(np.int64) for table in drawn))
        values = compute(margins, names, empty)
        values[COST] = np.append(_mean_costs(data, model, own), model.costs) / data.full_cost
        descending = np.append(np.arange(len(own))[::-1], len(own) + exits)
        part = OperatingPoints(
            np.full(len(descending), m),
            np.append(np.full(len(own), NO_EXIT), exits),
            np.append(own[::-1], np.full(len(exits), np.nan)),
            {name: value[descending] for name, value in values.items()},
            (main_answer_share(margins) < COLLAPSED)[descending],
        )
        parts.append(part)
    return OperatingPoints(
        np.concatenate([p.model for p in parts]),
        np.concatenate([p.exit for p in parts]),
        np.concatenate([p.theta for p in parts]),
        {name: np.concatenate([p.values[name] for p in parts]) for name in (*names, COST)},
        np.concatenate([p.usable for p in parts]),
    )


def draw_points(
    data: Comparable,
    points: OperatingPoints,
    chosen: Ints,
    *,
    weights: Weights,
    name: str,
    fallback: Fallback = "final",
    empty: Empty = "exclude",
) -> NDArray[np.float32]:
    """A metric at some points in each of B draws of clusters, which are the same for all points.

    Args:
        data: the answers of the runs.
        points: the points.
        chosen: indices of n of them, ascending.
        weights: how often each draw holds each cluster, (clusters, B).
        name: of the metric.
        fallback: as for `select`.
        empty: value of a rate without samples, see `fairexit.metrics.rates`.
    Returns:
        (n, B), in single precision.
    """
    drawn: NDArray[np.float32] = np.empty((len(chosen), weights.shape[1]), np.float32)
    for m, model in enumerate(data.models):
        own = np.flatnonzero(points.model[chosen] == m)
        if not len(own):
            continue
        theta, exit = points.theta[chosen[own]], points.exit[chosen[own]]
        by_theta = exit == NO_EXIT
        # The thresholds of a run descend.
        thetas, exits = theta[by_theta][::-1], exit[~by_theta]
        margins = point_margins(data, model, thetas, exits, weights=weights, fallback=fallback)
        rows = np.append(own[by_theta][::-1], own[~by_theta])
        for part in _blocks(margins):
            block = Margins(*(table[part] for table in margins))
            drawn[rows[part]] = METRICS[name](block, empty)
    return drawn


def _blocks(margins: Margins) -> Iterator[slice]:
    step = max(1, LARGE // margins.hits[0].size)
    for start in range(0, len(margins.hits), step):
        yield slice(start, start + step)


def _mean_costs(data: Comparable, model: Answers, thetas: NDArray[np.float64]) -> Values:
    """Mean multiply-adds of a sample at each of T ascending thresholds, (T,)."""
    total = np.zeros(len(thetas) + 1)
    # Until an exit is confident every exit is computed, whichever answers in the end.
    depths = exit_intervals(model.confidence, thetas.astype(np.float32), "final")
    for cost, (start, end, _) in zip(model.costs, depths, strict=True):
        leave = np.bincount(start, minlength=len(total)) - np.bincount(end, minlength=len(total))
        total += cost * leave
    return np.cumsum(total)[:-1] / len(data.labels)


def answers_of(
    data: Comparable, points: OperatingPoints, chosen: Sequence[int], fallback: Fallback = "final"
) -> Ints:
    """The predicted classes of some points, (n, N)."""
    rows = []
    for k in chosen:
        model = data.models[points.model[k]]
        if points.exit[k] == NO_EXIT:
            exits = select(model.confidence, float(points.theta[k]), fallback)
        else:
            exits = np.full(len(data.labels), points.exit[k])
        rows.append(np.take_along_axis(model.answers, exits[:, None], 1)[:, 0])
    return np.stack(rows).astype(np.int64)
