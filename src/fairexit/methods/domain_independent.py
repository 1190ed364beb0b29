"""Domain-independent training (Wang et al. 2020): one head per group on a shared trunk."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fairexit.methods.base import Method, methods
from fairexit.models import ExitNet
from fairexit.types import UNKNOWN, Batch, Exit, Task


@methods.register("domainindep")
class DomainIndep(Method):
    """A sample trains its own group's head only; the answer is the softmax of the heads' mean.

    The mean of linear heads is a linear head: it is folded into the network, so prediction needs
    neither the attribute nor this method. A sample of unknown group trains the mean.
    """

    def __init__(self, net: ExitNet, task: Task, exit_weights: Sequence[float]) -> None:
        super().__init__(net, task, exit_weights)
        width = task.num_groups * task.num_classes
        self.group_heads = nn.ModuleList(
            nn.Linear(head.classifier.in_features, width) for head in net.exit_heads
        )
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
            assert isinstance(own, nn.Linear)
            head.classifier.weight.copy_(
                own.weight.view(self.task.num_groups, *head.classifier.weight.shape).mean(0)
            )
            head.classifier.bias.copy_(own.bias.view(self.task.num_groups, -1).mean(0))
