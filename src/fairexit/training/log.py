"""What the log of a training says."""

import csv
import io
import math
from collections.abc import Mapping, Sequence

LOWER_IS_BETTER = {"eopp1", "eodd", "loss"}
"""Those of the values of `train.select` of which the lowest is the best."""
TOLERANCE = 0.01
"""Loss of macro F1 that a lower gap may cost."""


def kept_epoch(rows: Sequence[Mapping[str, float]], select: str) -> int:
    """Number, from 1, of the epoch whose weights are kept; 0 where no row has the criterion.

    The first with the best value. A network that answers one class for all has no gap, so by `eodd`
    and `eopp1` an epoch counts only as long as its macro F1 is within `TOLERANCE` of the best.

    Args:
        rows: the log, a row per epoch.
        select: as `train.select`.
    """
    kept, best, least = 0, math.inf, -math.inf
    for number, row in enumerate(rows, start=1):
        value = row.get(f"val_{select}", math.nan)
        value = value if select in LOWER_IS_BETTER else -value
        if select in ("eopp1", "eodd"):
            least = max(least, row["val_f1"] - TOLERANCE)
            if row["val_f1"] < least:
                continue
            if kept and rows[kept - 1]["val_f1"] < least:
                best = math.inf
        if value < best:
            kept, best = number, value
    return kept


def summary(row: dict[str, float], epochs: int) -> str:
    """An epoch in one line."""
    return (
        f"epoch {row['epoch']:.0f}/{epochs} loss {row['train_loss']:.4f} "
        f"val F1 {row['val_f1']:.4f} accuracy {row['val_accuracy']:.4f} "
        f"Eodd {row['val_eodd']:.4f} {row['seconds']:.0f} s"
    )


def csv_text(rows: list[dict[str, float]]) -> str:
    """A row per epoch, six digits."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: f"{v:.6g}" for k, v in row.items()} for row in rows)
    return stream.getvalue()
