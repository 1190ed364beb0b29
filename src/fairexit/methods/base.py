"""The contract of a method, and the one place where exits are summed.

A new method is a subclass of `Method` in a file of its own, entered in `methods`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fairexit.models import ExitNet
from fairexit.registry import Registry
from fairexit.types import Batch, Exit, Task


class Losses(NamedTuple):
    """A batch's loss and its parts: total scalar, target and penalty (E,), detached."""

    total: Tensor
    target: Tensor
    penalty: Tensor


class Method(nn.Module):
    """Trains every exit by its target loss and, if the method has one, a fairness penalty.

    Loss = sum_k alpha_k (target_k + penalty_k), over all exits, the final one included.
    Subclasses override any of `outputs`, `target_loss`, `penalty` and `probabilities`; keyword-only
    arguments of `__init__` are the method's options.

    Args:
        net: the network that is trained.
        task: classes and groups.
        exit_weights: alpha, one per exit.
    """

    def __init__(self, net: ExitNet, task: Task, exit_weights: Sequence[float]) -> None:
        super().__init__()
        self.net = net
        self.task = task
        self.exit_weights = tuple(exit_weights)

    def forward(self, batch: Batch) -> Losses:
        """The loss of a batch, with gradient."""
        exits = self.outputs(batch)
        total = exits[0].logits.new_zeros(())
        targets, penalties = [], []
        for k, (exit, weight) in enumerate(zip(exits, self.exit_weights, strict=True)):
            target, penalty = self.target_loss(k, exit, batch), self.penalty(k, exit, batch)
            total = total + weight * (target if penalty is None else target + penalty)
            targets.append(target.detach())
            penalties.append(torch.zeros_like(target) if penalty is None else penalty.detach())
        return Losses(total, torch.stack(targets), torch.stack(penalties))

    def outputs(self, batch: Batch) -> list[Exit]:
        """What the exits say of a training batch."""
        exits: list[Exit] = self.net(batch.images)
        return exits

    def target_loss(self, k: int, exit: Exit, batch: Batch) -> Tensor:
        """The loss of exit k as a classifier, a scalar."""
        return F.cross_entropy(exit.logits, batch.labels)

    def penalty(self, k: int, exit: Exit, batch: Batch) -> Tensor | None:
        """The fairness penalty of exit k, a scalar, its weight included; None for no penalty."""
        return None

    def probabilities(self, exits: list[Exit]) -> Tensor:
        """Class probabilities of every exit (B, E, C). They never depend on the attribute."""
        return torch.stack([exit.logits.softmax(-1) for exit in exits], dim=1)


methods: Registry[Method] = Registry("method", "fairexit.methods")
