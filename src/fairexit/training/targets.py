"""The weight of each class in the loss."""

import math

import torch
from torch import Tensor

from fairexit.errors import UserError, nearest, short
from fairexit.types import Task

ClassWeights = str | list[float] | dict[str, float]


def listed_weights(setting: ClassWeights, task: Task) -> list[float] | None:
    """The weights of `train.class_weights` in the order of the classes; None if they are words.

    Raises:
        UserError: a class is unknown, or the weights do not fit the classes.
    """
    if isinstance(setting, str):
        return None
    if isinstance(setting, dict):
        for name in setting:
            if name not in task.classes:
                raise UserError(
                    f"train.class_weights names the class '{short(name)}', which the data lack; "
                    f"{nearest(name, task.classes)}"
                )
        setting = [setting.get(name, 1.0) for name in task.classes]
    fits = len(setting) == task.num_classes and all(0 <= w < math.inf for w in setting)
    if not fits or not any(setting):
        raise UserError(
            f"train.class_weights is {short(setting)}; give {task.num_classes} weights that are "
            f"not negative and not all 0, for the classes {short(', '.join(task.classes), 200)}"
        )
    return setting


def class_weights(
    setting: ClassWeights, task: Task, labels: Tensor, draws: Tensor | None = None
) -> Tensor:
    """Weight w_c of each class, with mean one over the images that an epoch draws, (C,).

    With p_c the share of class c in the drawn images: balanced weights are 1 / (K p_c) for the K
    classes that occur and 0 for the others; given weights v_c become v_c / sum_c p_c v_c.

    Args:
        setting: `train.class_weights`.
        task: the classes.
        labels: class indices of the training split, (N,).
        draws: as for `Method.begin`.
    Raises:
        UserError: the weights do not fit, or only classes without a training image have weight.
    """
    if setting == "none":
        return torch.ones(task.num_classes)
    draws = torch.ones(len(labels)) if draws is None else draws
    shares = torch.bincount(labels, draws, task.num_classes) / draws.sum()
    values = listed_weights(setting, task)
    if values is None:
        weights = torch.where(shares > 0, 1 / (shares.clamp_min(1e-12) * (shares > 0).sum()), 0)
        return weights.float()
    weights = torch.tensor(values, dtype=shares.dtype)
    mean = (shares * weights).sum()
    if mean == 0:
        raise UserError(
            f"train.class_weights is {short(values)}, which is 0 for every class of the training "
            "split"
        )
    return (weights / mean).float()
