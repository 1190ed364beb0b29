"""A study's folder: the paths of its runs, their states, and the time that they still take."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from fairexit.config import RunConfig
from fairexit.errors import UserError, option
from fairexit.evaluation.choice import Choice
from fairexit.executors.task import Task
from fairexit.files import read_json, write_atomically, write_json
from fairexit.plugins import loaded_paths
from fairexit.runs import FORMAT, Run, check_same, open_run
from fairexit.study.paper import ENTANGLED, common_name
from fairexit.study.plan import Planned, Study
from fairexit.study.wording import run_setting

STUDY_FORMAT = 1
MOVE = f"choose another {option('out')}, and move the runs into its folder 'runs'"
VALIDATION = 1.1
"""Factor on the seconds in the log, which leave out validation: about a tenth more."""


@dataclass(frozen=True)
class State:
    """The state of a run.

    Attributes:
        phase: `to do`, `started`, `trained` (predictions or metrics are missing), `done`, or
            `refused` (the folder holds another run).
        note: why it was refused, or the error of the last attempt.
        epochs: number of finished epochs.
    """

    phase: str
    note: str = ""
    epochs: int = 0


@dataclass(frozen=True)
class Job:
    """Everything that a process needs to make one run; plain values, which are sent as JSON.

    Attributes:
        name: of the run.
        out: the run's folder.
        config: the settings, see `RunConfig.to_dict`.
        start: folder of the run that it prunes or refits.
        choice: how theta is chosen, see `Choice`; None for a run that is not evaluated.
        entangle: whether entanglement is measured.
        splits: the splits to predict.
        tracker: where the log of the training is sent too.
        plugins: plugin files to load.
    """

    name: str
    out: str
    config: dict[str, Any]
    start: str | None = None
    choice: dict[str, Any] | None = None
    entangle: bool = False
    splits: Sequence[str] = ("val", "test")
    tracker: dict[str, Any] | None = None
    plugins: list[str] = field(default_factory=loaded_paths)

    def task(self, program: tuple[str, ...], log: Path, threads: int) -> Task:
        """The job as a task for an executor."""
        train, prune = self.config["train"], self.config["prune"]
        parts = [prune] if prune and self.start else [train, prune] if prune else [train]
        return Task(
            self.name,
            program,
            asdict(self),
            log,
            threads=threads,
            device="cpu" if all(part["device"] == "cpu" for part in parts) else "auto",
            devices=max(part["devices"] for part in parts),
        )


@dataclass(frozen=True)
class Folder:
    """The folder of a study."""

    path: Path

    def open(self) -> None:
        """Mark a new folder as a study's, or check that an existing one is.

        Raises:
            UserError: the folder holds something else, or a study of another version.
        """
        if not self.check():
            stamp = json.dumps({"format": STUDY_FORMAT}) + "\n"
            write_atomically(self.path / "study.json", stamp)

    def check(self) -> bool:
        """Whether the folder is a study's; False for a new one.

        Raises:
            UserError: it holds something else, or a study of another version.
        """
        stamp = self.path / "study.json"
        if stamp.is_file():
            version = read_json(stamp, MOVE).get("format")
            if version != STUDY_FORMAT:
                raise UserError(
                    f"{self.path} has format {version}, but this version writes {STUDY_FORMAT}; "
                    f"{MOVE}"
                )
            return True
        if self.path.exists() and any(p.name != "runs" for p in self.path.glob("[!.]*")):
            raise UserError(
                f"{self.path} exists but is not a study; choose another {option('out')}"
            )
        return False

    def run(self, name: str) -> Run:
        return Run(self.path / "runs" / name)

    def config(self, planned: Planned) -> RunConfig:
        """A run's settings, with the path of its teacher filled in."""
        if planned.teacher is None:
            return planned.config
        method = {**planned.config.method, "teacher": str(self.run(planned.teacher).path)}
        return replace(planned.config, method=method)

    def job(self, planned: Planned, study: Study) -> Job:
        return Job(
            planned.name,
            str(self.run(planned.name).path),
            self.config(planned).to_dict(),
            start=str(self.run(planned.start).path) if planned.start else None,
            choice=_plain(study.choice),
            entangle=_entangled(planned, study),
            tracker=study.tracker,
        )

    def log(self, name: str) -> Path:
        """The file for the output of a run's process."""
        return self.path / "logs" / f"{name}.log"

    def status(self, name: str) -> dict[str, Any]:
        """The record of the last attempt at a run; empty before the first."""
        file = self.path / "status" / f"{name}.json"
        return read_json(file, "remove it and run the study again") if file.is_file() else {}

    def set_status(self, name: str, **values: Any) -> None:
        file = self.path / "status" / f"{name}.json"
        write_json(file, values)

    def state(self, planned: Planned, study: Study) -> State:
        """The state of a run; any finished run with the same settings and data counts."""
        run, status = self.run(planned.name), self.status(planned.name)
        epochs = planned.epochs
        try:
            if run.finished:
                _check(open_run(run.path), self.config(planned))
        except UserError as error:
            # Runs that are refused for the same reason have the same note.
            note = error.render(run_setting).replace(f"{run.path} ", "its folder ")
            return State("refused", note, epochs)
        if not run.finished:
            done, note = len(read_log(run)), status.get("error", "")
            if not planned.config.data.path.is_dir() and planned.dataset not in study.prepare:
                note = f"there are no data at {planned.config.data.path}"
            return State("started" if done else "to do", note, done)
        files = [run.predictions("val"), run.predictions("test"), run.metrics, run.policy]
        if _entangled(planned, study):
            files.append(run.path / "entanglement.json")
        # A choice of an earlier version lacks settings, which then had their defaults.
        choice = _plain(Choice()) | status["choice"] if "choice" in status else None
        ready = all(f.is_file() for f in files) and choice == _plain(study.choice)
        return State("done" if ready else "trained", status.get("error", ""), epochs)

    def states(self, study: Study) -> dict[str, State]:
        """Run -> its state."""
        return {run.name: self.state(run, study) for run in study.runs}

    def refused(self, study: Study) -> dict[str, str]:
        """Run -> why its folder was refused."""
        states = self.states(study)
        return {name: state.note for name, state in states.items() if state.phase == "refused"}

    def costs(self, runs: Sequence[Planned], states: Sequence[State]) -> list[float | None]:
        """Seconds that each run still takes, estimated from similar runs; None if there are none.

        Similar are runs of the same dataset and row. Failing that, for a training: runs on the same
        images (with any attribute or split), with the same backbone and the same row or exits; for
        a pruning: runs of the same row.
        """
        measured: dict[Any, list[float]] = {}
        for run in runs:
            if run.start is None:
                seconds = read_log(self.run(run.name))["seconds"] * VALIDATION
                for key in _cost_keys(run):
                    measured.setdefault(key, []).extend(seconds)
            elif "seconds" in (status := self.status(run.name)):
                for key in _cost_keys(run):
                    measured.setdefault(key, []).append(status["seconds"])
        costs: list[float | None] = []
        for run, state in zip(runs, states, strict=True):
            known = next((measured[key] for key in _cost_keys(run) if measured.get(key)), None)
            left = run.epochs - state.epochs if run.start is None else 1
            if state.phase in ("done", "trained", "refused"):
                costs.append(0.0)
            else:
                costs.append(None if known is None else float(np.mean(known)) * left)
        return costs


