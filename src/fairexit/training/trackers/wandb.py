"""Weights & Biases: a run of a project."""

import os
from collections.abc import Mapping
from typing import Any

from fairexit.training.trackers.base import PROJECT, Tracker, trackers


@trackers.register("wandb")
class WandB(Tracker):
    """A run of a Weights & Biases project.

    Args:
        project: name of the project; by default WANDB_PROJECT, else "fairexit".
        entity: the user or team that owns it; by default that of the login.
    """

    extra = "wandb"

    def __init__(self, *, project: str | None = None, entity: str | None = None) -> None:
        self.project = project or os.environ.get("WANDB_PROJECT", PROJECT)
        self.entity = entity

    def start(self, name: str, settings: Mapping[str, Any], run_id: str | None) -> str:
        import wandb

        self._run = wandb.init(
            project=self.project,
            entity=self.entity,
            name=name,
            id=run_id,
            resume=None if run_id is None else "allow",
            config=dict(settings),
            # A run that is continued may have more epochs.
            allow_val_change=True,
            # The active run of the calling program stays as it is.
            reinit="create_new",
        )
        return str(self._run.id)

    def log(self, row: Mapping[str, float], epoch: int) -> None:
        self._run.log(dict(row), step=epoch)

    def finish(self, succeeded: bool) -> None:
        self._run.finish(exit_code=0 if succeeded else 1)
