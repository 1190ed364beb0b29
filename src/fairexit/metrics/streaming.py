"""Group metrics accumulated over batches, on any device and any number of processes."""

from typing import Any, get_args

import torch
from torch import Tensor
from torchmetrics import Metric

from fairexit.errors import UserError, nearest
from fairexit.metrics.rates import Empty
from fairexit.metrics.record import METRICS, compute
from fairexit.types import UNKNOWN


class GroupFairness(Metric):
    """Group metrics of all samples since the last reset, as a metric of torchmetrics.

    Each batch adds to the counts n[g, y, y'], the samples of group g and class y that were
    predicted as y'. The metrics are the same functions of the counts as for a table, so neither the
    batch size nor the number of processes changes them. Eopp1, for instance, is the mean over the
    classes c of max_g TPR_gc - min_g TPR_gc with TPR_gc = n[g, c, c] / sum over y' of n[g, c, y'].

    `compute` returns every metric in a dict, or a single scalar if `metric` is given. MetricTracker
    needs the scalar to select the best step, and BootStrapper to summarise its resamples.

    `update` does not synchronise with the GPU if `validate_args` is off; `compute`, and therefore
    `forward`, copies the counts to the CPU.

    Args:
        num_classes: C of the task.
        num_groups: M of the task.
        empty: "exclude" leaves out a rate without samples, "zero" counts it as 0.
        metric: the name of one metric in `fairexit.metrics.METRICS`; all of them by default.
        validate_args: check the values of every batch, which synchronises with the GPU once. If it
            is off, a label or group that is out of range is counted wrongly or stops the program,
            and a NaN counts as a prediction.
        kwargs: options of `torchmetrics.Metric`, such as `dist_sync_on_step`.
    Raises:
        UserError: a size is too small, or the metric or `empty` is unknown.

    >>> fairness = GroupFairness(num_classes=2, num_groups=2)
    >>> fairness.update(torch.tensor([0, 1, 0, 0]), torch.tensor([0, 1, 0, 1]),
    ...                 groups=torch.tensor([0, 0, 1, 1]))
    >>> fairness.compute()["eopp1"]
    tensor(0.5000)
    >>> gap = GroupFairness(num_classes=2, num_groups=2, metric="eopp1")
    >>> scores = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]])
    >>> gap(scores, torch.tensor([0, 1, 0, 1]), groups=torch.tensor([0, 0, 1, 1]))
    tensor(0.5000)
    >>> gap.higher_is_better
    False
    """

    full_state_update = False
    is_differentiable = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    counts: Tensor

    def __init__(
        self,
        num_classes: int,
        num_groups: int,
        empty: Empty = "exclude",
        *,
        metric: str | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_classes < 2 or num_groups < 1:
            raise UserError(
                f"num_classes={num_classes} and num_groups={num_groups}; at least two classes and "
                "one group are needed"
            )
        if metric is not None and metric not in METRICS:
            raise UserError(f"there is no metric '{metric}'; {nearest(metric, METRICS)}")
        if empty not in get_args(Empty):
            raise UserError(f"empty={empty!r} is unknown; {nearest(str(empty), get_args(Empty))}")
        self.num_classes = num_classes
        self.num_groups = num_groups
        self.empty: Empty = empty
        self.metric = metric
        self.validate_args = validate_args
        zeros = torch.zeros(num_groups, num_classes, num_classes, dtype=torch.int64)
        self.add_state("counts", zeros, dist_reduce_fx="sum")

    @property
    def higher_is_better(self) -> bool | None:  # type: ignore[override]
        """Whether a higher value of `metric` is better; None if all metrics are computed."""
        return None if self.metric is None else METRICS[self.metric].higher_is_better

    def update(self, preds: Tensor, target: Tensor, groups: Tensor) -> None:
        """Add a batch.

        Args:
            preds: logits or probabilities, (B, C); or predicted classes, (B,), of an integer type;
                or, for two classes, probabilities of class 1, (B,) or (B, 1), of a floating type,
                where a value above 0.5 predicts class 1.
            target: true classes, (B,).
            groups: groups, (B,); samples of UNKNOWN (-1) are left out.
        Raises:
            UserError: a shape or type does not fit; or, with `validate_args`, an index or a binary
                probability is out of its range, or a value is NaN.
        """
        predicted = self._predicted_classes(preds)
        if not predicted.shape == target.shape == groups.shape == (len(predicted),):
            raise UserError(
                f"predictions {tuple(preds.shape)}, target {tuple(target.shape)} and groups "
                f"{tuple(groups.shape)} must have the same length"
            )
        for name, values in (("target", target), ("groups", groups)):
            if values.is_floating_point():
                raise UserError(f"{name} has the type {values.dtype}; give indices, such as int64")
        target, groups = target.long(), groups.long()
        if self.validate_args:
            self._check_values(preds, predicted, target, groups)
        cells = self.counts.numel()
        cell = (groups * self.num_classes + target) * self.num_classes + predicted
        # Unknown groups go to a cell of their own, as selecting the others would wait for the GPU.
        cell = cell.masked_fill(groups == UNKNOWN, cells)
        totals = cell.new_zeros(cells + 1).scatter_add_(0, cell, torch.ones_like(cell))
        self.counts = self.counts + totals[:-1].view_as(self.counts)

    def compute(self) -> Any:
        """Every metric by name, as 0-dim tensors on this device; or only that of `metric`."""
        names = list(METRICS) if self.metric is None else [self.metric]
        arrays = compute(self.counts.cpu().numpy(), names, self.empty)
        values = [array.item() for array in arrays.values()]
        tensors = torch.tensor(values, dtype=self.dtype, device=self.counts.device).unbind()
        return dict(zip(names, tensors, strict=True)) if self.metric is None else tensors[0]

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Plot `val`, one or several results of `compute` or `forward`; by default the current one.

        Returns:
            The figure and its axes, as from every metric of torchmetrics.
        """
        return self._plot(val, ax)

    def set_dtype(self, dst_type: str | torch.dtype) -> "GroupFairness":
        """Set the type of the computed values; the counts stay integers."""
        counts, zeros = self.counts, self._defaults["counts"]
        super().set_dtype(dst_type)
        self.counts, self._defaults["counts"] = counts, zeros
        return self

    def _predicted_classes(self, preds: Tensor) -> Tensor:
        shape, is_score = tuple(preds.shape), preds.is_floating_point()
        if is_score and shape[1:] == (self.num_classes,):
            return preds.argmax(1)
        if is_score and shape[1:] in ((), (1,)) and self.num_classes == 2:
            return (preds.reshape(-1) > 0.5).long()
        if not is_score and preds.ndim == 1:
            return preds.long()
        raise UserError(
            f"predictions have the shape {shape} and the type {preds.dtype}; give scores "
            f"(B, {self.num_classes}) of a floating type or classes (B,) of an integer type"
        )

    def _check_values(
        self, preds: Tensor, predicted: Tensor, target: Tensor, groups: Tensor
    ) -> None:
        """Raise a UserError if a value is wrong; synchronises with the GPU once if none is."""
        checks = [
            ("label", target, *_outside(target, 0, self.num_classes)),
            ("group", groups, *_outside(groups, UNKNOWN, self.num_groups)),
        ]
        if not preds.is_floating_point():
            checks.append(("prediction", predicted, *_outside(predicted, 0, self.num_classes)))
        elif preds.shape[1:] == (self.num_classes,):
            checks.append(("prediction", preds, preds.isnan(), "is not a number"))
        else:
            wrong = ~((preds >= 0) & (preds <= 1))
            reason = "is no probability: apply a sigmoid to binary scores"
            checks.append(("prediction", preds, wrong, reason))
        if not torch.stack([wrong.any() for _, _, wrong, _ in checks]).any():
            return
        for kind, values, wrong, reason in checks:
            if wrong.any():
                position = wrong.nonzero()[0, 0].item()
                value = values[wrong][0].item()
                raise UserError(f"{kind} {value} {reason} (sample {position} of the batch)")


def _outside(values: Tensor, low: int, end: int) -> tuple[Tensor, str]:
    reason = f"is out of range: from {low} to {end - 1} is allowed"
    return (values < low) | (values >= end), reason
