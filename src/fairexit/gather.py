"""Tensors of all processes of a training on several devices, with gradients.

A batch of B images is divided so that process r of W has the images r, r + W, r + 2 W and so on.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as distributed
from torch import Tensor


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor, images: int) -> Tensor:
        world = distributed.get_world_size()
        padded = part.new_zeros(-(-images // world), *part.shape[1:])
        padded[: len(part)] = part
        parts = [torch.empty_like(padded) for _ in range(world)]
        distributed.all_gather(parts, padded)
        return torch.stack(parts, dim=1).flatten(0, 1)[:images]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return own_rows(total), None


def gather_rows(parts: Sequence[Tensor], images: int) -> list[Tensor]:
    """The rows of all processes, in the order of the batch; the same in every process.

    The gradient is that of the sum of all processes' losses. Data-parallel training takes the mean
    of the processes' gradients; so a loss of gathered rows, which all processes compute alike, has
    the gradient that it would have in a single process.

    Args:
        parts: tensors of one type with a row for each image of this process, (B_r, ...).
        images: B, the number of images of all processes.
    Returns:
        For each tensor the rows of the batch, (B, ...).
    """
    widths = [part[0].numel() for part in parts]
    table = torch.cat([part.reshape(len(part), -1) for part in parts], dim=1)
    columns = _Gather.apply(table, images).split(widths, dim=1)
    return [c.reshape(images, *p.shape[1:]) for c, p in zip(columns, parts, strict=True)]


def own_rows(rows: Tensor) -> Tensor:
    """This process's part of the rows of a batch."""
    return rows[distributed.get_rank() :: distributed.get_world_size()]


def mean_of_processes(value: Tensor) -> Tensor:
    """The mean of a tensor over all processes, without gradient."""
    total = value.detach().clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()
