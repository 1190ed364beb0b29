"""Whether a metric is defined on the validation split, which is known before training."""

import numpy as np

from fairexit.config import DataConfig
from fairexit.data.prepared import Prepared
from fairexit.errors import UserError
from fairexit.metrics.counts import count
from fairexit.metrics.record import METRICS
from fairexit.training.log import LOSS


def check_defined(name: str, data: Prepared, settings: DataConfig, *, setting: str) -> None:
    """Raise a UserError if no network has a value of a metric on validation.

    A network that answers every image correctly has every rate that another network has.

    Args:
        name: key of `METRICS`, or "loss".
        data: the prepared data.
        settings: the fold and the sensitive attribute.
        setting: how the message calls the setting that chose the metric.
    """
    if name == LOSS:
        return
    task, rows = data.task(settings.group), data.rows("val", settings.fold)
    labels, groups = data.labels[rows], data.groups(task.group)[rows]
    shape = {"num_classes": task.num_classes, "num_groups": task.num_groups}
    value = METRICS[name](count(labels, labels, groups, **shape))
    if np.isnan(value):
        raise undefined(name, task.group, setting)


def undefined(name: str, attribute: str, setting: str) -> UserError:
    """The error that a metric has no value on validation."""
    label = METRICS[name].label if name in METRICS else name
    return UserError(
        f"{label} is not defined on validation, perhaps because no class occurs in two groups of "
        f"{attribute}; choose another {setting}"
    )
