"""The groups between which a pruning is fair, and the images that represent them."""

import numpy as np
from numpy.typing import NDArray

from fairexit.config_prune import PruneConfig
from fairexit.data.loaders import balancing_weights
from fairexit.data.prepared import Prepared
from fairexit.errors import UserError, nearest, short
from fairexit.evaluation.evaluate import evaluate
from fairexit.predictions.files import Predictions
from fairexit.types import Task

Rows = NDArray[np.int64]


def check_task(config: PruneConfig, data: Prepared, run_group: str | None) -> Task:
    """The classes and groups of a pruning.

    Args:
        config: the settings of the pruning.
        data: the prepared data.
        run_group: the run's sensitive attribute, which is used where the settings name none.
    Raises:
        UserError: the data do not have the attribute, or it does not have the groups.
    """
    task = data.task(config.group or run_group)
    named = [name for name in (config.privileged, config.unprivileged) if name != "auto"]
    for name in named:
        if name not in task.groups:
            raise UserError(
                f"{task.group} has no group '{short(name)}'; {nearest(name, task.groups)}"
            )
    if len(named) == 2 and named[0] == named[1]:
        raise UserError(f"'{named[0]}' cannot be both the privileged and the unprivileged group")
    return task


def split_groups(
    predictions: Predictions, task: Task, config: PruneConfig
) -> tuple[list[str], list[str]]:
    """The unprivileged and the privileged groups.

    If the settings name only one of the two, the other consists of all other groups. If they name
    neither, the unprivileged group is the one with the lowest macro F1 at the final exit; accuracy
    would depend on the group's class frequencies.

    Args:
        predictions: predictions of the unpruned network on validation.
        task: the classes and groups.
        config: the settings of the pruning.
    Returns:
        Names of the unprivileged groups, and names of the privileged groups.
    """
    unprivileged, privileged = config.unprivileged, config.privileged
    if privileged == unprivileged == "auto":
        by_group = evaluate(predictions, task.group, None).groups
        present = [name for name in task.groups if by_group[name]["n"]]
        unprivileged = min(present, key=lambda name: by_group[name]["f1"])

    def all_but(name: str) -> list[str]:
        return [group for group in task.groups if group != name]

    if unprivileged == "auto":
        return all_but(privileged), [privileged]
    return [unprivileged], all_but(unprivileged) if privileged == "auto" else [privileged]


def draw_rows(
    data: Prepared,
    task: Task,
    groups: list[str],
    *,
    fold: int | None,
    config: PruneConfig,
    seed: int,
) -> Rows:
    """A random sample of the training images of some groups.

    Args:
        data: the prepared data.
        task: the classes and groups.
        groups: names of the groups whose images are drawn.
        fold: number of the test fold, for data in folds.
        config: the largest number of images, and how they are drawn.
        seed: seed of the draw.
    Returns:
        Rows of the data.
    Raises:
        UserError: the groups have no training image.
    """
    rows = data.rows("train", fold)
    indices = [task.groups.index(name) for name in groups]
    rows = rows[np.isin(data.groups(task.group)[rows], indices)]
    if not len(rows):
        raise UserError(
            f"{data.path} has no training image of {task.group} {' or '.join(groups)}, so the "
            "curvature cannot be computed"
        )
    rng = np.random.default_rng(seed)
    if config.sampling == "balanced":
        return rng.choice(rows, config.images, p=balancing_weights(data.labels[rows], 1.0))
    return rng.choice(rows, min(config.images, len(rows)), replace=False)
