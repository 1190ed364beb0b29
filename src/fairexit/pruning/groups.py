"""Between whom a pruning is fair, and by which of their images it judges."""

import numpy as np
from numpy.typing import NDArray

from fairexit.config import PruneConfig
from fairexit.data.loaders import balancing_weights
from fairexit.data.prepared import Prepared
from fairexit.errors import UserError, nearest, short
from fairexit.evaluation.evaluate import evaluate
from fairexit.predictions.files import Predictions
from fairexit.types import Task

Rows = NDArray[np.int64]


def check_task(config: PruneConfig, data: Prepared, own_group: str | None) -> Task:
    """Between whom the pruning is fair.

    Args:
        config: the settings.
        data: the prepared data.
        own_group: the run's attribute, which counts where the settings name none.
    Raises:
        UserError: the data have no such attribute, or it has no such groups.
    """
    task = data.task(config.group or own_group)
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

    What is not named is all the other groups. If neither is named, the unprivileged group is the
    one with the lowest macro F1 at the final exit (not accuracy, which follows the class mix).

    Args:
        predictions: of the unpruned network on validation.
        task: the groups.
        config: what is named.
    """
    unprivileged, privileged = config.unprivileged, config.privileged
    if privileged == unprivileged == "auto":
        found = evaluate(predictions, task.group, None).groups
        known = [name for name in task.groups if found[name]["n"]]
        unprivileged = min(known, key=lambda name: found[name]["f1"])

    def others(name: str) -> list[str]:
        return [group for group in task.groups if group != name]

    if unprivileged == "auto":
        return others(privileged), [privileged]
    return [unprivileged], others(unprivileged) if privileged == "auto" else [privileged]


def draw_rows(
    data: Prepared,
    task: Task,
    groups: list[str],
    *,
    fold: int | None,
    config: PruneConfig,
    seed: int,
) -> Rows:
    """A bounded, seeded sample of the training images of some groups.

    Args:
        data: the prepared data.
        task: classes and groups.
        groups: whose images.
        fold: the test fold, for data in folds.
        config: how many images, and how they are drawn.
        seed: of the draw.
    Raises:
        UserError: the groups have no image.
    """
    rows = data.rows("train", fold)
    wanted = [task.groups.index(name) for name in groups]
    rows = rows[np.isin(data.groups(task.group)[rows], wanted)]
    if not len(rows):
        raise UserError(
            f"{data.path} has no training image of {task.group} {' or '.join(groups)}, so the "
            "curvature cannot be computed"
        )
    rng = np.random.default_rng(seed)
    if config.sampling == "balanced":
        return rng.choice(rows, config.images, p=balancing_weights(data.labels[rows], 1.0))
    return rng.choice(rows, min(config.images, len(rows)), replace=False)
