"""The log of a training run: the best epoch, and rows as text."""

import csv
import io
import math
from collections.abc import Mapping, Sequence

from fairexit.metrics.collapse import COLLAPSED
from fairexit.metrics.record import METRICS, main_metrics

LOSS = "loss"
"""The value of `train.select` that is not a metric."""
TOLERANCE = 0.01
"""Largest loss of macro F1 against the best epoch with which an epoch is selected by a gap."""


def kept_epoch(rows: Sequence[Mapping[str, float]], select: str) -> int:
    """Number of the epoch whose weights are kept: the first with the best value on validation.

    An epoch whose network answers one class nearly always is kept only while there is no other.
    If `select` is a gap, only epochs whose macro F1 is within `TOLERANCE` of the best so far are
    compared, because a poor network can have a small gap.

    Args:
        rows: the log, one row per epoch.
        select: the setting `train.select`: "loss" or the name of a metric.
    Returns:
        The number, from 1; 0 where no row has a value of the criterion.
    """
    by_loss = select == LOSS
    lower_is_better = by_loss or not METRICS[select].higher_is_better
    is_gap = not by_loss and METRICS[select].compares_groups
    best, best_value, least_f1 = 0, math.inf, -math.inf
    for number, row in enumerate(rows, start=1):
        value = row.get(f"val_{select}", math.nan)
        value = value if lower_is_better else -value
        only_collapsed = best > 0 and _has_collapsed(rows[best - 1])
        if _has_collapsed(row) and best and not only_collapsed:
            continue
        if only_collapsed and not _has_collapsed(row):
            best_value, least_f1 = math.inf, -math.inf
        if is_gap:
            least_f1 = max(least_f1, row["val_f1"] - TOLERANCE)
            if row["val_f1"] < least_f1:
                continue
            if best and rows[best - 1]["val_f1"] < least_f1:
                # The best epoch is no longer allowed. Earlier weights are not stored, so this
                # epoch replaces it.
                best_value = math.inf
        if value < best_value:
            best, best_value = number, value
    return best


def _has_collapsed(row: Mapping[str, float]) -> bool:
    """Whether one class had nearly all answers on validation."""
    return row.get("val_main_answer", 0.0) >= COLLAPSED


def main_numbers(row: Mapping[str, float], digits: int = 3) -> str:
    """The main metrics of an epoch on validation, on one line."""
    numbers = ((METRICS[name].label, row[f"val_{name}"]) for name in main_metrics())
    return " ".join(f"{label} {value:.{digits}f}" for label, value in numbers)


def summary(row: dict[str, float], epochs: int) -> str:
    """An epoch on one line."""
    return (
        f"epoch {row['epoch']:.0f}/{epochs} loss {row['train_loss']:.4f} "
        f"val {main_numbers(row, 4)} {row['seconds']:.0f} s"
    )


def scalar_name(column: str) -> str:
    """A column of the log as TensorBoard and trackers group it.

    >>> scalar_name("val_f1")
    'val/f1'
    """
    return column.replace("_", "/", 1)


def csv_text(rows: list[dict[str, float]]) -> str:
    """The log as CSV, one row per epoch, with six digits."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: f"{v:.6g}" for k, v in row.items()} for row in rows)
    return stream.getvalue()
