"""Send the log of a training to a tracker; whatever the tracker does, training goes on."""

import math
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

from fairexit.config import RunConfig
from fairexit.errors import reason, short
from fairexit.files import read_json, write_json
from fairexit.runs import Run
from fairexit.terminal import note
from fairexit.training.log import scalar_name
from fairexit.training.trackers.base import Tracker, trackers


class Tracking:
    """The connection between a run and a tracker, open while the run is trained.

    Its state is in `tracker.json` of the run's folder. A resumed run continues the tracker's run
    and sends only the epochs that it lacks; with another tracker, or another project of the same
    one, it starts a new one and sends all epochs.

    Args:
        choice: the tracker's `name` and options, see `check_tracker`; None sends nothing.
        run: the run.
        config: its settings.
    """

    def __init__(self, choice: Mapping[str, Any] | None, run: Run, config: RunConfig) -> None:
        self._choice = dict(choice or {})
        self._run, self._config = run, config
        self._tracker: Tracker | None = None
        if choice is not None:
            options = {key: value for key, value in choice.items() if key != "name"}
            self._tracker = trackers.create(choice["name"], **options)
        self._file = run.path / "tracker.json"
        self._sent = 0

    def __enter__(self) -> "Tracking":
        self._attempt(self._start)
        return self

    def send(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Send the epochs that the tracker does not have yet.

        Args:
            rows: the whole log, one row per epoch.
        """
        self._attempt(lambda tracker: self._send(tracker, rows))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._attempt(lambda tracker: tracker.finish(kind is None))

    def _start(self, tracker: Tracker) -> None:
        stored = read_json(self._file, "remove it") if self._file.is_file() else {}
        run_id = None
        if stored.get("tracker") == self._choice:
            run_id, self._sent = stored["id"], stored["epoch"]
        name = "/".join(self._run.path.resolve().parts[-2:])
        self._id = tracker.start(name, self._config.to_dict(), run_id)
        self._store()

    def _send(self, tracker: Tracker, rows: Sequence[Mapping[str, float]]) -> None:
        for epoch in range(self._sent + 1, len(rows) + 1):
            row = {scalar_name(k): v for k, v in rows[epoch - 1].items() if math.isfinite(v)}
            tracker.log(row, epoch)
            self._sent = epoch
            self._store()

    def _store(self) -> None:
        write_json(self._file, {"tracker": self._choice, "id": self._id, "epoch": self._sent})

    def _attempt(self, action: Callable[[Tracker], None]) -> None:
        """Let the tracker do something; after an error it is not used again."""
        if self._tracker is None:
            return
        try:
            action(self._tracker)
        except Exception as error:
            self._tracker = None
            note(
                f"warning: {self._run.path}: tracker '{self._choice['name']}' failed "
                f"({short(reason(error), 300)}); training goes on without it, and log.csv has "
                "every epoch"
            )
