"""The interface of a method, and the weighted sum of its losses over the exits.

A new method is a subclass of `Method` in a file of its own, registered in `methods`.
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fairexit.gather import gather_rows, mean_of_processes
from fairexit.models import ExitNet
from fairexit.registry import Registry
from fairexit.search_space import Axis
from fairexit.types import UNKNOWN, Batch, Exit, Task

SCALE = 2.0**10
"""Factor of the losses whose gradients are compared."""


def groups_with_samples(groups: Tensor, num_groups: int) -> Tensor:
    """Indices of the groups that have a sample, in rising order.

    Args:
        groups: group indices or UNKNOWN, (N,).
        num_groups: M.
    """
    return torch.bincount(groups[groups != UNKNOWN], minlength=num_groups).nonzero()[:, 0]


class Losses(NamedTuple):
    """A batch's loss.

    Attributes:
        total: what training minimises: targets plus penalties, summed over the exits with their
            weights; scalar.
        targets: target loss of each exit, unweighted and without gradient, (E,).
        penalties: penalty of each exit, likewise, (E,).
        ratio: norm of the penalty's gradient on the trunk divided by that of the target's; None if
            it was not measured or there is no penalty.
    """

    total: Tensor
    targets: Tensor
    penalties: Tensor
    ratio: float | None = None


class Method(nn.Module):
    """Trains every exit by its target loss and, if the method has one, a fairness penalty.

    Loss = sum_k alpha_k (target_k + penalty_k) over all exits k, the final one included.
    Subclasses override any of `outputs`, `target_loss`, `penalty`, `begin` and `fold`; keyword-only
    arguments of `__init__` are the method's options.

    Args:
        net: the network to train.
        task: classes and groups.
        exit_weights: alpha, one per exit.

    Subclasses whose steps may be recorded once and replayed say so: `class Mine(Method,
    capturable=True)`. Then everything that changes from step to step has to be in tensors that are
    changed in place, as `time` is, and nothing may be read back from the GPU. A subclass does not
    inherit it.

    Attributes:
        time: progress of training, from 0 to 1, a scalar tensor; set by the training loop.
        exit_weights: alpha, (E,).
        processes: number of processes that train together; set by the training loop.
        label_smoothing: share of each label that is spread evenly over all classes.
        class_weights: weight of each class in the target loss, (C,), with mean one over the images
            that an epoch draws.
        left_out: number of terms in this epoch that could not be computed, for example because of
            too few samples; the training loop logs and resets it.
        draw_weights: factor on the probability with which an epoch draws each training image, (N,);
            None if `data.sampling` alone decides.
    """

    search_space: ClassVar[tuple[Axis, ...]] = ()
    """The settings that `fairexit tune` searches by default."""
    capturable: ClassVar[bool] = False
    """Whether steps may be recorded once and replayed."""

    time: Tensor
    exit_weights: Tensor
    class_weights: Tensor
    left_out: Tensor
    draw_weights: Tensor | None = None

    def __init__(self, net: ExitNet, task: Task, exit_weights: Sequence[float]) -> None:
        super().__init__()
        self.net = net
        self.task = task
        self.processes = 1
        self.label_smoothing = 0.0
        self._images: int | None = None
        self.register_buffer("time", torch.zeros(()), persistent=False)
        alpha = torch.tensor([float(weight) for weight in exit_weights])
        self.register_buffer("exit_weights", alpha, persistent=False)
        self.register_buffer("class_weights", torch.ones(net.num_classes), persistent=False)
        self.register_buffer("left_out", torch.zeros((), dtype=torch.long), persistent=False)

    def __init_subclass__(cls, *, capturable: bool = False, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.capturable = capturable

    def forward(self, batch: Batch, measure: bool = False, images: int | None = None) -> Losses:
        """Loss of a batch, with gradient.

        Args:
            batch: images (B, 3, H, W), labels (B,) and groups (B,).
            measure: whether to measure the ratio of the penalty's gradient to the target's.
            images: with several processes, the number of images in the parts of all of them; the
                loss is then that of the whole batch, in every process. None: the loss of `batch`.
        """
        self._images = images
        exits = self.outputs(batch)
        targets, penalties = [], []
        # Statistics of features are differences of close numbers, too close for half precision.
        with torch.autocast(batch.images.device.type, enabled=False):
            batch = Batch(batch.images, *self.gather([batch.labels, batch.groups]))
            for k, exit in enumerate(self._gather_exits(exits)):
                targets.append(self.target_loss(k, exit, batch))
                penalty = self.penalty(k, exit, batch)
                penalties.append(targets[-1].new_zeros(()) if penalty is None else penalty)
            each_target, each_penalty = torch.stack(targets), torch.stack(penalties)
            weights = self.exit_weights
            target, penalty = (weights * each_target).sum(), (weights * each_penalty).sum()
        # Measured here because Fabric does not let its callers differentiate a module's output.
        ratio = self._ratio(target, penalty) if measure and penalty.requires_grad else None
        return Losses(target + penalty, each_target.detach(), each_penalty.detach(), ratio)

    def gather(self, parts: Sequence[Tensor]) -> list[Tensor]:
        """Complete tensors with the rows of the other processes, if the loss is that of them all.

        Args:
            parts: tensors of one type with a row for each image of this process.
        """
        return list(parts) if self._images is None else gather_rows(parts, self._images)

    def _gather_exits(self, exits: Sequence[Exit]) -> list[Exit]:
        """Outputs of every exit in float32, with the rows of the other processes."""
        rows = self.gather([part.float() for exit in exits for part in exit])
        return [Exit(*pair) for pair in zip(rows[::2], rows[1::2], strict=True)]

    def _ratio(self, target: Tensor, penalty: Tensor) -> float:
        """Norm of the penalty's gradient on the trunk, divided by that of the target's."""
        trunk = [p for p in self.net.backbone.stages.parameters() if p.requires_grad]
        # With a frozen trunk, only the exits learn.
        trunk = trunk or [p for p in self.net.parameters() if p.requires_grad]
        squares = []
        for part in (penalty, target):
            # Half precision would round small gradients to zero; the factor cancels in the ratio.
            gradients = torch.autograd.grad(
                part * SCALE, trunk, retain_graph=True, allow_unused=True
            )
            means = [g.float() for g in gradients if g is not None]
            if self.processes > 1:
                means = [mean_of_processes(g) for g in means]
            squares.append(sum(float(g.square().sum()) for g in means))
        return math.sqrt(squares[0] / max(squares[1], 1e-30))

    def begin(self, labels: Tensor, groups: Tensor, draws: Tensor | None = None) -> None:
        """Prepare for training; called once, with the whole training split.

        Args:
            labels: class indices, (N,).
            groups: group indices or UNKNOWN, (N,).
            draws: mean number of times that an epoch draws each sample, (N,), which depends on
                `data.sampling`; None if it draws each sample once.
        """

    def outputs(self, batch: Batch) -> list[Exit]:
        """Output of every exit for a training batch, the final one last."""
        return self.net(batch.images)

    def target_loss(self, k: int, exit: Exit, batch: Batch) -> Tensor:
        """The loss of exit k as a classifier.

        Args:
            k: index of the exit, from 0, the final one last.
            exit: logits (B, C) and features (B, D_k) of that exit, float32.
            batch: labels (B,), and groups (B,), UNKNOWN where not known; images (B, 3, H, W), but
                with several processes only those of this one.
        Returns:
            Scalar, in nats for cross-entropy, without the exit's weight, which `forward` applies.
        """
        return self.cross_entropy(exit.logits, batch.labels).mean()

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of each sample with the settings' class weights and label smoothing, (B,).

        The mean over a batch is not divided by the batch's own weights, so that many small batches
        have the same mean loss and gradient as a large one.

        Args:
            logits: (B, C).
            labels: class indices, (B,).
        """
        losses = F.cross_entropy(
            logits, labels, reduction="none", label_smoothing=self.label_smoothing
        )
        return self.class_weights[labels] * losses

    def penalty(self, k: int, exit: Exit, batch: Batch) -> Tensor | None:
        """The fairness penalty of exit k.

        Args:
            k: as for `target_loss`.
            exit: as for `target_loss`.
            batch: as for `target_loss`.
        Returns:
            Scalar, the penalty's weight included but not the exit's; None if there is no penalty.
        """
        return None

    def fold(self) -> None:
        """Write what the method has learnt outside the network into the network.

        Called before each validation. Predictions come from the network only, which therefore
        never needs the attribute.
        """


methods: Registry[Method] = Registry(
    "method", "fairexit.methods", Method, ("net", "task", "exit_weights")
)
