"""Adversarial methods: the trunk hides the attribute from a classifier of its features."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any

import torch
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from fairexit.methods.base import Method, groups_with_samples, methods
from fairexit.models import ExitNet
from fairexit.search_space import Axis
from fairexit.types import UNKNOWN, Batch, Exit, Task


class Adversarial(Method, ABC):
    """Base of both forms: one adversary per exit, and its strength in the course of training.

    The loss is a mean over the batch's samples, of which those of unknown group count as zero. The
    adversary tells apart only the groups that have a training image: one that it never sees would
    keep its answer from ever being uniform.

    Args:
        weight: strength of the adversary's effect on the trunk.
        hidden: width of the adversary's hidden layer.
        warmup: share of the training over which the strength rises from 0, by the factor
            2 / (1 + exp(-10 t)) - 1 at the share t of the warm-up; 1 is the schedule of Ganin and
            Lempitsky 2015, and 0 has the whole strength at once.
    """

    search_space = (
        Axis("method.weight", (0.1, 30.0), log=True),
        Axis("method.warmup", (0.0, 1.0), log=False),
    )
    trained_groups: Tensor

    def __init__(
        self,
        net: ExitNet,
        task: Task,
        exit_weights: Sequence[float],
        *,
        weight: NonNegativeFloat = 1.0,
        hidden: PositiveInt = 64,
        warmup: Annotated[float, Field(ge=0, le=1)] = 1.0,
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
        trained = torch.arange(task.num_groups)
        self.register_buffer("trained_groups", trained, persistent=False)

    def begin(self, labels: Tensor, groups: Tensor, draws: Tensor | None = None) -> None:
        trained = groups_with_samples(groups, self.task.num_groups)
        self.trained_groups = trained.to(self.trained_groups.device)

    @property
    def strength(self) -> Tensor | float:
        """Current strength of the adversary's effect on the trunk."""
        if self.warmup == 0:
            return self.weight
        return self.weight * (2 / (1 + torch.exp(-10 * self.time / self.warmup)) - 1)

    def penalty(self, k: int, exit: Exit, batch: Batch) -> Tensor:
        known = batch.groups != UNKNOWN
        self.left_out += ~known.any()
        groups = torch.searchsorted(self.trained_groups, batch.groups.clamp_min(0))
        losses = self.adversarial_losses(self.adversaries[k], exit.features, groups)
        # Masked, not selected, which would wait for the GPU. So the adversary has a gradient even
        # if no group is known, as several processes need it.
        return torch.where(known, losses, 0).mean()

    @abstractmethod
    def adversarial_losses(self, adversary: nn.Module, z: Tensor, groups: Tensor) -> Tensor:
        """The losses that train the adversary and the trunk at the same time.

        Args:
            adversary: maps features to logits of all M groups.
            z: features, (B, D).
            groups: index of each sample's group among `trained_groups`, (B,); any index for a
                sample of unknown group, whose loss is left out.
        Returns:
            The loss of each sample, (B,).
        """


@methods.register("advconf")
class AdvConf(Adversarial, capturable=True):
    """Confusion: the trunk makes the adversary's prediction uniform (Alvi et al. 2018)."""

    def adversarial_losses(self, adversary: nn.Module, z: Tensor, groups: Tensor) -> Tensor:
        trained = self.trained_groups
        adversary_losses = F.cross_entropy(
            adversary(z.detach())[:, trained], groups, reduction="none"
        )
        frozen = {name: p.detach() for name, p in adversary.named_parameters()}
        logits = functional_call(adversary, frozen, (z,))[:, trained]
        # Cross-entropy to the uniform distribution minus its entropy: 0 at full confusion.
        confusion = -F.log_softmax(logits, 1).mean(1) - math.log(logits.shape[1])
        return adversary_losses + self.strength * confusion


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, strength: Tensor | float) -> Tensor:
        ctx.strength = strength
        return z.view_as(z)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None


def reverse_gradient(z: Tensor, strength: Tensor | float) -> Tensor:
    """Return z unchanged; its gradient is multiplied by -strength (Ganin and Lempitsky 2015)."""
    return _Reverse.apply(z, strength)


@methods.register("advrev")
class AdvRev(Adversarial, capturable=True):
    """Reversal: the trunk maximises the adversary's loss (Zhang et al. 2018)."""

    def adversarial_losses(self, adversary: nn.Module, z: Tensor, groups: Tensor) -> Tensor:
        logits = adversary(reverse_gradient(z, self.strength))
        return F.cross_entropy(logits[:, self.trained_groups], groups, reduction="none")
