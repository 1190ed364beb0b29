"""The plan of a study: its runs, their states, and the time that they still take."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fairexit.study.calibration import calibrated, share_threads
from fairexit.study.engine import time_left
from fairexit.study.folder import Folder, State
from fairexit.study.plan import Planned, Study
from fairexit.study.run_groups import describe, grouped
from fairexit.tables import Table


@dataclass(frozen=True)
class Overview:
    """The plan of a study.

    Attributes:
        table: a line for each group of runs of the same row, state and notes; runs whose time is
            unknown are one group, and so are those that are refused for the same reason.
        total: runs that are done and that wait, and the time left, or why it is unknown.
        can_calibrate: whether timing a few training steps would tell an unknown time.
    """

    table: Table
    total: str
    can_calibrate: bool


def overview(
    study: Study,
    folder: Folder,
    workers: int,
    threads: int | None = None,
    *,
    calibrate: bool = False,
) -> Overview:
    """All runs, their states, and the time that they still take.

    Args:
        study: the study.
        folder: its folder, which need not exist.
        workers: number of runs at a time.
        threads: CPU threads of each run; by default all, shared.
        calibrate: time a few training steps for rows without any finished epoch.
    """
    states = [*folder.states(study).values()]
    costs = folder.costs(study.runs, states)
    if calibrate:
        costs = calibrated(study, states, costs, share_threads(workers, threads))
    notes = [_note(run, state) for run, state in zip(study.runs, states, strict=True)]
    groups = grouped(
        note if cost is None or state.phase == "refused" else (run.dataset, run.row, note)
        for run, state, note, cost in zip(study.runs, states, notes, costs, strict=True)
    )
    rows = [
        _line([study.runs[i] for i in at], [costs[i] for i in at], notes[at[0]], study)
        for at in groups.values()
    ]
    unknown = [run for run, cost in zip(study.runs, costs, strict=True) if cost is None]
    return Overview(
        Table("Runs of the study", ["Runs", "Need", "State", "Time left"], rows, 3),
        _total(states, costs, unknown, workers),
        any(run.start is None for run in unknown),
    )


def _note(run: Planned, state: State) -> str:
    progress = (
        f"started ({state.epochs} of {run.epochs} epochs)"
        if state.phase == "started"
        else state.phase
    )
    return f"{progress}: {state.note}" if state.note else progress


def _line(
    runs: Sequence[Planned], costs: Sequence[float | None], note: str, study: Study
) -> list[str]:
    """The cells of a group of runs."""
    rows = {run.name: run.row for run in study.runs}
    needed = dict.fromkeys(rows[name] or name for run in runs for name in run.needs)
    known = [cost for cost in costs if cost is not None]
    left = time_left(known, 1) if any(known) else ""
    return [
        describe(runs, study),
        ", ".join(needed),
        note,
        left if len(known) == len(costs) else "unknown",
    ]


def _total(
    states: Sequence[State],
    costs: Sequence[float | None],
    unknown: Sequence[Planned],
    workers: int,
) -> str:
    """Runs that are done and that wait, and the time left, or why it is unknown."""
    phases = Counter(state.phase for state in states)
    done, refused = phases["done"], phases["refused"]
    parts = [f"{done} of {len(states)} runs done, {len(states) - done - refused} waiting"]
    parts += [f"{refused} refused"] if refused else []
    known = [cost for cost in costs if cost is not None]
    if any(known) or not unknown:
        parts.append(f"{time_left(known, workers)} left with {workers} at a time")
    trainings = sum(run.start is None for run in unknown)
    if trainings:
        parts.append(f"time unknown for {_count(trainings)} to train, as none like that has begun")
    if others := len(unknown) - trainings:
        parts.append(
            f"time unknown for {_count(others)} to prune or refit until one of the row is done"
        )
    return "; ".join(parts)


def _count(number: int) -> str:
    return f"{number} run{'s' * (number > 1)}"


def image_sentences(study: Study) -> list[str]:
    """For each dataset a sentence that says which images its results are of."""
    sentences = []
    for dataset in study.datasets:
        folds = {run.fold for run in study.runs if run.dataset == dataset} - {None}
        sentences.append(
            f"{dataset}: {len(folds)} folds; results are of the out-of-fold answers of all images"
            if folds
            else f"{dataset}: one test split; data in folds would test every image"
        )
    return sentences
