"""The optimizer and its learning rate."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from fairexit.config import TrainConfig


def build_optimizer(
    parameters: Iterable[nn.Parameter], config: TrainConfig, device: torch.device
) -> torch.optim.SGD:
    """SGD with Nesterov momentum and weight decay."""
    return torch.optim.SGD(
        parameters,
        lr=config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        nesterov=config.momentum > 0,
        # The fused form makes one pass over the weights, but does not work with the gradient
        # scaler that mixed precision uses on a GPU.
        fused=True if device.type == "cpu" else None,
    )


def learning_rate(config: TrainConfig, epoch: int, step: int, steps: int) -> float:
    """The learning rate of one step.

    It depends on the time alone, so that a resumed run needs no state of a scheduler.

    Args:
        config: highest rate, schedule and warm-up.
        epoch: number of the epoch, from 0.
        step: number of the step in the epoch, from 0.
        steps: number of steps in an epoch.
    """
    time = epoch + step / steps
    if time < config.warmup:
        return config.lr * (time + 1 / steps) / config.warmup
    if config.schedule == "cosine":
        duration = max(config.epochs - config.warmup, 1e-9)
        return config.lr * 0.5 * (1 + math.cos(math.pi * (time - config.warmup) / duration))
    if config.schedule == "step":
        return float(config.lr * 0.1 ** sum(epoch >= m for m in config.milestones))
    return config.lr
