"""Weights for the cells of class and group: balanced once, or adapted to the losses."""

from collections.abc import Sequence
from typing import Annotated

import torch
import torch.distributed as distributed
from pydantic import Field, NonNegativeFloat
from torch import Tensor

from fairexit.methods.base import Method, methods
from fairexit.models import ExitNet
from fairexit.search_space import Axis
from fairexit.types import UNKNOWN, Batch, Exit, Task


def cells_of(labels: Tensor, groups: Tensor, num_groups: int) -> Tensor:
    """Index of each sample's cell of class and group, (N,); UNKNOWN if the group is unknown."""
    return torch.where(groups == UNKNOWN, UNKNOWN, labels * num_groups + groups)


def cell_shares(labels: Tensor, groups: Tensor, draws: Tensor | None, task: Task) -> Tensor:
    """Share of each cell of class and group in the samples that an epoch draws, (C M,).

    Args:
        labels: class indices, (N,).
        groups: group indices or UNKNOWN, (N,); samples of unknown group are in no cell, so that the
            shares sum to less than one.
        draws: as for `Method.begin`.
        task: the classes and groups.
    """
    cells = cells_of(labels, groups, task.num_groups)
    known = cells != UNKNOWN
    draws = torch.ones(len(labels), device=labels.device) if draws is None else draws
    totals = torch.bincount(cells[known], draws[known], task.num_classes * task.num_groups)
    return totals / draws.sum()


@methods.register("reweight")
class Reweight(Method, capturable=True):
    """Cross-entropy weighted so that every cell of class and group has the same total weight.

    The totals are over the samples that an epoch draws. The weights are fixed, with mean one, and
    a batch's loss is divided by its number of samples, not by its own weights: many small batches
    have the same mean loss and gradient as a large one. A sample of unknown group has weight one.

    Args:
        power: a cell that has the share p of the drawn samples gets a weight proportional to
            p^-power: 1 makes all cells equal, 0 is plain training.
    """

    search_space = (Axis("method.power", (0.2, 1.0), log=False),)
    cell_weights: Tensor

    def __init__(
        self,
        net: ExitNet,
        task: Task,
        exit_weights: Sequence[float],
        *,
        power: Annotated[float, Field(ge=0, le=1)] = 1.0,
    ) -> None:
        super().__init__(net, task, exit_weights)
        self.power = power
        cells = task.num_classes * task.num_groups
        self.register_buffer("cell_weights", torch.ones(cells), persistent=False)

    def begin(self, labels: Tensor, groups: Tensor, draws: Tensor | None = None) -> None:
        shares = cell_shares(labels, groups, draws, self.task)
        weights = torch.where(shares > 0, shares**-self.power, 0)
        self.cell_weights.copy_(weights * (shares.sum() / (shares * weights).sum()))

    def target_loss(self, k: int, exit: Exit, batch: Batch) -> Tensor:
        losses = self.cross_entropy(exit.logits, batch.labels)
        cells = cells_of(batch.labels, batch.groups, self.task.num_groups)
        weights = torch.where(cells == UNKNOWN, 1, self.cell_weights[cells.clamp_min(0)])
        return (weights * losses).mean()


@methods.register("groupdro")
class GroupDro(Method, capturable=True):
    """Minimises the loss of the worst cells of class and group (Sagawa et al. 2020).

    Loss = sum over cells of q times the cell's mean loss, with weights q of its own at each exit.
    The weight of a cell grows with its loss: q <- q exp(step loss), scaled to sum to one.

    `data.sampling: group-balanced` is the sampling of the source, whose algorithm draws each cell
    with the same probability. Other samplings work as well: a sample of a cell that has the share p
    of the drawn samples counts q / p, so that many small batches have the same mean loss and
    gradient as a large one. If a batch lacks a cell, that cell keeps its q, and the cells of the
    batch share theirs anew; so the q of a rare cell changes in fewer steps. Cells without a
    training image have q = 0, and samples of unknown group are left out.

    Args:
        step: step size of the weights' updates.
    """

    search_space = (Axis("method.step", (0.001, 1.0), log=True),)

    q: Tensor
    shares: Tensor

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
        self.register_buffer("shares", torch.full((cells,), 1 / cells), persistent=False)

    def begin(self, labels: Tensor, groups: Tensor, draws: Tensor | None = None) -> None:
        shares = cell_shares(labels, groups, draws, self.task)
        self.shares.copy_(shares)
        self.q.copy_((shares > 0) / (shares > 0).sum())

    def target_loss(self, k: int, exit: Exit, batch: Batch) -> Tensor:
        losses = self.cross_entropy(exit.logits, batch.labels)
        cells = cells_of(batch.labels, batch.groups, self.task.num_groups)
        known = cells != UNKNOWN
        self.left_out += (~known).sum()
        cells = cells.clamp_min(0)
        if self.training:
            self._update(k, cells, known, losses.detach())
        # Masked, not selected, which would wait for the GPU.
        weights = torch.where(known, self.q[k][cells] / self.shares[cells], 0)
        return (weights * losses).mean()

    def _update(self, k: int, cells: Tensor, known: Tensor, losses: Tensor) -> None:
        """Update the weights at exit k of the cells that occur in the batch of all processes.

        Args:
            k: index of the exit.
            cells: cell of each sample, (B,); any cell for one of unknown group.
            known: whether a sample's group is known, (B,); the others are left out.
            losses: loss of each sample, (B,).
        """
        q = self.q[k]
        sums = q.new_zeros(2, len(q))
        sums.index_add_(1, cells, torch.stack([losses * known, known.to(losses.dtype)]))
        if self.processes > 1 and self._images is None:
            distributed.all_reduce(sums)
        total, count = sums
        present = count > 0
        grown = (q.log() + self.step * total / count.clamp_min(1)).masked_fill(~present, -torch.inf)
        share = (q * present).sum()
        self.q[k] = torch.where(present, share * grown.softmax(0), q)
