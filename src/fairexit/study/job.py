"""The process that makes one run of a study: train, predict, choose theta, evaluate."""

import sys
from collections.abc import Callable
from pathlib import Path

from fairexit.config_files import build_config
from fairexit.evaluation.assess import assess
from fairexit.evaluation.choice import Choice
from fairexit.executors import child
from fairexit.files import folder_lock
from fairexit.runs import Run, open_run
from fairexit.study.folder import Job
from fairexit.study.wording import run_setting

PROGRAM = ("-m", "fairexit.study.job")
"""The program of a task that makes a run."""

LOCK_WAIT = 60.0
"""Seconds to wait for another process that still writes to the run, such as one on a lost node."""


def make(job: Job) -> None:
    """Do the steps of a run that are not done yet."""
    from fairexit.inference.entanglement import measure_entanglement
    from fairexit.inference.predict import predict
    from fairexit.pipeline import make_run
    from fairexit.training.trackers.base import check_tracker

    run = Run(Path(job.out))
    # A finished run no longer needs its data.
    if not run.finished:
        start = None if job.start is None else Path(job.start)
        with folder_lock(run.path, wait=LOCK_WAIT):
            pass
        # On a cluster the tracker's package may be missing on this node only.
        tracker = check_tracker(job.tracker)
        make_run(build_config(job.config), run.path, start=start, tracker=tracker)
    run = open_run(run.path)
    missing = [split for split in job.splits if not run.predictions(split).is_file()]
    if missing:
        predict(run, missing, device=run.config.train.device)
    if job.choice is not None:
        evaluate_run(job)
    if job.entangle and not (run.path / "entanglement.json").is_file():
        measure_entanglement(run, device=run.config.train.device).write(run.path)


def evaluate_run(job: Job) -> None:
    """Choose theta on validation and evaluate on test; writes policy.json and metrics.json."""
    assert job.choice is not None
    assess(Path(job.out), choice=Choice(**job.choice | {"grid": tuple(job.choice["grid"])}))


def main(work: Callable[[Job], None] = make) -> int:
    """Read a job from standard input and do it; returns the exit status, see `executors.child`."""
    return child.main(lambda payload: work(Job(**payload)), run_setting)


if __name__ == "__main__":
    sys.exit(main())
