"""Open and check the data of a training run before anything is computed. Imports no torch."""

import numpy as np

from fairexit.config import RunConfig
from fairexit.data.prepared import Prepared, open_prepared
from fairexit.errors import UserError
from fairexit.training.criteria import check_defined
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
    steps = -(-images // settings.images_per_step)
    smallest = images // steps // settings.accumulate // settings.devices
    if smallest < 2:
        parts = f" and train.accumulate {settings.accumulate}" if settings.accumulate > 1 else ""
        raise UserError(
            f"train.batch_size is {settings.batch_size}{parts}, which divides {images} images into "
            f"batches of as few as {smallest} on a device; batch normalisation needs at least 2"
        )
    check_defined(settings.select, data, config.data, setting="train.select")
    return data
