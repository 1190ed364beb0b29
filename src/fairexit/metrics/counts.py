"""The counts tensor: samples by group, true class and predicted class."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError
from fairexit.types import UNKNOWN

Counts = NDArray[Any]


class Margins(NamedTuple):
    """The sums of counts that one-against-rest metrics need, each (..., M, C).

    With many classes they are far smaller than the counts: 3 C numbers for each group, not C^2.
    """

    hits: Counts
    """Samples of the class that were predicted as it (true positives)."""
    actual: Counts
    """Samples of the class."""
    predicted: Counts
    """Samples that were predicted as the class."""


def margins(counts: Counts | Margins) -> Margins:
    """The margins of counts (..., M, C, C); margins are returned unchanged."""
    if isinstance(counts, Margins):
        return counts
    hits: Counts = np.diagonal(counts, axis1=-2, axis2=-1)
    return Margins(hits, counts.sum(-1), counts.sum(-2))


def count(
    labels: NDArray[np.integer[Any]],
    predicted: NDArray[np.integer[Any]],
    groups: NDArray[np.integer[Any]],
    *,
    num_classes: int,
    num_groups: int,
) -> NDArray[np.int64]:
    """Count samples by group, true class and predicted class.

    Every group metric is a function of this tensor. Samples of an unknown group are left out.

    Args:
        labels: true classes, (N,), in [0, C).
        predicted: predicted classes, (..., N), in [0, C); leading axes are kept.
        groups: groups, (N,), in [0, M) or UNKNOWN.
        num_classes: C of the task, even if some classes do not occur.
        num_groups: M of the task, even if some groups do not occur.
    Returns:
        Counts, (..., M, C, C).
    Raises:
        UserError: an index is out of its range, or the lengths differ.

    >>> labels, predicted, groups = np.array([0, 1]), np.array([0, 0]), np.array([0, 0])
    >>> count(labels, predicted, groups, num_classes=2, num_groups=1).tolist()
    [[[1, 0], [1, 0]]]
    """
    check_samples(labels, predicted, groups, num_classes=num_classes, num_groups=num_groups)
    known = groups != UNKNOWN
    leading = predicted.shape[:-1]
    flat = predicted[..., known].reshape(math.prod(leading), int(known.sum()))
    cells = num_groups * num_classes * num_classes
    cell = (groups[known].astype(np.int64) * num_classes + labels[known]) * num_classes
    index = cell + flat + np.arange(len(flat))[:, None] * cells
    totals = np.bincount(index.ravel(), minlength=len(flat) * cells)
    return totals.reshape(*leading, num_groups, num_classes, num_classes)


def count_margins(
    labels: NDArray[np.integer[Any]],
    predicted: NDArray[np.integer[Any]],
    groups: NDArray[np.integer[Any]],
    *,
    num_classes: int,
    num_groups: int,
) -> Margins:
    """The margins of `count`, without the counts themselves; arguments and errors as there.

    >>> labels, predicted, groups = np.array([0, 1]), np.array([0, 0]), np.array([0, 0])
    >>> count_margins(labels, predicted, groups, num_classes=2, num_groups=1).hits.tolist()
    [[1, 0]]
    """
    check_samples(labels, predicted, groups, num_classes=num_classes, num_groups=num_groups)
    known = groups != UNKNOWN
    if not known.all():
        labels, predicted, groups = labels[known], predicted[..., known], groups[known]
    base = groups.astype(np.int64) * num_classes
    cell = base + labels

    def total(cells: NDArray[Any]) -> NDArray[np.int64]:
        sums = np.bincount(cells, minlength=num_groups * num_classes)
        return sums.reshape(num_groups, num_classes)

    models = predicted.reshape(math.prod(predicted.shape[:-1]), len(labels))
    shape = (*predicted.shape[:-1], num_groups, num_classes)
    hits = np.array([total(cell[model == labels]) for model in models])
    return Margins(
        hits.reshape(shape),
        np.broadcast_to(total(cell), shape),
        np.array([total(base + model) for model in models]).reshape(shape),
    )


def check_samples(
    labels: NDArray[np.integer[Any]],
    predicted: NDArray[np.integer[Any]],
    groups: NDArray[np.integer[Any]],
    *,
    num_classes: int,
    num_groups: int,
) -> None:
    """Raise a UserError if the arrays are not valid arguments of `count`."""
    if not labels.shape == groups.shape == predicted.shape[-1:]:
        raise UserError(
            f"labels {labels.shape}, predictions {predicted.shape} and groups {groups.shape} "
            "must have the same length"
        )
    _check_range("label", labels, 0, num_classes)
    _check_range("prediction", predicted, 0, num_classes)
    _check_range("group", groups, UNKNOWN, num_groups)


def _check_range(kind: str, values: NDArray[np.integer[Any]], low: int, end: int) -> None:
    if values.size and (values.min() < low or values.max() >= end):
        wrong = values[(values < low) | (values >= end)].flat[0]
        raise UserError(f"{kind} {wrong} is out of range; it must be from {low} to {end - 1}")


def empty_cells(
    counts: Counts | Margins, groups: Sequence[str], classes: Sequence[str]
) -> list[tuple[str, str]]:
    """The (group, class) pairs without a sample, in order.

    Args:
        counts: (M, C, C), or their margins.
        groups: M names.
        classes: C names.
    """
    return [(groups[g], classes[c]) for g, c in np.argwhere(margins(counts).actual == 0)]
