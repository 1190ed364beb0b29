"""The plan of a study: its runs, their states, and the time that they still take."""

import os
import time

from fairexit.config import RunConfig
from fairexit.study.engine import time_left
from fairexit.study.folder import VALIDATION, Folder
from fairexit.study.plan import Study
from fairexit.tables import Table

WARM, TIMED = 1, 3
"""Training steps before the timing starts, and timed steps."""


def overview(
    study: Study,
    folder: Folder,
    workers: int,
    threads: int | None = None,
    *,
    calibrate: bool = False,
) -> Table:
    """A table of all runs, each with its state and the time that it still takes.

    Args:
        study: the study.
        folder: its folder, which need not exist.
        workers: number of runs at a time.
        threads: CPU threads of each run; by default all, shared.
        calibrate: time a few training steps for rows without any finished epoch.
    """
    states = [*folder.states(study).values()]
    costs = folder.costs(study.runs, states)
    timed: dict[tuple[str, str], float] = {}
    rows = []
    for i, (run, state) in enumerate(zip(study.runs, states, strict=True)):
        if calibrate and costs[i] is None and run.start is None:
            key = (run.dataset, run.row)
            if key not in timed:
                timed[key] = seconds_per_epoch(run.config, share_threads(workers, threads))
            costs[i] = timed[key] * (run.epochs - state.epochs)
        progress = (
            f"started ({state.epochs} of {run.epochs} epochs)"
            if state.phase == "started"
            else state.phase
        )
        note = f"{progress}: {state.note}" if state.note else progress
        cost = costs[i]
        left = "unknown" if cost is None else time_left([cost], 1) if cost else ""
        rows.append([run.name, ", ".join(run.needs), note, left])
    done, refused = (sum(state.phase == phase for state in states) for phase in ("done", "refused"))
    total = time_left(costs, workers)
    title = f"{done} of {len(rows)} runs done; {total} left with {workers} at a time"
    title += f"; {refused} refused" if refused else ""
    return Table(title, ["Run", "needs", "State", "Time left"], rows, 3)


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


def share_threads(workers: int, threads: int | None) -> int:
    """CPU threads of each run: those given, else an equal share of all."""
    return threads or max(1, (os.cpu_count() or 1) // workers)


def seconds_per_epoch(config: RunConfig, threads: int) -> float:
    """Seconds of a training epoch, estimated from a few steps.

    A method's teacher is an untrained network. Nothing runs at the same time, so on a CPU several
    workers take a little longer than this.

    Args:
        config: a run's settings.
        threads: CPU threads.
    Raises:
        UserError: the data are absent.
    """
    import torch

    from fairexit.data.augment import Augment
    from fairexit.data.loaders import Loader
    from fairexit.data.prepared import open_prepared
    from fairexit.inference.predict import choose_device
    from fairexit.methods import Distilled
    from fairexit.training.optim import parameter_groups
    from fairexit.training.optimizers import build_optimizer
    from fairexit.training.setup import build

    data = open_prepared(config.data.path)
    task, device = data.task(config.data.group), choose_device(config.train.device)
    method = build(config, task, data.size).to(device)
    rows = data.rows("train", config.data.fold)
    loader = Loader(data, rows, task.group, batch_size=config.train.batch_size, device=device)
    method.begin(loader.labels, loader.groups, loader.expected_draws(config.data.sampling))
    if isinstance(method, Distilled):
        method.set_teacher(build(config, task, data.size).net.to(device))
    batches = loader.training(Augment(config.data.augment, 0), config.data.sampling, 0, 0)
    method.to(memory_format=torch.channels_last)
    optimizer = build_optimizer(parameter_groups(method, config.train), config.train, device)
    dtype = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(config.train.precision)
    began, steps, threads_before = time.perf_counter(), 0, torch.get_num_threads()
    torch.set_num_threads(threads)
    for step, batch in zip(range(WARM + TIMED), batches, strict=False):
        if step == WARM:
            began, steps = time.perf_counter(), 0
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            total = method(batch).total
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        steps += 1
    if device.type == "cuda":
        torch.cuda.synchronize()
    seconds = (time.perf_counter() - began) / steps
    torch.set_num_threads(threads_before)
    return seconds * loader.steps() * VALIDATION
