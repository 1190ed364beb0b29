"""Early exit after the fact: which exit answers at a threshold, and which threshold to take."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError, nearest
from fairexit.evaluation.policy import Fallback, Policy, Theta, check_fallback, check_theta
from fairexit.metrics.counts import count
from fairexit.metrics.group_metrics import Empty, compute
from fairexit.predictions.files import Predictions
from fairexit.types import UNKNOWN

__all__ = ["GRID", "RULES", "Policy", "choose_theta", "select", "shares", "sweep"]

GRID = (0.8, 0.85, 0.9, 0.95, 0.99, 0.999)
"""The thresholds of Chiu et al. 2023."""


def _pick_eodd(f1: NDArray[Any], eodd: NDArray[Any], least: float) -> int | None:
    kept = np.flatnonzero(f1 >= least - 1e-12)
    return int(kept[np.argmin(eodd[kept])]) if len(kept) else None


def _pick_f1(f1: NDArray[Any], eodd: NDArray[Any], least: float) -> int | None:
    return int(np.argmax(f1))


RULES: dict[str, Callable[[NDArray[Any], NDArray[Any], float], int | None]] = {
    "eodd": _pick_eodd,
    "f1": _pick_f1,
}
"""Rules by name: `(f1, eodd, least f1) -> index`, the first of equals, None if none will do."""


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
        raise UserError(f"{len(thetas)} thetas for {last} internal exits")
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
    rule: str = "eodd",
    tolerance: float = 0.01,
    fallback: Fallback = "final",
    empty: Empty = "exclude",
) -> Policy:
    """The threshold of a grid that a named rule prefers on validation.

    "eodd": the lowest Eodd among the thresholds whose macro F1 (mean over groups) loses at most
    `tolerance` against the final exit; "f1": the highest macro F1. Of equals the larger theta.
    If "eodd" finds no such threshold, nobody leaves early: the policy's theta is None.

    Args:
        predictions: rows of the split "val", no others.
        group: attribute.
        thetas: the grid, each in (0, 1].
        rule: a key of `RULES`.
        tolerance: allowed loss of macro F1, for "eodd".
        fallback: as for `select`.
        empty: what a rate without samples counts, see `fairexit.metrics.group_metrics`.
    Raises:
        UserError: other rows than validation's, an unknown rule, a theta out of range, a group
            that cannot be compared.
    """
    splits = np.unique(predictions.split).tolist()
    if splits != ["val"]:
        there = ", ".join(split or "no split" for split in splits)
        raise UserError(f"theta is chosen on rows of split 'val' only; these are of: {there}")
    if rule not in RULES:
        raise UserError(f"no rule '{rule}'; {nearest(rule, RULES)}")
    groups, names = predictions.group(group)
    if len(predictions.exit_names) == 1:
        return Policy(None, fallback, "single exit")
    grid = np.sort(check_theta(thetas, np.float64))[::-1].tolist()
    counts, _ = sweep(predictions, group, grid, fallback)
    values = compute(counts, ("f1", "eodd"), empty)
    if rule == "eodd" and np.isnan(values["eodd"]).any():
        raise UserError(f"Eodd of group '{group}' is not defined: no class occurs in two groups")
    final = predictions.probabilities[:, -1].argmax(-1)
    last = count(predictions.labels, final, groups, len(predictions.classes), len(names))
    least = compute(last, ("f1",))["f1"].item() - tolerance
    best = RULES[rule](values["f1"], values["eodd"], least)
    theta = None if best is None else grid[best]
    return Policy(theta, fallback, rule, tolerance, "val", group)
