"""Weights for the cells of class and group: balanced once, or adapted to the losses."""

from collections.abc import Sequence

import torch
import torch.distributed as distributed
from pydantic import NonNegativeFloat
from torch import Tensor
from torch.nn import functional as F

from fairexit.methods.base import Method, methods
from fairexit.models import ExitNet
from fairexit.types import UNKNOWN, Batch, Exit, Task


def cells_of(labels: Tensor, groups: Tensor, num_groups: int) -> Tensor:
    """Index of each sample's cell of class and group, (N,); UNKNOWN if the group is unknown."""
    return torch.where(groups == UNKNOWN, UNKNOWN, labels * num_groups + groups)


@methods.register("reweight")
class Reweight(Method):
    """Cross-entropy weighted so that every cell of class and group has the same total weight.

    The totals are over the training split. A sample of unknown group has weight one.
    """

    cell_weights: Tensor

    def __init__(self, net: ExitNet, task: Task, exit_weights: Sequence[float]) -> None:
        super().__init__(net, task, exit_weights)
        cells = task.num_classes * task.num_groups
        self.register_buffer("cell_weights", torch.ones(cells), persistent=False)

    def begin(self, labels: Tensor, groups: Tensor) -> None:
        cells = cells_of(labels, groups, self.task.num_groups)
        counts = torch.bincount(cells[cells != UNKNOWN], minlength=len(self.cell_weights))
        present = counts > 0
        weights = counts.sum() / (present.sum() * counts.clamp_min(1))
        self.cell_weights.copy_(torch.where(present, weights, 0))

    def target_loss(self, k: int, exit: Exit, batch: Batch) -> Tensor:
        losses = F.cross_entropy(exit.logits, batch.labels, reduction="none")
        cells = cells_of(batch.labels, batch.groups, self.task.num_groups)
        weights = torch.where(cells == UNKNOWN, 1, self.cell_weights[cells.clamp_min(0)])
        return (weights * losses).sum() / weights.sum()


def _mean_over_processes(total: Tensor, counts: Tensor) -> Tensor:
    """Mean loss of each cell, (C M,), over the parts of the batch in all processes.

    Args:
        total: sum of this process's losses in each cell, (C M,).
        counts: number of this process's samples in each cell, (C M,).
    """
    sums = torch.stack([total.detach(), counts.to(total.dtype)])
    if distributed.is_initialized():
        distributed.all_reduce(sums)
    return sums[0] / sums[1].clamp_min(1)


@methods.register("groupdro")
class GroupDro(Method):
    """Minimises the loss of the worst cells of class and group (Sagawa et al. 2020).

    The weight of a cell grows with its loss, separately at each exit: q <- q exp(step loss), scaled
    to sum to one. Samples of unknown group are left out. If a batch lacks some cells, the others
    share their weight; the source does not cover this case.

    Args:
        step: step size of the weights' updates.
    """

    q: Tensor

    def __init__(
        self,
        net: ExitNet,
        task: Task,
        exit_weights: Sequence[float],
        *,
        step: NonNegativeFloat = 0.01,
    ) -> None:
        super().__init__(net, task, exit_weights)
        self.step = step
        cells = task.num_classes * task.num_groups
        self.register_buffer("q", torch.full((net.num_exits, cells), 1 / cells))

    def target_loss(self, k: int, exit: Exit, batch: Batch) -> Tensor:
        losses = F.cross_entropy(exit.logits, batch.labels, reduction="none")
        cells = cells_of(batch.labels, batch.groups, self.task.num_groups)
        known = cells != UNKNOWN
        self.left_out += (~known).sum()
        cells, losses = cells[known], losses[known]
        total = torch.zeros_like(self.q[k]).index_add(0, cells, losses)
        counts = torch.bincount(cells, minlength=self.q.shape[1])
        mean = total / counts.clamp_min(1)
        if self.training:
            with torch.no_grad():
                self.q[k] *= (self.step * _mean_over_processes(total, counts)).exp()
                self.q[k] /= self.q[k].sum()
        # Cells that the batch lacks have no loss, so the others share their weight.
        q = self.q[k] * (counts > 0)
        return (q * mean).sum() / q.sum().clamp_min(1e-12)
