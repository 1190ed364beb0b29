"""Group metrics over a loop of batches, on any device and any number of processes."""

import torch
from torch import Tensor
from torchmetrics import Metric

from fairexit.errors import UserError
from fairexit.metrics.group_metrics import Empty, compute
from fairexit.types import UNKNOWN


class GroupFairness(Metric):
    """All group metrics of everything seen since the last reset.

    Batches add to the counts n[g, y, y'] (samples of group g and class y, predicted y'); the
    metrics are the same functions of the counts as for a table, so batch size and the number of
    processes cannot change them. Eodd is mean over c of |(TPR_0c - TPR_1c) + (FPR_0c - FPR_1c)|/2;
    with more groups, and for the other formulas, see `fairexit.metrics.group_metrics`.

    Args:
        num_classes: C, the task's.
        num_groups: M, the task's.
        empty: what a rate without samples counts: "exclude" leaves it out, "zero" counts 0.

    >>> fairness = GroupFairness(num_classes=2, num_groups=2)
    >>> fairness.update(torch.tensor([0, 1, 0, 0]), torch.tensor([0, 1, 0, 1]),
    ...                 groups=torch.tensor([0, 0, 1, 1]))
    >>> fairness.compute()["eopp1"]
    0.5
    """

    full_state_update = False
    is_differentiable = False
    counts: Tensor

    def __init__(self, num_classes: int, num_groups: int, empty: Empty = "exclude") -> None:
        super().__init__()
        self.num_classes = num_classes
        self.num_groups = num_groups
        self.empty: Empty = empty
        zeros = torch.zeros(num_groups, num_classes, num_classes, dtype=torch.int64)
        self.add_state("counts", zeros, dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor, groups: Tensor) -> None:
        """Add a batch.

        Args:
            preds: logits or probabilities (B, C), or predicted classes (B,).
            target: true classes, (B,).
            groups: groups, (B,), or UNKNOWN (-1), which is left out.
        Raises:
            UserError: a shape does not fit, or an index is out of its range.
        """
        if preds.ndim == 2 and preds.shape[1] != self.num_classes:
            raise UserError(
                f"the predictions have {preds.shape[1]} columns, but there are {self.num_classes} "
                "classes"
            )
        answers = preds.argmax(1) if preds.ndim == 2 else preds
        if not answers.shape == target.shape == groups.shape == (len(target),):
            raise UserError(
                f"predictions {tuple(preds.shape)}, target {tuple(target.shape)} and groups "
                f"{tuple(groups.shape)} must have the same length"
            )
        _check_range("prediction", answers, 0, self.num_classes)
        _check_range("label", target, 0, self.num_classes)
        _check_range("group", groups, UNKNOWN, self.num_groups)
        known = groups != UNKNOWN
        cell = (groups[known].long() * self.num_classes + target[known]) * self.num_classes
        flat = torch.bincount(cell + answers[known], minlength=self.counts.numel())
        self.counts += flat.view_as(self.counts)

    def compute(self) -> dict[str, float]:
        """Metric name -> value; the names are those of `fairexit.metrics.METRICS`."""
        values = compute(self.counts.cpu().numpy(), empty=self.empty)
        return {name: value.item() for name, value in values.items()}


def _check_range(what: str, values: Tensor, low: int, end: int) -> None:
    wrong = values[(values < low) | (values >= end)]
    if len(wrong):
        raise UserError(
            f"{what} {wrong[0].item()} is out of range; it must be from {low} to {end - 1}"
        )
