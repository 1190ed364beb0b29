"""Execute the runs of a study in parallel, each in its own process; a failed run stops no other."""

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
from fairexit.study.run_groups import describe
from fairexit.study.tuned import run_search
from fairexit.study.wording import preparation_setting

T = TypeVar("T")
R = TypeVar("R")

POLL = 2.0
"""Seconds between two readings of the logs."""

TO_TRAIN = ("to do", "started")
"""Phases of a run that is not trained yet."""

WORKER = [sys.executable, "-u", "-m", "fairexit.study.job"]
"""The command that reads a job from standard input and makes its run."""

_children: set["subprocess.Popen[str]"] = set()


def map_runs(function: Callable[[T], R], jobs: Sequence[T], workers: int) -> Iterator[R]:
    """Apply `function` to the jobs in parallel, and yield results as they become available.

    Only this function knows that joblib runs the jobs. Each job starts its own process, so the
    workers are threads. Under `joblib.parallel_config(backend=...)` jobs can run on other machines
    that share the folders. Backends that cannot stream results (Ray's) yield all of them at the
    end.

    Args:
        function: applied to each job.
        jobs: its arguments.
        workers: number of jobs at a time.
    """
    from joblib import Parallel, delayed
    from joblib.parallel import get_active_backend

    backend, _ = get_active_backend(prefer="threads")
    order = "generator_unordered" if backend.supports_return_generator else "list"
    pool = Parallel(n_jobs=workers, prefer="threads", batch_size=1, return_as=order)
    yield from pool(delayed(function)(job) for job in jobs)


def run_study(study: Study, folder: Folder, workers: int, threads: int) -> dict[str, str]:
    """Make every run of a study that is not done.

    Args:
        study: the study.
        folder: its folder.
        workers: number of runs at a time.
        threads: CPU threads of each run; the last digits of its results depend on it.
    Returns:
        Run -> why it failed or was not started, in one line.
    Raises:
        UserError: the folder is not a study's, or data are missing.
    """
    with folder_lock(folder.path):
        folder.open()
        prepare_data(study)
        _check_data(study, folder)
        return _run_study(study, folder, workers, threads)


def tune_study(study: Study, folder: Folder) -> None:
    """Make the searches that are missing, one after the other; raises as `run_study` does."""
    with folder_lock(folder.path):
        folder.open()
        prepare_data(study)
        _check_data(study, folder)
        for search in study.searches:
            run_search(search)


def _run_study(study: Study, folder: Folder, workers: int, threads: int) -> dict[str, str]:
    failed: dict[str, str] = {}
    with _Progress(study, folder, workers) as progress:
        states = folder.states(study)
        done = [name for name, state in states.items() if state.phase == "done"]
        refused = [run for run in study.runs if states[run.name].phase == "refused"]
        if refused:
            progress.line(f"refused: {describe(refused, study)}")
        for warning in _warnings(run for run in study.runs if states[run.name].phase in TO_TRAIN):
            progress.line(warning)
        for batch in study.batches(workers, done):
            jobs = []
            for run in batch:
                state = folder.state(run, study)
                missing = [name for name in run.needs if name in failed]
                if state.phase == "refused":
                    failed[run.name] = state.note
                elif missing and state.phase != "done":
                    failed[run.name] = f"not run, it needs {missing[0]}"
                elif state.phase != "done":
                    jobs.append(folder.job(run, study, threads))
                if run.name in failed and run not in refused:
                    progress.line(f"{run.name}: {failed[run.name]}")
            for job, error, seconds in map_runs(call, jobs, workers):
                values: dict[str, Any] = {"error": error}
                if error is None:
                    values = {"choice": job.choice, "seconds": round(seconds, 1)}
                try:
                    folder.set_status(job.name, **values)
                except OSError as failure:
                    error = error or f"{failure.filename}: {failure.strerror}"
                if error:
                    failed[job.name] = error
                progress.line(f"{job.name}: {error or 'done'} ({progress.summary()})")
    return failed


def _warnings(runs: Iterable[Planned]) -> set[str]:
    """Warnings on the settings of trainings, such as a precision that is slow on this machine."""
    trainings = (run.config for run in runs if run.start is None)
    configs = [config for config in trainings if config.train.precision != "32-true"]
    if not configs:
        return set()
    from fairexit.training.setup import slow_precision

    return {note for config in configs if (note := slow_precision(config))}


def call(job: Job) -> tuple[Job, str | None, float]:
    """Make a run in its own process; returns the job, its error in one line, and the seconds."""
    began = time.perf_counter()
    try:
        error = _run_process(job)
    except OSError as failure:
        error = f"{failure.filename or job.log}: {failure.strerror}"
    return job, error, time.perf_counter() - began


def _run_process(job: Job) -> str | None:
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
            # The pipe stays open until the run ends; if it closes earlier, the run stops itself.
            child.stdin.write(json.dumps(asdict(job)) + "\n")
            child.stdin.flush()
            status = child.wait()
        except BrokenPipeError:
            status = child.wait()
        finally:
            _children.discard(child)
        out.seek(start)
        output = out.read().decode(errors="replace").strip()
    return _error_line(status, output)


def _error_line(status: int, output: str) -> str | None:
    """Why a process failed, from its exit status and output; None for success."""
    if status == 0:
        return None
    if status < 0:
        return f"its process was killed ({signal.Signals(-status).name})"
    if not output:
        return f"its process ended with status {status} and no message"
    return output.splitlines()[-1]


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
        for child in list(_children):
            child.kill()
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
