"""The process that makes one run of a study: train, predict, choose theta, evaluate."""

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from fairexit.config_files import build_config
from fairexit.errors import UserError
from fairexit.evaluation.assess import assess
from fairexit.evaluation.choice import Choice
from fairexit.plugins import load_plugins
from fairexit.runs import Run, open_run
from fairexit.study.folder import Job
from fairexit.study.wording import run_setting
from fairexit.terminal import note


def make(job: Job) -> None:
    """Do the steps of a run that are not done yet."""
    from fairexit.inference.entanglement import measure_entanglement
    from fairexit.inference.predict import predict
    from fairexit.pipeline import make_run

    run = Run(Path(job.out))
    # A finished run no longer needs its data.
    if not run.finished:
        start = None if job.start is None else Path(job.start)
        make_run(build_config(job.config), run.path, start=start)
    run = open_run(run.path)
    missing = [split for split in ("val", "test") if not run.predictions(split).is_file()]
    if missing:
        predict(run, missing, device=run.config.train.device)
    evaluate_run(job)
    if job.entangle and not (run.path / "entanglement.json").is_file():
        measure_entanglement(run, device=run.config.train.device).write(run.path)


def evaluate_run(job: Job) -> None:
    """Choose theta on validation and evaluate on test; writes policy.json and metrics.json."""
    assess(Path(job.out), choice=Choice(**job.choice | {"grid": tuple(job.choice["grid"])}))


def main(work: Callable[[Job], None] = make) -> int:
    """Read a job from standard input and do it.

    Standard input stays open as long as the study's process lives; when it closes, the run stops.

    Returns:
        The exit status: 2 for an error of the user or the file system, printed in one line.
    """
    job = Job(**json.loads(sys.stdin.readline()))
    threading.Thread(target=_exit_with_study, daemon=True).start()
    try:
        load_plugins(job.plugins)
        work(job)
    except UserError as error:
        note(error.render(run_setting))
        return 2
    except OSError as error:
        note(f"{error.filename or job.out}: {error.strerror}")
        return 2
    return 0


def _exit_with_study() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
