"""Trackio: a run of a project, in a local store or a Hugging Face Space."""

import uuid
from collections.abc import Mapping
from typing import Any

from fairexit.training.trackers.base import PROJECT, Tracker, trackers


@trackers.register("trackio")
class Trackio(Tracker):
    """A run of a Trackio project.

    Args:
        project: name of the project.
        space_id: Hugging Face Space that shows it, such as "me/skin"; by default TRACKIO_SPACE_ID,
            else a local store.
    """

    extra = "trackio"

    def __init__(self, *, project: str = PROJECT, space_id: str | None = None) -> None:
        self.project, self.space_id = project, space_id

    def start(self, name: str, settings: Mapping[str, Any], run_id: str | None) -> str:
        import trackio

        # Trackio finds a run again by its name, which must be unique in the project.
        unique = run_id or f"{name}-{uuid.uuid4().hex[:8]}"
        self._run = trackio.init(
            project=self.project,
            name=unique,
            space_id=self.space_id,
            resume="allow",
            config=dict(settings),
        )
        return unique

    def log(self, row: Mapping[str, float], epoch: int) -> None:
        self._run.log(dict(row), step=epoch)

    def finish(self, succeeded: bool) -> None:
        self._run.finish()
