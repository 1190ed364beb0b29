"""Runs on workers: in order, in parallel, each in a process of its own, none stopping the rest."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from fairexit.data.datasets import datasets
from fairexit.data.prepare import prepare
from fairexit.errors import UserError
from fairexit.files import folder_lock
from fairexit.progress import Bar
from fairexit.study.folder import Folder, Job, State
from fairexit.study.plan import Planned, Study
from fairexit.study.wording import preparation_setting

T = TypeVar("T")
R = TypeVar("R")

LOOK = 2.0
"""Seconds between two looks at the logs."""

TO_TRAIN = ("to do", "started")
"""States of a run that is not trained yet."""

WORKER = [sys.executable, "-u", "-m", "fairexit.study.job"]
"""What a job is handed to."""

_children: set["subprocess.Popen[str]"] = set()


def map_runs(function: Callable[[T], R], jobs: Sequence[T], workers: int) -> Iterator[R]:
    """The results of `function`, in the order in which they come.

    The one place that knows the engine: joblib. A job starts a process of its own, so threads are
    workers enough here; under `joblib.parallel_config(backend=...)` the same function goes to
    another machine that sees the same folders. Engines that cannot stream (Ray's) give all results
    at the end.
    """
    from joblib import Parallel, delayed
    from joblib.parallel import get_active_backend

    backend, _ = get_active_backend(prefer="threads")
    order = "generator_unordered" if backend.supports_return_generator else "list"
    pool = Parallel(n_jobs=workers, prefer="threads", batch_size=1, return_as=order)
    yield from pool(delayed(function)(job) for job in jobs)


def run_study(study: Study, folder: Folder, workers: int, threads: int) -> dict[str, str]:
    """Make every run that is not done.

    Args:
        study: the runs.
        folder: where they lie.
        workers: runs at a time.
        threads: CPU threads of each; the last digits of a result depend on it.
    Returns:
        Run -> the line that says why it failed or could not be started.
    Raises:
        UserError: the folder is no study's, or data are missing.
    """
    with folder_lock(folder.path):
        folder.open()
        prepare_data(study)
        _check_data(study, folder)
        return _run_study(study, folder, workers, threads)


def _run_study(study: Study, folder: Folder, workers: int, threads: int) -> dict[str, str]:
    failed: dict[str, str] = {}
    with _Watch(study, folder, workers) as watch:
        states = folder.states(study)
        done = [name for name, state in states.items() if state.what == "done"]
        for note in _notes(run for run in study.runs if states[run.name].what in TO_TRAIN):
            watch.line(note)
        for batch in study.batches(workers, done):
            jobs = []
            for run in batch:
                state = folder.state(run, study)
                missing = [name for name in run.needs if name in failed]
                if state.what == "refused":
                    failed[run.name] = state.note
                elif missing and state.what != "done":
                    failed[run.name] = f"not run, it needs {missing[0]}"
                elif state.what != "done":
                    jobs.append(folder.job(run, study, threads))
                if run.name in failed:
                    watch.line(f"{run.name}: {failed[run.name]}")
            for job, error, seconds in map_runs(call, jobs, workers):
                values: dict[str, Any] = {"error": error}
                if error is None:
                    values = {"choice": job.choice, "seconds": round(seconds, 1)}
                try:
                    folder.set_status(job.name, **values)
                except OSError as full:
                    error = error or f"{full.filename}: {full.strerror}"
                if error:
                    failed[job.name] = error
                watch.line(f"{job.name}: {error or 'done'} ({watch.summary()})")
    return failed


def _notes(runs: Iterable[Planned]) -> set[str]:
    """What is to be said of trainings that are still to come."""
    trainings = (run.config for run in runs if run.start is None)
    configs = [config for config in trainings if config.train.precision != "32-true"]
    if not configs:
        return set()
    from fairexit.training.setup import slow_precision

    return {note for config in configs if (note := slow_precision(config))}


def call(job: Job) -> tuple[Job, str | None, float]:
    """Make a run in a process of its own; returns the job, its error line and the seconds."""
    began = time.perf_counter()
    try:
        error = _call(job)
    except OSError as full:
        error = f"{full.filename or job.log}: {full.strerror}"
    return job, error, time.perf_counter() - began


def _call(job: Job) -> str | None:
    log = Path(job.log)
    log.parent.mkdir(parents=True, exist_ok=True)
    threads = {"OMP_NUM_THREADS": str(job.threads), "MKL_NUM_THREADS": str(job.threads)}
    with log.open("a+b") as out:
        start = out.seek(0, os.SEEK_END)
        child = subprocess.Popen(
            WORKER,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | threads,
            text=True,
        )
        _children.add(child)
        try:
            assert child.stdin is not None
            # Held open until the run has ended: its end tells the run that the study has died.
            child.stdin.write(json.dumps(asdict(job)) + "\n")
            child.stdin.flush()
            status = child.wait()
        except BrokenPipeError:
            status = child.wait()
        finally:
            _children.discard(child)
        out.seek(start)
        said = out.read().decode(errors="replace").strip()
    return _error_line(status, said)


def _error_line(status: int, said: str) -> str | None:
    if status == 0:
        return None
    if status < 0:
        return f"its process was killed ({signal.Signals(-status).name})"
    return (
        said.splitlines()[-1] if said else f"its process ended with status {status} and no message"
    )


def prepare_data(study: Study) -> None:
    """Prepare data that the study describes and that are not there."""
    for run in study.runs:
        path, wanted = run.config.data.path, study.prepare.get(run.dataset)
        if wanted and not path.exists():
            try:
                drawn = datasets.create(wanted.dataset, **wanted.options)
                prepare(wanted.dataset, drawn, wanted.source, path, options=wanted.how)
            except UserError as error:
                raise UserError(error.render(preparation_setting(run.dataset))) from None


def _check_data(study: Study, folder: Folder) -> None:
    """Raise a UserError where data are missing that are still to be trained on."""
    for run in study.runs:
        path = run.config.data.path
        if not path.is_dir() and not folder.run(run.name).finished:
            raise UserError(
                f"dataset '{run.dataset}' of the study: there are no data at {path}; prepare them "
                "with `fairexit prepare`, or remove the dataset from the study"
            )


class _Watch:
    """Live progress: epochs from the logs of all runs, and the time left."""

    def __init__(self, study: Study, folder: Folder, workers: int) -> None:
        self.study, self.folder, self.workers = study, folder, workers
        self.seen = self._steps()
        total = sum(run.epochs + 1 for run in study.runs)
        self.bar = Bar(f"study of {len(study.runs)} runs", total, self.seen)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)

    def _states(self) -> list[State]:
        return [*self.folder.states(self.study).values()]

    def _steps(self) -> int:
        return sum(state.epochs + (state.what == "done") for state in self._states())

    def __enter__(self) -> "_Watch":
        self.bar.__enter__()
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop.set()
        for child in list(_children):
            child.kill()
        self.thread.join()
        self.bar.__exit__(None, None, None)

    def line(self, text: str) -> None:
        self.bar.line(text)

    def summary(self) -> str:
        """How many runs are done and how long the others may take."""
        states = self._states()
        done = sum(state.what == "done" for state in states)
        left = time_left(self.folder.costs(self.study.runs, states), self.workers)
        return f"{done} of {len(states)} runs; {left} left"

    def _look(self) -> None:
        while self.bar.is_terminal and not self.stop.wait(LOOK):
            now = self._steps()
            for _ in range(now - self.seen):
                self.bar.advance()
            self.seen = max(now, self.seen)


def time_left(costs: Sequence[float | None], workers: int) -> str:
    """The sum of the known costs over the workers, in words.

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
    others = f"{unknown} run{'s' * (unknown > 1)} of unknown cost"
    return f"{text}, and {others}" if known else others
