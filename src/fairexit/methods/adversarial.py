"""An adversary reads the attribute off the features; the trunk learns to give it nothing."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from fairexit.methods.base import Method, methods
from fairexit.models import ExitNet
from fairexit.types import UNKNOWN, Batch, Exit, Task


class Adversarial(Method, ABC):
    """What both forms share: an adversary for each exit, and how strong it is when.

    Args:
        weight: strength of the adversary's effect on the trunk.
        hidden: width of the adversary's hidden layer.
        warmup: let the strength rise as 2 / (1 + exp(-10 t)) - 1 over training's time t from 0 to
            1 (Ganin and Lempitsky 2015).
    """

    def __init__(
        self,
        net: ExitNet,
        task: Task,
        exit_weights: Sequence[float],
        *,
        weight: NonNegativeFloat = 0.1,
        hidden: PositiveInt = 64,
        warmup: bool = False,
    ) -> None:
        super().__init__(net, task, exit_weights)
        self.weight, self.warmup = weight, warmup
        self.adversaries = nn.ModuleList(
            nn.Sequential(
                nn.Linear(head.classifier.in_features, hidden),
                nn.ReLU(),
                nn.Linear(hidden, task.num_groups),
            )
            for head in net.exit_heads
        )

    @property
    def strength(self) -> float:
        rise = 2 / (1 + math.exp(-10 * self.time)) - 1 if self.warmup else 1.0
        return self.weight * rise

    def penalty(self, k: int, exit: Exit, batch: Batch) -> Tensor:
        known = batch.groups != UNKNOWN
        if not known.any():
            self.left_out += 1
            return exit.features.sum() * 0 + self._untouched(k)
        return self.duel(self.adversaries[k], exit.features[known], batch.groups[known])

    @abstractmethod
    def duel(self, adversary: nn.Module, z: Tensor, groups: Tensor) -> Tensor:
        """The loss that trains adversary and trunk at once."""

    def _untouched(self, k: int) -> Tensor:
        """Zero, with the zero gradient that several processes wait for."""
        return sum((p.sum() * 0 for p in self.adversaries[k].parameters()), torch.zeros(()))


@methods.register("advconf")
class AdvConf(Adversarial):
    """Confusion: the trunk makes the adversary's answer uniform (Alvi et al. 2018)."""

    def duel(self, adversary: nn.Module, z: Tensor, groups: Tensor) -> Tensor:
        own = F.cross_entropy(adversary(z.detach()), groups)
        frozen = {name: p.detach() for name, p in adversary.named_parameters()}
        answer = functional_call(adversary, frozen, (z,))
        # Cross-entropy to 1/M; M's entropy is taken off so that full confusion costs nothing.
        confusion = -F.log_softmax(answer, 1).mean() - math.log(answer.shape[1])
        return own + self.strength * confusion


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return z.view_as(z)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None


def reverse_gradient(z: Tensor, strength: float) -> Tensor:
    """z itself; its gradient comes back times -strength (Ganin and Lempitsky 2015)."""
    reversed_: Tensor = _Reverse.apply(z, strength)
    return reversed_


@methods.register("advrev")
class AdvRev(Adversarial):
    """Reversal: the trunk climbs the adversary's loss (Zhang et al. 2018)."""

    def duel(self, adversary: nn.Module, z: Tensor, groups: Tensor) -> Tensor:
        return F.cross_entropy(adversary(reverse_gradient(z, self.strength)), groups)
