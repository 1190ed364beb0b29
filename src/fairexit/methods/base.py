"""The contract of a method, and the one place where exits are summed.

A new method is a subclass of `Method` in a file of its own, entered in `methods`.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fairexit.errors import UserError
from fairexit.models import ExitNet
from fairexit.registry import Registry
from fairexit.types import Batch, Exit, Task

SCALE = 2.0**10
"""Of the losses whose gradients are compared."""


class Losses(NamedTuple):
    """A batch's loss.

    `total` (scalar) is what training minimises: targets plus penalties, summed over the exits with
    their weights. `targets` and `penalties` (E,) are each exit's own, without gradient. `ratio`,
    if it was asked for and there is a penalty, is the norm of the penalty's gradient on the trunk
    as a share of the target's.
    """

    total: Tensor
    targets: Tensor
    penalties: Tensor
    ratio: float | None = None


class Method(nn.Module):
    """Trains every exit by its target loss and, if the method has one, a fairness penalty.

    Loss = sum_k alpha_k (target_k + penalty_k), over all exits, the final one included.
    Subclasses override any of `outputs`, `target_loss`, `penalty`, `begin` and `fold`; keyword-only
    arguments of `__init__` are the method's options.

    Args:
        net: the network that is trained.
        task: classes and groups.
        exit_weights: alpha, one per exit.

    Attributes:
        time: how far training is, from 0 to 1; the loop sets it.
        left_out: terms of the epoch that could not be computed (too few samples); the loop logs it
            and sets it back.
    """

    left_out: Tensor

    def __init__(self, net: ExitNet, task: Task, exit_weights: Sequence[float]) -> None:
        super().__init__()
        self.net = net
        self.task = task
        self.exit_weights = tuple(exit_weights)
        self.time = 0.0
        self.register_buffer("left_out", torch.zeros((), dtype=torch.long), persistent=False)

    def forward(self, batch: Batch, measure: bool = False) -> Losses:
        """The loss of a batch, with gradient; if wanted, the penalty's ratio is measured."""
        exits = self.outputs(batch)
        targets, penalties = [], []
        # Statistics of features are differences of near numbers: never in half precision.
        with torch.autocast(batch.images.device.type, enabled=False):
            for k, found in enumerate(exits):
                exit = Exit(found.logits.float(), found.features.float())
                targets.append(self.target_loss(k, exit, batch))
                penalty = self.penalty(k, exit, batch)
                penalties.append(targets[-1].new_zeros(()) if penalty is None else penalty)
            weights = targets[0].new_tensor(self.exit_weights)
            each_target, each_penalty = torch.stack(targets), torch.stack(penalties)
            target, penalty = (weights * each_target).sum(), (weights * each_penalty).sum()
        # Here and not in the loop: Fabric lets no one else differentiate what a module returns.
        ratio = self._ratio(target, penalty) if measure and penalty.requires_grad else None
        return Losses(target + penalty, each_target.detach(), each_penalty.detach(), ratio)

    def _ratio(self, target: Tensor, penalty: Tensor) -> float:
        trunk = [p for p in self.net.backbone.stages.parameters() if p.requires_grad]
        norms = []
        for part in (penalty, target):
            # The same power of two for both: half precision would round small gradients to zero.
            found = torch.autograd.grad(part * SCALE, trunk, retain_graph=True, allow_unused=True)
            norms.append(sum(float(g.float().square().sum()) for g in found if g is not None))
        return math.sqrt(norms[0] / max(norms[1], 1e-30))

    def begin(self, labels: Tensor, groups: Tensor) -> None:
        """See the training split once before training: labels (N,), groups (N,) or UNKNOWN."""

    def outputs(self, batch: Batch) -> list[Exit]:
        """What the exits say of a training batch."""
        exits: list[Exit] = self.net(batch.images)
        return exits

    def target_loss(self, k: int, exit: Exit, batch: Batch) -> Tensor:
        """The loss of exit k as a classifier.

        Args:
            k: index of the exit, from 0, the final one last.
            exit: its logits (B, C) and features (B, D_k), float32.
            batch: images (B, 3, H, W), labels (B,), and groups (B,), UNKNOWN where not known.
        Returns:
            A scalar, in nats for cross-entropy; its exit weight is applied outside.
        """
        return F.cross_entropy(exit.logits, batch.labels)

    def penalty(self, k: int, exit: Exit, batch: Batch) -> Tensor | None:
        """The fairness penalty of exit k, a scalar, its weight included; None for no penalty.

        Arguments as for `target_loss`.
        """
        return None

    def fold(self) -> None:
        """Write what the method has learnt beside the network into it.

        The network answers alone, and so never sees the attribute.
        """


class Distilled(Method):
    """A method with a frozen teacher of the same shape, which the training loop provides."""

    teacher_run: Path | None = None
    _teacher: tuple[ExitNet] | None = None

    @property
    def teacher(self) -> ExitNet:
        assert self._teacher is not None, "no teacher has been set"
        return self._teacher[0]

    def set_teacher(self, teacher: ExitNet) -> None:
        """Take a trained network as the teacher.

        Raises:
            UserError: it has other classes or exits.
        """
        if teacher.num_classes != self.net.num_classes:
            raise UserError(
                f"the teacher has {teacher.num_classes} classes, but the student has "
                f"{self.net.num_classes}; train a teacher on the same data"
            )
        mine, theirs = self.net.config, teacher.config
        for key in ("name", "head", "stem"):
            if mine[key] != theirs[key]:
                raise UserError(
                    f"the teacher's {key} is {theirs[key]}, but the student's is {mine[key]}; "
                    "train a teacher with the same network"
                )
        if teacher.exit_names != self.net.exit_names:
            raise UserError(
                f"the teacher has the exits {', '.join(teacher.exit_names)}, but the student has "
                f"{', '.join(self.net.exit_names)}; train a teacher with the same exits"
            )
        # In a tuple it is no part of the module: not trained, not saved, not put in training mode.
        self._teacher = (teacher.eval().requires_grad_(False),)


methods: Registry[Method] = Registry(
    "method", "fairexit.methods", Method, ("net", "task", "exit_weights")
)
