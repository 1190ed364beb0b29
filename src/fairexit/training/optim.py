"""The groups of parameters with a learning rate of their own, and the rate of each step."""

import math
from bisect import bisect_right
from collections.abc import Collection
from typing import Any

from torch import nn

from fairexit.config_train import TrainConfig
from fairexit.methods import Method
from fairexit.training.optimizers import SGD


def parameter_groups(
    method: Method, config: TrainConfig, *, late: Collection[int] = ()
) -> list[dict[str, Any]]:
    """The parameters that are trained, in groups with the same learning rate and weight decay.

    The learning rate of a group is `learning_rate` times its `lr_scale`. With S stages, stage s has
    the scale `layer_decay` ** (S + 1 - s); everything outside the stages has `head_lr` / `lr`.
    Except with SGD, vectors (biases and normalisation) and what a module's `no_weight_decay` names
    are not decayed. Frozen parameters are left out.

    Args:
        method: the method with the network.
        config: settings whose optimiser is filled in.
        late: identities of the parameters that start to learn later. They are in groups of their
            own, as a fused optimiser needs those of a group to take their first step together.
    Returns:
        Groups for an optimiser, in an order that depends on the network alone.
    """
    assert config.lr is not None
    stages = method.net.backbone.stages
    scales = {
        id(parameter): config.layer_decay ** (len(stages) - position)
        for position, stage in enumerate(stages)
        for parameter in stage.parameters()
    }
    head_scale = (config.head_lr or config.lr) / config.lr
    undecayed = set() if config.optimizer == SGD else _undecayed(method)
    groups: dict[tuple[float, bool, bool], list[nn.Parameter]] = {}
    for parameter in method.parameters():
        number = id(parameter)
        if parameter.requires_grad or number in late:
            key = scales.get(number, head_scale), number not in undecayed, number in late
            groups.setdefault(key, []).append(parameter)
    return [
        {"params": parameters, "lr_scale": scale} | ({} if is_decayed else {"weight_decay": 0.0})
        for (scale, is_decayed, _), parameters in groups.items()
    ]


def _undecayed(method: nn.Module) -> set[int]:
    """Identities of the parameters without weight decay."""
    names = {
        f"{prefix}.{name}"
        for prefix, module in method.named_modules()
        if hasattr(module, "no_weight_decay")
        for name in module.no_weight_decay()
    }
    return {id(p) for name, p in method.named_parameters() if p.ndim <= 1 or name in names}


def learning_rate(config: TrainConfig, epoch: int, step: int, steps: int) -> float:
    """The learning rate of one step, never above the highest rate of its period.

    It depends on the time alone, so that a resumed run needs no state of a scheduler. During the
    warm-up of W steps, step t has the share (t + 1) / W of the rate that follows. After each
    restart the schedule begins again.

    Args:
        config: highest rate, schedule, warm-up and restarts; the optimiser is filled in.
        epoch: number of the epoch, from 0.
        step: number of the step in the epoch, from 0.
        steps: number of steps in an epoch.
    """
    assert config.lr is not None
    bounds = [0, *config.restarts, config.epochs]
    period = bisect_right(config.restarts, epoch)
    start, end = bounds[period], bounds[period + 1]
    peak = (config.restart_lr or config.lr) if period else config.lr
    done, warm = (epoch - start) * steps + step, round(config.warmup * steps)
    rate = peak * min(1.0, (done + 1) / max(warm, 1))
    if config.schedule == "cosine" and done >= warm:
        share = (done - warm) / ((end - start) * steps - warm)
        return rate * 0.5 * (1 + math.cos(math.pi * share))
    if config.schedule == "step":
        return float(rate * 0.1 ** sum(epoch - start >= m for m in config.milestones))
    return rate
