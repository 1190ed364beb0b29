"""Early exit after the fact: which exit answers at a threshold, and which threshold to take."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError, nearest, option, short
from fairexit.evaluation.policy import Fallback, Policy, Theta, check_fallback, check_theta
from fairexit.metrics.counts import count
from fairexit.metrics.rates import Empty, Values
from fairexit.metrics.record import METRICS, Metric, compute
from fairexit.predictions.files import Predictions
from fairexit.types import UNKNOWN

GRID = (0.8, 0.85, 0.9, 0.95, 0.99, 0.999)
"""The thresholds of Chiu et al. 2023."""


DEFAULT_RULE = "eodd"
"""The metric by which a threshold is chosen unless another is named."""


def check_rule(rule: str) -> Metric:
    """The metric that a rule is named after.

    Raises:
        UserError: there is no such metric.
    """
    if rule not in METRICS:
        raise UserError(f"{option('rule')} is '{short(rule)}'; {nearest(rule, METRICS)}")
    return METRICS[rule]


def best_option(metric: Metric, values: Values, f1: Values, least_f1: float) -> int | None:
    """The best of some options (epochs, thresholds, trials) by a metric.

    By a gap the lowest among the options whose macro F1 is at least `least_f1`, since a network
    that answers one class for all has no gap; by any other metric its best value. Of equals the
    first.

    Args:
        metric: what decides.
        values: of the metric, (K,); NaN never wins.
        f1: macro F1, (K,).
        least_f1: the least F1 that an option of low gap may have.
    Returns:
        Index of the option, None where there is none.
    """
    allowed = f1 >= least_f1 - 1e-12 if metric.compares_groups else np.ones(len(values), bool)
    kept = np.flatnonzero(allowed & ~np.isnan(values))
    if not len(kept):
        return None
    ranked = -values[kept] if metric.higher_is_better else values[kept]
    return int(kept[np.argmin(ranked)])


def select(
    probabilities: NDArray[Any], theta: Theta | None, fallback: Fallback = "final"
) -> NDArray[np.int64]:
    """The exit that answers for each sample: the earliest whose confidence reaches theta.

    The confidence is the largest probability. It is compared in single precision, as networks
    compute it, so that choosing afterwards equals leaving early.

    Args:
        probabilities: (N, E, C), the final exit last.
        theta: in (0, 1], or one for each of the E - 1 internal exits; None: the final exit.
        fallback: who answers where no exit is confident: "final" or "most_confident".
    Returns:
        Exit indices, (N,).
    Raises:
        UserError: theta or the fallback is not one of these.
    """
    check_fallback(fallback)
    last = probabilities.shape[1] - 1
    if theta is None:
        return np.full(len(probabilities), last)
    thetas = check_theta(theta)
    if thetas.ndim and len(thetas) != last:
        raise UserError(
            f"there are {len(thetas)} thresholds but {last} internal exits; give one for each"
        )
    confidence = probabilities.max(-1).astype(np.float32)
    confident = confidence[:, :-1] >= thetas
    otherwise = np.full(len(confidence), last) if fallback == "final" else confidence.argmax(1)
    first = np.pad(confident, ((0, 0), (0, 1)), constant_values=True).argmax(1)
    return np.where(first < last, first, otherwise)


def sweep(
    predictions: Predictions, group: str, thetas: Sequence[float], fallback: Fallback = "final"
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Counts and exit shares at many thresholds in one pass.

    As theta rises, a sample moves from exit to exit at most E - 1 times. So each sample adds to a
    few intervals of the sorted thetas; running sums over them give every threshold at once.

    Args:
        predictions: N samples.
        group: attribute.
        thetas: T thresholds in (0, 1], in any order.
        fallback: as for `select`.
    Returns:
        Counts (T, M, C, C), and the share of each group that leaves at each exit (T, M, E), NaN
        for a group without samples.
    Raises:
        UserError: a theta is out of range, or the group is unknown or has one value only.
    """
    check_fallback(fallback)
    groups, names = predictions.group(group)
    levels, place = np.unique(check_theta(thetas), return_inverse=True)
    known = groups != UNKNOWN
    probabilities, groups = predictions.probabilities[known], groups[known]
    labels = predictions.labels[known]
    (n, num_exits, num_classes), num_groups = probabilities.shape, len(names)
    confidence, answers = probabilities.max(-1).astype(np.float32), probabilities.argmax(-1)
    exits = np.tile(np.arange(num_exits), (n, 1))
    if fallback == "most_confident":
        exits[:, -1] = confidence.argmax(1)
        answers[:, -1] = answers[np.arange(n), exits[:, -1]]
    # Exit k answers for the thetas above all earlier confidences, up to its own.
    ends = np.searchsorted(levels, np.maximum.accumulate(confidence, axis=1), side="right")
    ends[:, -1] = len(levels)
    starts = np.pad(ends[:, :-1], ((0, 0), (1, 0)))
    sample, exit_ = np.nonzero(starts < ends)
    start, end = starts[sample, exit_], ends[sample, exit_]
    counts = np.zeros((len(levels) + 1, num_groups, num_classes, num_classes), np.int64)
    left = np.zeros((len(levels) + 1, num_groups, num_exits), np.int64)
    cell = (groups[sample], labels[sample], answers[sample, exit_])
    for total, where in ((counts, cell), (left, (groups[sample], exits[sample, exit_]))):
        np.add.at(total, (start, *where), 1)
        np.subtract.at(total, (end, *where), 1)
        np.cumsum(total, axis=0, out=total)
    return counts[place], shares(left[place])


def shares(left: NDArray[np.int64]) -> NDArray[np.float64]:
    """How many left at each exit (..., E) as shares of their sum, NaN where it is 0."""
    total = np.broadcast_to(left.sum(-1, keepdims=True), left.shape)
    share: NDArray[np.float64] = np.divide(
        left, total, out=np.full(left.shape, np.nan), where=total > 0
    )
    return share


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
    """The threshold of a grid that a named rule prefers on validation.

    A rule is a metric's name. By a gap, such as "eodd": the lowest among the thresholds whose macro
    F1 (mean over groups) loses at most `tolerance` against the final exit; if there is none, nobody
    leaves early and the policy's theta is None. By any other metric, such as "f1": its best value.
    Of equals the larger theta.

    Args:
        predictions: rows of the split "val", no others.
        group: attribute.
        thetas: the grid, each in (0, 1].
        rule: a key of `fairexit.metrics.METRICS`.
        tolerance: allowed loss of macro F1, for rules that are gaps.
        fallback: as for `select`.
        empty: what a rate without samples counts, see `fairexit.metrics.rates`.
    Raises:
        UserError: other rows than validation's, an unknown rule, a theta out of range, a group
            that cannot be compared.
    """
    splits = np.unique(predictions.split).tolist()
    if splits != ["val"]:
        there = ", ".join(split or "no split" for split in splits)
        raise UserError(
            "a threshold is chosen only on rows of split 'val', but these rows are of: "
            f"{short(there)}"
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
    final = predictions.probabilities[:, -1].argmax(-1)
    last = count(
        predictions.labels,
        final,
        groups,
        num_classes=len(predictions.classes),
        num_groups=len(names),
    )
    least = compute(last, ("f1",))["f1"].item() - tolerance
    best = best_option(metric, values[rule], values["f1"], least)
    theta = None if best is None else grid[best]
    return Policy(theta, fallback, rule, tolerance, "val", group)
