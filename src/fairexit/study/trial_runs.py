"""The runs of a search's trials, in this process or as tasks of an executor."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from fairexit.config import RunConfig
from fairexit.errors import DivergedError, UserError
from fairexit.executors.task import Executor
from fairexit.runs import Run
from fairexit.study.folder import Job
from fairexit.study.job import PROGRAM, make
from fairexit.study.plan import is_refitted
from fairexit.study.wording import run_setting
from fairexit.terminal import note


def make_trials(
    configs: Mapping[int, RunConfig],
    out: Path,
    searched: Sequence[str],
    executor: Executor | None = None,
) -> dict[int, Run | None]:
    """Make the runs of trials and predict validation.

    Trials that differ in their pruning alone prune the same network, and those that differ in their
    refit alone refit the same one; it is made first.

    Args:
        configs: number of each trial -> its settings.
        out: folder of the search.
        searched: the settings in which the trials differ.
        executor: where the runs are made, at the same time; by default in this process.
    Returns:
        Number -> its run, None where the training diverged.
    Raises:
        UserError: a run failed in another way.
    """
    jobs: dict[int, Job] = {}
    starts: dict[str, Job] = {}
    for number, config in configs.items():
        name, shared = _shared(config, searched)
        start = str(out / name) if shared else None
        if start and shared:
            starts[start] = Job(name, start, shared.to_dict(), splits=())
        folder = str(out / f"trial{number}")
        jobs[number] = Job(f"trial {number}", folder, config.to_dict(), start=start, splits=["val"])
    lost = {job.out for job in _diverged([*starts.values()], out, executor)}
    trainable = [job for job in jobs.values() if job.start not in lost]
    lost |= {job.out for job in _diverged(trainable, out, executor)}
    return {
        number: None if lost & {job.start, job.out} else Run(Path(job.out))
        for number, job in jobs.items()
    }


def _shared(config: RunConfig, searched: Sequence[str]) -> tuple[str, RunConfig | None]:
    """The name and the settings of the run from which all trials start; None without."""
    if config.prune is not None:
        name, section, shared = "unpruned", "prune", replace(config, prune=None)
    elif is_refitted(config):
        name, section, shared = "erm", "method", replace(config, method={"name": "erm"})
    else:
        return "", None
    return name, shared if all(key.startswith(f"{section}.") for key in searched) else None


def _diverged(jobs: Sequence[Job], out: Path, executor: Executor | None) -> list[Job]:
    """Make runs; returns the jobs whose training diverged, and raises for another error."""
    diverged: list[Job] = []
    if executor is None:
        for job in jobs:
            try:
                make(job)
            except DivergedError as error:
                note(f"{job.name}: {error.render(run_setting)}")
                diverged.append(job)
        return diverged
    by_name = {job.name: job for job in jobs}
    logs = out / "logs"
    tasks = [job.task(PROGRAM, logs / f"{job.name}.log", executor.threads) for job in jobs]
    failed = ""
    with closing(executor.run(tasks)) as outcomes:
        for outcome in outcomes:
            name = outcome.task.name
            note(f"{name}: {outcome.error or 'done'}")
            if outcome.has_diverged:
                diverged.append(by_name[name])
            elif outcome.error:
                failed = failed or f"{name}: {outcome.error}"
    if failed:
        raise UserError(failed)
    return diverged
