"""What the log of a training says."""

import csv
import io
import math
from collections.abc import Mapping, Sequence

from fairexit.metrics.record import METRICS, main_metrics

LOSS = "loss"
"""The value of `train.select` that is no metric."""
TOLERANCE = 0.01
"""Loss of macro F1 that a lower gap may cost."""


def kept_epoch(rows: Sequence[Mapping[str, float]], select: str) -> int:
    """Number, from 1, of the epoch whose weights are kept; 0 where no row has the criterion.

    The first with the best value. A network that answers one class for all has no gap, so by a gap
    an epoch counts only if its macro F1 is within `TOLERANCE` of the best.

    Args:
        rows: the log, a row per epoch.
        select: as `train.select`: "loss" or the name of a metric.
    """
    by_loss = select == LOSS
    lower_is_better = by_loss or not METRICS[select].higher_is_better
    is_gap = not by_loss and METRICS[select].compares_groups
    kept, best, least = 0, math.inf, -math.inf
    for number, row in enumerate(rows, start=1):
        value = row.get(f"val_{select}", math.nan)
        value = value if lower_is_better else -value
        if is_gap:
            least = max(least, row["val_f1"] - TOLERANCE)
            if row["val_f1"] < least:
                continue
            if kept and rows[kept - 1]["val_f1"] < least:
                best = math.inf  # the kept epoch counts no more, and only this one's weights exist
        if value < best:
            kept, best = number, value
    return kept


def main_numbers(row: Mapping[str, float], digits: int = 3) -> str:
    """The main metrics of an epoch on validation, in one line."""
    numbers = ((METRICS[name].label, row[f"val_{name}"]) for name in main_metrics())
    return " ".join(f"{label} {value:.{digits}f}" for label, value in numbers)


def summary(row: dict[str, float], epochs: int) -> str:
    """An epoch in one line."""
    return (
        f"epoch {row['epoch']:.0f}/{epochs} loss {row['train_loss']:.4f} "
        f"val {main_numbers(row, 4)} {row['seconds']:.0f} s"
    )


def csv_text(rows: list[dict[str, float]]) -> str:
    """A row per epoch, six digits."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: f"{v:.6g}" for k, v in row.items()} for row in rows)
    return stream.getvalue()
