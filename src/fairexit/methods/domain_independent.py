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
    """A sample trains its own group's head only; the answer is the heads' mean.

    It is folded into the network, so prediction needs neither the attribute nor this method. A
    sample of unknown group trains the mean of the logits.

    Args:
        answer: `logits`, the softmax of the heads' mean logits, which is one linear head again; or
            `probabilities`, the mean of their softmaxes.
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
        """What each group's head of exit k says, (B, M, C)."""
        answer: Tensor = self.group_heads[k](z)
        return answer.view(len(z), self.task.num_groups, self.task.num_classes)

    def target_loss(self, k: int, exit: Exit, batch: Batch) -> Tensor:
        heads = self.logits(k, exit.features)
        rows = torch.arange(len(heads), device=heads.device)
        own = heads[rows, batch.groups.clamp_min(0)]
        unknown = (batch.groups == UNKNOWN)[:, None]
        return F.cross_entropy(torch.where(unknown, heads.mean(1), own), batch.labels)

    @torch.no_grad()
    def fold(self) -> None:
        for head, own in zip(self.net.exit_heads, self.group_heads, strict=True):
            if isinstance(head.classifier, Mixture):
                head.classifier.linear.load_state_dict(own.state_dict())
                continue
            for mean, each in zip(head.classifier.parameters(), own.parameters(), strict=True):
                mean.copy_(each.view(self.task.num_groups, *mean.shape).mean(0))
