"""Execute the runs of a study in parallel, each in its own process; a failed run stops no other."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from fairexit.data.datasets import datasets
from fairexit.data.prepare import prepare
from fairexit.errors import UserError
from fairexit.executors.task import Executor, Task
from fairexit.files import folder_lock
from fairexit.progress import Bar
from fairexit.study.folder import Folder, State
from fairexit.study.job import PROGRAM
from fairexit.study.plan import Planned, Study
from fairexit.study.run_groups import describe
from fairexit.study.search_job import search_task
from fairexit.study.tuned import report
from fairexit.study.wording import preparation_setting
from fairexit.terminal import note

POLL = 2.0
"""Seconds between two readings of the logs."""

OPENING = 3600.0
"""Seconds for which a part of a study waits while another one prepares the data."""

TO_TRAIN = ("to do", "started")
"""Phases of a run that is not trained yet."""


def run_study(study: Study, folder: Folder, executor: Executor) -> dict[str, str]:
    """Make every run of a study that is not done.

    Args:
        study: the study.
        folder: its folder.
        executor: where the runs are made.
    Returns:
        Run -> why it failed or was not started, in one line.
    Raises:
        UserError: the folder is not a study's, or data are missing.
    """
    with _opened(study, folder):
        return _run_study(study, folder, executor)


def tune_study(study: Study, folder: Folder, executor: Executor) -> None:
    """Make the searches that are missing.

    Raises:
        UserError: as for `run_study`, or a search failed; the others are made first.
    """
    by_name = {search.name: search for search in study.searches}
    failed: list[str] = []
    tasks = (search_task(search, folder, executor.threads) for search in study.searches)
    with _opened(study, folder), closing(executor.run(tasks)) as outcomes:
        for outcome in outcomes:
            if outcome.error is None:
                note(report(by_name[outcome.task.name]))
            else:
                failed.append(f"the search of {outcome.task.name} failed: {outcome.error}")
    for line in failed[1:]:
        note(line)
    if failed:
        raise UserError(failed[0])


@contextmanager
def _opened(study: Study, folder: Folder) -> Iterator[None]:
    """Open the folder and check the data; keep other processes out, unless this is only a part.

    Each run has a lock of its own, so that no two processes write to it.
    """
    with folder_lock(folder.path, wait=OPENING if study.part else 0):
        folder.open()
        prepare_data(study)
        _check_data(study, folder)
        if not study.part:
            yield
    if study.part:
        yield


def _run_study(study: Study, folder: Folder, executor: Executor) -> dict[str, str]:
    failed: dict[str, str] = {}
    with _Progress(study, folder, executor.workers) as progress:
        states = folder.states(study)
        done = [name for name, state in states.items() if state.phase == "done"]
        refused = [run for run in study.runs if states[run.name].phase == "refused"]
        if refused:
            progress.line(f"refused: {describe(refused, study)}")
        if executor.is_local:
            waiting = (run for run in study.runs if states[run.name].phase in TO_TRAIN)
            for warning in _warnings(waiting):
                progress.line(warning)
        for batch in study.batches(executor.workers, done):
            tasks: list[Task] = []
            for run in batch:
                state = folder.state(run, study)
                missing = [name for name in run.needs if name in failed]
                if state.phase == "refused":
                    failed[run.name] = state.note
                elif missing and state.phase != "done":
                    failed[run.name] = f"not run, it needs {missing[0]}"
                elif state.phase != "done":
                    job = folder.job(run, study)
                    tasks.append(job.task(PROGRAM, folder.log(run.name), executor.threads))
                if run.name in failed and run not in refused:
                    progress.line(f"{run.name}: {failed[run.name]}")
            with closing(executor.run(tasks)) as outcomes:
                for task, error, _, seconds in outcomes:
                    error = _record(folder, task, error, seconds)
                    if error:
                        failed[task.name] = error
                    progress.line(f"{task.name}: {error or 'done'} ({progress.summary()})")
    return failed


def _record(folder: Folder, task: Task, error: str | None, seconds: float) -> str | None:
    """Store how an attempt at a run ended; returns its error, or that of the storing."""
    values: dict[str, Any] = {"error": error}
    if error is None:
        values = {"choice": task.payload["choice"], "seconds": round(seconds, 1)}
    try:
        folder.set_status(task.name, **values)
    except OSError as failure:
        return error or f"{failure.filename}: {failure.strerror}"
    return error


def _warnings(runs: Iterable[Planned]) -> set[str]:
    """Warnings on the settings of trainings, such as a precision that is slow on this machine."""
    trainings = (run.config for run in runs if run.start is None)
    configs = [config for config in trainings if config.train.precision != "32-true"]
    if not configs:
        return set()
    from fairexit.training.setup import slow_precision

    return {note for config in configs if (note := slow_precision(config))}


def prepare_data(study: Study) -> None:
    """Prepare the datasets that are absent and for which the study has a section `prepare`."""
    for run in study.runs:
        path, preparation = run.config.data.path, study.prepare.get(run.dataset)
        if preparation and not path.exists():
            try:
                dataset = datasets.create(preparation.dataset, **preparation.options)
                prepare(
                    preparation.dataset,
                    dataset,
                    preparation.source,
                    path,
                    options=preparation.how,
                )
            except UserError as error:
                raise UserError(error.render(preparation_setting(run.dataset))) from None


def _check_data(study: Study, folder: Folder) -> None:
    """Raise a UserError where the data of a run that is not trained are absent."""
    for run in study.runs:
        path = run.config.data.path
        if not path.is_dir() and not folder.run(run.name).finished:
            raise UserError(
                f"dataset '{run.dataset}' of the study: there are no data at {path}; prepare them "
                "with `fairexit prepare`, or remove the dataset from the study"
            )


class _Progress:
    """Progress bar of a study: finished epochs from the logs of all runs, and the time left."""

    def __init__(self, study: Study, folder: Folder, workers: int) -> None:
        self.study, self.folder, self.workers = study, folder, workers
        self.shown = self._steps()
        total = sum(run.epochs + 1 for run in study.runs)
        self.bar = Bar(f"study of {len(study.runs)} runs", total, self.shown)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._poll, daemon=True)

    def _states(self) -> list[State]:
        return [*self.folder.states(self.study).values()]

    def _steps(self) -> int:
        return sum(state.epochs + (state.phase == "done") for state in self._states())

    def __enter__(self) -> "_Progress":
        self.bar.__enter__()
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop.set()
        self.thread.join()
        self.bar.__exit__(None, None, None)

    def line(self, text: str) -> None:
        self.bar.line(text)

    def summary(self) -> str:
        """The number of finished runs, and the time that the others take."""
        states = self._states()
        done = sum(state.phase == "done" for state in states)
        left = time_left(self.folder.costs(self.study.runs, states), self.workers)
        return f"{done} of {len(states)} runs; {left} left"

    def _poll(self) -> None:
        while self.bar.is_terminal and not self.stop.wait(POLL):
            now = self._steps()
            for _ in range(now - self.shown):
                self.bar.advance()
            self.shown = max(now, self.shown)


def time_left(costs: Sequence[float | None], workers: int) -> str:
    """The sum of the known costs, divided by the workers, in words.

    Args:
        costs: seconds of each run; None where they are unknown.
        workers: number of runs at a time.

    >>> time_left([3600.0, 1800.0, None], 1)
    'about 1 h 30 min, and 1 run of unknown cost'
    >>> time_left([0.0, None], 1)
    '1 run of unknown cost'
    """
    known = sum(cost for cost in costs if cost is not None) / workers
    unknown = sum(cost is None for cost in costs)
    minutes = round(known / 60)
    words = f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
    text = f"about {words}" if known >= 60 else f"{known:.0f} s"
    if not unknown:
        return text
    rest = f"{unknown} run{'s' * (unknown > 1)} of unknown cost"
    return f"{text}, and {rest}" if known else rest
