"""Domain-independent training (Wang et al. 2020): one head per group on a shared trunk."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fairexit.methods.base import Method, methods
from fairexit.models import ExitNet
from fairexit.models.heads import Mixture
from fairexit.types import UNKNOWN, Batch, Exit, Task


@methods.register("domainindep")
class DomainIndep(Method):
    """Each sample trains its own group's head only; the prediction is the mean of the heads.

    That mean is folded into the network, so prediction needs neither the attribute nor this method.
    A sample of unknown group trains the heads' mean logits.

    Args:
        answer: which mean is the prediction: `logits`, the softmax of the heads' mean logits, which
            equals a single linear head; or `probabilities`, the mean of the heads' softmaxes.
    """

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
        if answer == "probabilities":
            net.mix(task.num_groups)
        for head in net.exit_heads:
            head.classifier.requires_grad_(False)

    def logits(self, k: int, z: Tensor) -> Tensor:
        """Logits of every group's head at exit k, (B, M, C), from features z, (B, D_k)."""
        shape = len(z), self.task.num_groups, self.task.num_classes
        return self.group_heads[k](z).view(shape)

    def target_loss(self, k: int, exit: Exit, batch: Batch) -> Tensor:
        by_group = self.logits(k, exit.features)
        rows = torch.arange(len(by_group), device=by_group.device)
        own_group = by_group[rows, batch.groups.clamp_min(0)]
        unknown = (batch.groups == UNKNOWN)[:, None]
        return F.cross_entropy(torch.where(unknown, by_group.mean(1), own_group), batch.labels)

    @torch.no_grad()
    def fold(self) -> None:
        for head, groups in zip(self.net.exit_heads, self.group_heads, strict=True):
            if isinstance(head.classifier, Mixture):
                head.classifier.linear.load_state_dict(groups.state_dict())
                continue
            pairs = zip(head.classifier.parameters(), groups.parameters(), strict=True)
            for mean, by_group in pairs:
                mean.copy_(by_group.view(self.task.num_groups, *mean.shape).mean(0))
