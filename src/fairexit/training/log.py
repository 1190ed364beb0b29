"""What the log of a training says."""

import csv
import io

import numpy as np
import torch

from fairexit.methods import Losses, Method


def penalty_ratio(method: Method, losses: Losses) -> float:
    """Norm of the penalty's gradient on the trunk, as a share of the target loss's.

    Args:
        method: whose network it is.
        losses: of a batch, their graph still there; it is kept.
    """
    trunk = [p for p in method.net.backbone.stages.parameters() if p.requires_grad]
    norms = []
    for part in (losses.penalty, losses.target):
        found = torch.autograd.grad(part, trunk, retain_graph=True, allow_unused=True)
        norms.append(sum(float(g.float().square().sum()) for g in found if g is not None))
    return float(np.sqrt(norms[0] / max(norms[1], 1e-30)))


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
