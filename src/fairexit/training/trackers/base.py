"""Trackers of experiments: where the log of a training is shown beside those of other runs.

A tracker is a subclass of `Tracker`, registered in `trackers`; its options are keyword-only
arguments of its constructor. It may raise any error: training goes on without it.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from fairexit.errors import UserError, short
from fairexit.extras import require
from fairexit.registry import Registry

PROJECT = "fairexit"
"""Where runs are stored unless the user names a project."""


class Tracker(ABC):
    """Sends the log of one run to a service or a local store."""

    extra: ClassVar[str | None] = None
    """The extra of fairexit that installs what the tracker needs."""

    @abstractmethod
    def start(self, name: str, settings: Mapping[str, Any], run_id: str | None) -> str:
        """Start a run of the tracker, or continue one.

        Args:
            name: a short name of the run, such as "runs/me".
            settings: all settings of the run, nested, see `RunConfig.to_dict`.
            run_id: what `start` returned when the run was started; None for a new run.
        Returns:
            The text by which the tracker finds this run again.
        """

    @abstractmethod
    def log(self, row: Mapping[str, float], epoch: int) -> None:
        """Send an epoch.

        Args:
            row: value by name, such as "train/loss" and "val/f1"; every value is finite.
            epoch: its number, from 1. Each epoch is sent once, in order.
        """

    @abstractmethod
    def finish(self, succeeded: bool) -> None:
        """End the tracker's run; `succeeded` is False where training stopped with an error."""


trackers: Registry[Tracker] = Registry("tracker", "fairexit.training.trackers", Tracker)


def check_tracker(value: Any) -> dict[str, Any] | None:
    """Check a user's choice of a tracker, before anything is trained.

    Args:
        value: the name of a tracker, a section with `name` and options, or None.
    Returns:
        `name` and the options that are given; None for no tracker.
    Raises:
        UserError: there is no such tracker, an option is wrong, or its package is not installed.
    """
    if value is None:
        return None
    tree = {"name": value} if isinstance(value, str) else value
    if not isinstance(tree, Mapping) or not isinstance(tree.get("name"), str):
        raise UserError(
            f"tracker is {short(repr(value))}; give a name such as mlflow, or a section such as "
            "{name: wandb, project: skin}"
        )
    options = {str(key): option for key, option in tree.items() if key != "name"}
    kind = trackers[tree["name"]]
    trackers.check(tree["name"], options)
    if kind.extra is not None:
        require(kind.extra, f"tracker '{tree['name']}'")
    # Plain values: the choice is stored in the run, and sent to the processes of a study.
    return dict(json.loads(json.dumps({"name": tree["name"], **options}, default=str)))
