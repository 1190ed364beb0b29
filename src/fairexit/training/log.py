"""What the log of a training says."""

import csv
import io


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
