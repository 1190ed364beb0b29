"""Counts of the operating points of a run, for the samples themselves or many draws of clusters.

As theta increases, a sample changes its exit at most E - 1 times. So the counts at all thresholds
are running sums over the sorted confidences, in every draw alike.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fairexit.evaluation.comparable import Answers, Comparable
from fairexit.evaluation.theta import Fallback
from fairexit.evaluation.thresholds import exit_intervals
from fairexit.metrics.counts import Margins

Ints = NDArray[np.int64]
Weights = NDArray[np.float32]
"""How often each draw holds each cluster, (clusters, B)."""


def point_margins(
    data: Comparable,
    model: Answers,
    thetas: NDArray[np.float64],
    exits: Ints,
    *,
    weights: Weights,
    fallback: Fallback = "final",
) -> Margins:
    """The margins of a run's operating points in B draws of clusters.

    Args:
        data: the samples.
        model: the run's answers.
        thetas: T ascending thresholds.
        exits: X exits at which all samples leave.
        weights: how often each draw holds each cluster, (clusters, B).
        fallback: as for `select`.
    Returns:
        Margins, (T + X, B, M, C), the thresholds first.
    """
    levels = thetas.astype(np.float32)
    leaving: list[_Event] = []
    for start, end, exit in exit_intervals(model.confidence, levels, fallback):
        answer = np.take_along_axis(model.answers, exit[:, None], 1)[:, 0]
        leaving += [_Event(start, answer, 1), _Event(end, answer, -1)]
    alone = [
        _Event(np.full(len(data.labels), x), model.answers[:, exit], 1)
        for x, exit in enumerate(exits)
    ]
    by_theta = _sums(data, leaving, len(levels) + 1, weights)
    by_exit = _sums(data, alone, len(exits), weights)
    alike = _Event(np.zeros_like(data.labels), data.labels, 1)
    tables = [
        np.concatenate([np.cumsum(of_theta, 0)[:-1], of_exit])
        for of_theta, of_exit in zip(by_theta, by_exit, strict=True)
    ]
    tables.append(np.broadcast_to(_sums(data, [alike], 1, weights)[1], tables[0].shape))
    shape = (-1, data.num_groups, data.num_classes, weights.shape[1])
    # The draws stay the innermost axis in memory, so that inner loops are long.
    hits, predicted, actual = (np.moveaxis(table.reshape(shape), -1, 1) for table in tables)
    return Margins(hits, actual, predicted)


class _Event(NamedTuple):
    """The samples change at positions (N,): their answers (N,) are added there, or taken away."""

    position: Ints
    answer: NDArray[np.integer[Any]]
    sign: int


def _sums(
    data: Comparable, events: Sequence[_Event], positions: int, weights: Weights
) -> tuple[Weights, Weights]:
    """Weighted right answers, and all answers, by position and cell, (positions, M * C, B) each."""
    cells = data.num_groups * data.num_classes
    base = data.groups * data.num_classes

    if not events:
        nothing = np.zeros((positions, cells, weights.shape[1]), np.float32)
        return nothing, nothing

    def total(of: Sequence[tuple[_Event, NDArray[np.bool_] | slice]]) -> Weights:
        rows = [(e.position * cells + base + e.answer)[kept] for e, kept in of]
        pairs = zip(rows, of, strict=True)
        signs = [np.full(len(row), event.sign, np.float32) for row, (event, _) in pairs]
        columns = [data.cluster[kept] for _, kept in of]
        where = (np.concatenate(rows), np.concatenate(columns))
        matrix = csr_array((np.concatenate(signs), where), (positions * cells, len(weights)))
        summed: Weights = (matrix @ weights).reshape(positions, cells, -1)
        return summed

    everything = slice(None)
    right = total([(event, event.answer == data.labels) for event in events])
    return right, total([(event, everything) for event in events])