def read_log(run: Run) -> pd.DataFrame:
    """A run's log, a row per epoch; empty where it has none."""
    file = run.path / "log.csv"
    if not file.is_file():
        return pd.DataFrame({"seconds": []})
    try:
        log = pd.read_csv(file)
        log["seconds"]
    except (ValueError, KeyError):
        raise UserError(f"{file} is damaged; remove {run.path} and run the study again") from None
    return log


def dataset_info(path: Path) -> dict[str, Any] | None:
    """The content of `dataset.json`; None where there are no data."""
    file = path / "dataset.json"
    return read_json(file, "prepare the data again") if file.is_file() else None


def _cost_keys(run: Planned) -> list[tuple[Any, ...]]:
    """Keys under which similar runs share their cost, the most similar first."""
    if run.start is not None:
        return [(run.dataset, run.row), ("pruned", run.row)]
    model, path = run.config.model, run.config.data.path
    # The same images with another attribute or split are another dataset of the study.
    info = dataset_info(path)
    same = (info["checksums"]["images.npy"] if info else str(path), model.backbone)
    return [(run.dataset, run.row), (*same, run.row), (*same, str(model.exits))]


def _entangled(planned: Planned, study: Study) -> bool:
    return study.entangle and common_name(planned.row) in ENTANGLED


def _plain(choice: Choice) -> dict[str, Any]:
    """The choice as it is read back from JSON."""
    return cast(dict[str, Any], json.loads(json.dumps(asdict(choice))))


def _check(run: Run, wanted: RunConfig) -> None:
    """Raise a UserError unless a finished run has these settings and was trained on these data.

    The data may have moved. Where they are absent, only the settings are compared.
    """
    info = dataset_info(wanted.data.path)
    trained_on = run.description["data"]["checksums"]
    group = wanted.data.group or (next(iter(info["attributes"])) if info else None)
    old = {
        "format": FORMAT,
        "run": _comparable(run.config, run.description["group"]),
        "data": trained_on,
    }
    new = {
        "format": FORMAT,
        "run": _comparable(wanted, group or run.description["group"]),
        "data": info["checksums"] if info else trained_on,
    }
    check_same(run.path, old, new)


def _comparable(config: RunConfig, group: str) -> dict[str, Any]:
    """The settings without the paths, which may differ between equal runs."""
    tree = config.to_dict()
    tree["data"] |= {"path": "", "group": group}
    if tree["method"].get("teacher"):
        tree["method"]["teacher"] = Path(tree["method"]["teacher"]).name
    return tree
