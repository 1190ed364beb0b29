"""Batch normalisation with the statistics of all processes of a training on several devices."""

import torch
import torch.distributed as distributed
from timm.layers.norm_act import BatchNormAct2d, convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from fairexit.gather import gather_rows


class _OnCpu(_BatchNorm):
    """What torch's `SyncBatchNorm` computes, which has kernels for GPUs only."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return F.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        rows = input.float().transpose(0, 1).flatten(1)
        count = rows.new_full((1,), rows.shape[1])
        mean = rows.mean(1)
        squares = (rows - mean[:, None]).square().sum(1)
        # A row of each process: its mean, its sum of squared deviations, its count.
        table = torch.cat([mean, squares, count])[None]
        (table,) = gather_rows([table], distributed.get_world_size())
        means, squares, counts = table.split([len(mean), len(mean), 1], dim=1)
        total = counts.sum()
        mean = (counts * means).sum(0) / total
        deviations = (squares + counts * (means - mean).square()).sum(0)
        self._track(mean.detach(), deviations.detach() / (total - 1))
        shape = (1, -1, *[1] * (input.ndim - 2))
        scale = (deviations / total + self.eps).rsqrt() * self.weight
        shift = self.bias - mean * scale
        return (input * scale.view(shape) + shift.view(shape)).to(input.dtype)

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards those of a batch."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        # Without a momentum, as for averaged weights, they are means over all batches.
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class _ActOnCpu(_OnCpu):
    """The same with timm's dropout and activation behind it."""

    drop: nn.Module
    act: nn.Module

    def forward(self, input: Tensor) -> Tensor:
        result: Tensor = self.act(self.drop(super().forward(input)))
        return result


def synchronise(net: nn.Module, device: torch.device) -> None:
    """Let the batch normalisation of a network use the statistics of all processes, in place.

    Names, parameters and running statistics stay, so the weights fit the network without it.

    Args:
        net: the network.
        device: where it is trained; on GPUs the layers are torch's.
    """
    if device.type != "cpu":
        convert_sync_batchnorm(net)  # type: ignore[no-untyped-call]
        return
    for module in net.modules():
        if isinstance(module, _BatchNorm):
            module.__class__ = _ActOnCpu if isinstance(module, BatchNormAct2d) else _OnCpu
