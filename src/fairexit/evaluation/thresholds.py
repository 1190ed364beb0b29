"""Early exit on stored predictions: which exit answers at a threshold, and how to choose one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError, nearest, option, short
from fairexit.evaluation.policy import Fallback, Policy, Theta, check_fallback, check_theta
from fairexit.metrics.counts import Margins, count_margins
from fairexit.metrics.rates import Empty, Values, ratio_known
from fairexit.metrics.record import METRICS, Metric, compute
from fairexit.predictions.files import Predictions
from fairexit.types import UNKNOWN

GRID = (0.8, 0.85, 0.9, 0.95, 0.99, 0.999)
"""The thresholds of Chiu et al. 2023."""


DEFAULT_RULE = "eodd"
"""The metric by which a threshold is chosen by default."""


def check_rule(rule: str) -> Metric:
    """The metric by which a rule chooses.

    Raises:
        UserError: there is no metric of this name.
    """
    if rule not in METRICS:
        raise UserError(f"{option('rule')} is '{short(rule)}'; {nearest(rule, METRICS)}")
    return METRICS[rule]


def best_option(metric: Metric, values: Values, f1: Values, min_f1: float) -> int | None:
    """The best of several options (epochs, thresholds, trials) by a metric.

    For a gap this is the lowest value among the options whose macro F1 is at least `min_f1`,
    because a network that predicts the same class for every sample has no gap. For any other metric
    it is the best value. Of equal options, within rounding, the first is returned.

    Args:
        metric: the metric that decides.
        values: value of the metric for each option, (K,); an option with NaN is never chosen.
        f1: macro F1 of each option, (K,).
        min_f1: the smallest F1 allowed, for metrics that are gaps.
    Returns:
        Index of the option, or None if no option qualifies.
    """
    allowed = f1 >= min_f1 - 1e-12 if metric.compares_groups else np.ones(len(values), bool)
    candidates = np.flatnonzero(allowed & ~np.isnan(values))
    if not len(candidates):
        return None
    ranked = -values[candidates] if metric.higher_is_better else values[candidates]
    return int(candidates[np.argmax(ranked <= ranked.min() + 1e-12)])


def select(
    confidence: NDArray[Any], theta: Theta | None, fallback: Fallback = "final"
) -> NDArray[np.int64]:
    """The exit that answers for each sample: the earliest whose confidence reaches theta.

    The confidence is compared in single precision, in which networks compute it, so that the result
    equals that of early exit in the network.

    Args:
        confidence: largest probability of each sample at each exit, (N, E), the final exit last.
        theta: in (0, 1], one value or one for each of the E - 1 internal exits; with None every
            sample leaves at the final exit.
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
    thetas = check_theta(theta)
    if thetas.ndim and len(thetas) != last:
        raise UserError(
            f"there are {len(thetas)} thresholds but {last} internal exits; give one for each"
        )
    confidence = confidence.astype(np.float32)
    confident = confidence[:, :-1] >= thetas
    fallback_exit = np.full(len(confidence), last) if fallback == "final" else confidence.argmax(1)
    first = np.pad(confident, ((0, 0), (0, 1)), constant_values=True).argmax(1)
    return np.where(first < last, first, fallback_exit)


def sweep(
    predictions: Predictions, group: str, thetas: Sequence[float], fallback: Fallback = "final"
) -> tuple[Margins, NDArray[np.float64]]:
    """Margins of the counts, and exit shares, at many thresholds in one pass.

    As theta increases, a sample changes its exit at most E - 1 times. So each sample contributes to
    a few intervals of the sorted thetas, and running sums give the counts at every threshold.

    Args:
        predictions: N samples.
        group: name of the sensitive attribute.
        thetas: T thresholds in (0, 1], in any order.
        fallback: as for `select`.
    Returns:
        Margins (T, M, C), and the share of each group that leaves at each exit (T, M, E), NaN
        for a group without samples.
    Raises:
        UserError: a theta is out of range, or the attribute is unknown or has a single value.
    """
    check_fallback(fallback)
    groups, names = predictions.group(group)
    levels, level_index = np.unique(check_theta(thetas), return_inverse=True)
    known = groups != UNKNOWN
    groups, labels = groups[known], predictions.labels[known]
    confidence, answers = predictions.confidence[known], predictions.answers[known]
    num_classes, num_exits = len(predictions.classes), answers.shape[1]
    hits, predicted = np.zeros((2, len(levels) + 1, len(names) * num_classes), np.int64)
    exit_counts = np.zeros((len(levels) + 1, len(names) * num_exits), np.int64)
    highest, end = confidence[:, 0], np.zeros(len(groups), np.int64)
    for k in range(num_exits):
        exits, answer = np.full(len(groups), k), answers[:, k]
        if k == num_exits - 1 and fallback == "most_confident":
            exits = confidence.argmax(1)
            answer = answers[np.arange(len(groups)), exits]
        # Exit k answers for the thetas above all earlier confidences, up to its own confidence.
        highest, start = np.maximum(highest, confidence[:, k]), end
        end = np.searchsorted(levels, highest, side="right")
        if k == num_exits - 1:
            end = np.full(len(groups), len(levels))
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


def choose_theta(
    predictions: Predictions,
    group: str,
    *,
    thetas: Sequence[float] = GRID,
    rule: str = DEFAULT_RULE,
    tolerance: float = 0.01,
    fallback: Fallback = "final",
    empty: Empty = "exclude",
) -> Policy:
    """Choose the threshold of a grid that is best by a metric on validation.

    A rule is the name of a metric. For a gap, such as "eodd", the threshold with the lowest gap is
    chosen among those whose macro F1 (mean over groups) is at most `tolerance` below that of the
    final exit; if there is none, no sample leaves early and the policy's theta is None. For any
    other metric, such as "f1", the threshold with the best value is chosen. Of equal thresholds the
    larger is chosen.

    Args:
        predictions: rows of the split "val" only.
        group: name of the sensitive attribute.
        thetas: the grid, each in (0, 1].
        rule: a key of `fairexit.metrics.METRICS`.
        tolerance: allowed loss of macro F1, for rules that are gaps.
        fallback: as for `select`.
        empty: value of a rate without samples, see `fairexit.metrics.rates`.
    Raises:
        UserError: rows belong to another split, the rule is unknown, a theta is out of range, or
            the groups cannot be compared.
    """
    if predictions.splits != ["val"]:
        present = ", ".join(split or "no split" for split in predictions.splits)
        raise UserError(
            "a threshold is chosen only on rows of split 'val', but these rows are of: "
            f"{short(present)}"
        )
    metric = check_rule(rule)
    groups, names = predictions.group(group)
    if len(predictions.exit_names) == 1:
        return Policy(None, fallback, "single exit")
    grid = np.sort(check_theta(thetas, np.float64))[::-1].tolist()
    counts, _ = sweep(predictions, group, grid, fallback)
    values = compute(counts, ("f1", rule), empty)
    if np.isnan(values[rule]).any():
        raise UserError(
            f"{metric.label} of attribute '{group}' is not defined on validation, because no class "
            "occurs in two of its groups"
        )
    final_counts = count_margins(
        predictions.labels,
        predictions.answers[:, -1],
        groups,
        num_classes=len(predictions.classes),
        num_groups=len(names),
    )
    min_f1 = compute(final_counts, ("f1",))["f1"].item() - tolerance
    best = best_option(metric, values[rule], values["f1"], min_f1)
    theta = None if best is None else grid[best]
    return Policy(theta, fallback, rule, tolerance, "val", group)
