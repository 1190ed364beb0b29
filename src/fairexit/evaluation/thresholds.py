"""Early exit on stored predictions: which exit answers at a threshold."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.evaluation.policy import Policy
from fairexit.evaluation.theta import Fallback, Theta, check_fallback, check_thetas, exit_thetas
from fairexit.metrics.counts import Margins
from fairexit.metrics.rates import ratio_known
from fairexit.predictions.confidence import MAX_PROBABILITY
from fairexit.predictions.data import Predictions
from fairexit.types import UNKNOWN


def select(
    confidence: NDArray[Any], theta: Theta | None, fallback: Fallback = "final"
) -> NDArray[np.int64]:
    """The exit that answers for each sample: the earliest whose confidence reaches theta.

    The confidence is compared in single precision, in which networks compute it, so that the result
    equals that of early exit in the network.

    Args:
        confidence: of each sample at each exit, (N, E), the final exit last.
        theta: in (0, 1], one value or one for each of the E - 1 internal exits, None where no
            sample leaves; with None alone every sample leaves at the final exit.
        fallback: the exit that answers if no exit reaches theta, "final" or "most_confident".
    Returns:
        Exit indices, (N,).
    Raises:
        UserError: theta is out of range or has the wrong length, or the fallback is unknown.
    """
    check_fallback(fallback)
    last = confidence.shape[1] - 1
    if theta is None or not last:
        return np.full(len(confidence), last)
    confidence = confidence.astype(np.float32)
    confident = confidence[:, :-1] >= exit_thetas(theta, last)
    fallback_exit = np.full(len(confidence), last) if fallback == "final" else confidence.argmax(1)
    first = np.pad(confident, ((0, 0), (0, 1)), constant_values=True).argmax(1)
    return np.where(first < last, first, fallback_exit)


def answering_exits(predictions: Predictions, policy: Policy) -> NDArray[np.int64]:
    """Index of the exit that answers for each sample under a policy, (N,)."""
    confidence = predictions.tempered(policy.temperature_values).confidence(
        policy.confidence_measure
    )
    return select(confidence, policy.theta, policy.fallback)


def sweep(
    predictions: Predictions,
    group: str,
    thetas: Sequence[float],
    *,
    fallback: Fallback = "final",
    confidence_measure: str = MAX_PROBABILITY,
) -> tuple[Margins, NDArray[np.float64]]:
    """Margins of the counts, and exit shares, at many thresholds in one pass.

    As theta increases, a sample changes its exit at most E - 1 times. So each sample contributes to
    a few intervals of the sorted thetas, and running sums give the counts at every threshold.

    Args:
        predictions: N samples.
        group: name of the sensitive attribute.
        thetas: T thresholds in (0, 1], in any order.
        fallback: as for `select`.
        confidence_measure: what is compared with theta.
    Returns:
        Margins (T, M, C), and the share of each group that leaves at each exit (T, M, E), NaN
        for a group without samples.
    Raises:
        UserError: a theta is out of range, or the attribute is unknown or has a single value.
    """
    check_fallback(fallback)
    groups, names = predictions.group(group)
    levels, level_index = np.unique(check_thetas(thetas), return_inverse=True)
    known = groups != UNKNOWN
    groups, labels = groups[known], predictions.labels[known]
    confidence = predictions.confidence(confidence_measure)[known]
    answers = predictions.answers[known]
    num_classes, num_exits = len(predictions.classes), answers.shape[1]
    hits, predicted = np.zeros((2, len(levels) + 1, len(names) * num_classes), np.int64)
    exit_counts = np.zeros((len(levels) + 1, len(names) * num_exits), np.int64)
    for start, end, exits in exit_intervals(confidence, levels, fallback):
        answer = np.take_along_axis(answers, exits[:, None], 1)[:, 0]
        cell = groups * num_classes + answer
        right = answer == labels
        _add_intervals(predicted, start, end, cell)
        _add_intervals(hits, start[right], end[right], cell[right])
        _add_intervals(exit_counts, start, end, groups * num_exits + exits)
    shape = (len(thetas), len(names), -1)
    actual = np.bincount(groups * num_classes + labels, minlength=len(names) * num_classes)
    totals = (np.cumsum(total, axis=0)[level_index].reshape(shape) for total in (hits, predicted))
    hits, predicted = totals
    margins = Margins(hits, np.broadcast_to(actual.reshape(len(names), -1), hits.shape), predicted)
    return margins, shares(np.cumsum(exit_counts, axis=0)[level_index].reshape(shape))


def exit_intervals(
    confidence: NDArray[Any], levels: NDArray[Any], fallback: Fallback
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """For which of many thetas each exit is reached: an interval of thetas for each sample.

    Args:
        confidence: of each sample at each exit, (N, E), the final exit last.
        levels: L thetas, ascending, in single precision.
        fallback: as for `select`.
    Yields:
        For each exit, the first theta at which the samples leave there and the first at which they
        no longer do, as indices into `levels`, and the exit that answers then, (N,) each.
    """
    last = confidence.shape[1] - 1
    highest, end = confidence[:, 0], np.zeros(len(confidence), np.int64)
    for k in range(last + 1):
        # Exit k answers for the thetas above all earlier confidences, up to its own confidence.
        highest, start = np.maximum(highest, confidence[:, k]), end
        end = np.searchsorted(levels, highest, side="right")
        exits = np.full(len(confidence), k)
        if k == last:
            end = np.full(len(confidence), len(levels))
            exits = confidence.argmax(1) if fallback == "most_confident" else exits
        yield start, end, exits


def _add_intervals(
    total: NDArray[np.int64],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    cell: NDArray[np.int64],
) -> None:
    """Add 1 to the cell of each sample (N,) where its interval of levels starts, -1 at its end."""
    for level, sign in ((start, 1), (end, -1)):
        flat = np.bincount(level * total.shape[1] + cell, minlength=total.size)
        total += sign * flat.reshape(total.shape)


def shares(exit_counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Samples that leave at each exit, (..., E), as shares of their sum; NaN where it is 0."""
    return ratio_known(exit_counts, exit_counts.sum(-1, keepdims=True))
