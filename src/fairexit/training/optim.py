"""The optimizer and its learning rate."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from fairexit.config import TrainConfig


def build_optimizer(
    groups: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
    config: TrainConfig,
    device: torch.device,
) -> torch.optim.SGD:
    """SGD with Nesterov momentum and weight decay, of parameters or groups of them."""
    return torch.optim.SGD(
        groups,
        lr=config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        nesterov=config.momentum > 0,
        # The fused form makes one pass over the weights, but does not work with the gradient
        # scaler that mixed precision uses on a GPU.
        fused=True if device.type == "cpu" else None,
    )


def learning_rate(config: TrainConfig, epoch: int, step: int, steps: int) -> float:
    """The learning rate of one step, never above `train.lr`.

    It depends on the time alone, so that a resumed run needs no state of a scheduler. During the
    warm-up of W steps, step t has the share (t + 1) / W of the rate that follows.

    Args:
        config: highest rate, schedule and warm-up.
        epoch: number of the epoch, from 0.
        step: number of the step in the epoch, from 0.
        steps: number of steps in an epoch.
    """
    done, warm = epoch * steps + step, round(config.warmup * steps)
    rate = config.lr * min(1.0, (done + 1) / max(warm, 1))
    if config.schedule == "cosine" and done >= warm:
        share = (done - warm) / (config.epochs * steps - warm)
        return rate * 0.5 * (1 + math.cos(math.pi * share))
    if config.schedule == "step":
        return float(rate * 0.1 ** sum(epoch >= milestone for milestone in config.milestones))
    return rate
