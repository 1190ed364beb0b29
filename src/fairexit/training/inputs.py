"""Open and check the data of a training run before anything is computed. Imports no torch."""

import numpy as np

from fairexit.config import RunConfig
from fairexit.data.prepared import Prepared, open_prepared
from fairexit.errors import UserError
from fairexit.metrics.counts import count
from fairexit.metrics.record import METRICS, compute
from fairexit.types import UNKNOWN


def open_training(config: RunConfig) -> Prepared:
    """Open the data of a run, and check that a network can be trained on them.

    Raises:
        UserError: the data have changed since they were prepared, a split has fewer than two
            groups, a batch is too small, or `train.select` is not defined on validation.
    """
    data = open_prepared(config.data.path, whole=True)
    group = data.task(config.data.group).group
    for split in ("train", "val"):
        rows = data.rows(split, config.data.fold)
        present = np.unique(data.groups(group)[rows])
        if (present != UNKNOWN).sum() < 2:
            raise UserError(f"split '{split}' of {data.path} has fewer than two groups of {group}")
    images, settings = len(data.rows("train", config.data.fold)), config.train
    steps = -(-images // settings.batch_size)
    smallest = images // steps // settings.devices
    if smallest < 2:
        raise UserError(
            f"train.batch_size is {settings.batch_size}, which divides {images} images into "
            f"batches of as few as {smallest} on a device; batch normalisation needs at least 2"
        )
    _check_criterion(config, data)
    return data


def undefined(criterion: str, attribute: str) -> UserError:
    """The error that `train.select` is a metric without a value on validation."""
    return UserError(
        f"{criterion} is not defined on validation, perhaps because no class occurs in two groups "
        f"of {attribute}; choose another train.select"
    )


def _check_criterion(config: RunConfig, data: Prepared) -> None:
    """Raise a UserError if `train.select` would have no value even for the right answers."""
    criterion, task = config.train.select, data.task(config.data.group)
    if criterion not in METRICS:
        return
    rows = data.rows("val", config.data.fold)
    labels = data.labels[rows]
    counts = count(
        labels,
        labels,
        data.groups(task.group)[rows],
        num_classes=task.num_classes,
        num_groups=task.num_groups,
    )
    if np.isnan(compute(counts, [criterion])[criterion]):
        raise undefined(criterion, task.group)
