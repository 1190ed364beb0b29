"""Domain-independent training (Wang et al. 2020): one head per group on a shared trunk."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from fairexit.methods.base import Method, groups_with_samples, methods
from fairexit.models import ExitNet
from fairexit.models.heads import Mixture
from fairexit.search_space import Axis
from fairexit.types import UNKNOWN, Batch, Exit, Task


@methods.register("domainindep")
class DomainIndep(Method, capturable=True):
    """Each sample trains its own group's head only; the prediction is the mean of the heads.

    That mean is folded into the network, so prediction needs neither the attribute nor this method.
    A sample of unknown group trains the heads' mean logits. The head of a group without a training
    image takes no part in either mean. A group's head that has no training image of a class learns
    never to predict it, and lowers that class in the mean for all groups.

    Args:
        answer: which mean is the prediction: `logits`, the softmax of the heads' mean logits, which
            equals a single linear head; or `probabilities`, the mean of the heads' softmaxes.
    """

    search_space = (Axis("method.answer", ("logits", "probabilities")),)

    trained_groups: Tensor

    def __init__(
        self,
        net: ExitNet,
        task: Task,
        exit_weights: Sequence[float],
        *,
        answer: Literal["logits", "probabilities"] = "logits",
    ) -> None:
        super().__init__(net, task, exit_weights)
        widths = [head.classifier.in_features for head in net.exit_heads]
        self.group_heads = nn.ModuleList(
            nn.Linear(width, task.num_groups * task.num_classes) for width in widths
        )
        trained = torch.arange(task.num_groups)
        self.register_buffer("trained_groups", trained, persistent=False)
        self.mixes = answer == "probabilities"
        self._prepare_network()

    def _prepare_network(self) -> None:
        """Give the network classifiers that can hold the mean of the trained heads."""
        if self.mixes:
            self.net.mix(len(self.trained_groups))
        for head in self.net.exit_heads:
            head.classifier.requires_grad_(False)

    def begin(self, labels: Tensor, groups: Tensor, draws: Tensor | None = None) -> None:
        trained = groups_with_samples(groups, self.task.num_groups)
        if len(trained) < len(self.trained_groups):
            self.trained_groups = trained.to(self.trained_groups.device)
            self._prepare_network()

    def logits(self, k: int, z: Tensor) -> Tensor:
        """Logits of every group's head at exit k, (B, M, C), from features z, (B, D_k)."""
        shape = len(z), self.task.num_groups, self.task.num_classes
        return self.group_heads[k](z).view(shape)

    def target_loss(self, k: int, exit: Exit, batch: Batch) -> Tensor:
        by_group = self.logits(k, exit.features)
        rows = torch.arange(len(by_group), device=by_group.device)
        own_group = by_group[rows, batch.groups.clamp_min(0)]
        unknown = (batch.groups == UNKNOWN)[:, None]
        mean = by_group[:, self.trained_groups].mean(1)
        return self.cross_entropy(torch.where(unknown, mean, own_group), batch.labels).mean()

    @torch.no_grad()
    def fold(self) -> None:
        for head, groups in zip(self.net.exit_heads, self.group_heads, strict=True):
            pairs = zip(head.classifier.parameters(), groups.parameters(), strict=True)
            for folded, parameter in pairs:
                by_group = parameter.unflatten(0, (self.task.num_groups, -1))[self.trained_groups]
                is_mixture = isinstance(head.classifier, Mixture)
                folded.copy_(by_group.flatten(0, 1) if is_mixture else by_group.mean(0))
