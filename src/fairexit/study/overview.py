"""What a study is made of, what is done, and what the rest costs."""

import os
import time

from fairexit.config import RunConfig
from fairexit.study.engine import time_left
from fairexit.study.folder import VALIDATION, Folder
from fairexit.study.plan import Study
from fairexit.tables import Table

WARM, TIMED = 1, 3
"""Training steps before the clock runs, and while it does."""


def overview(
    study: Study,
    folder: Folder,
    workers: int,
    threads: int | None = None,
    *,
    calibrate: bool = False,
) -> Table:
    """Every run with its state and the time it still takes.

    Args:
        study: the runs.
        folder: where they lie, or will.
        workers: runs at a time.
        threads: CPU threads of each; by default all, shared.
        calibrate: time a few training steps for rows of which nothing has run.
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
        what = (
            f"started ({state.epochs} of {run.epochs} epochs)"
            if state.what == "started"
            else state.what
        )
        note = f"{what}: {state.note}" if state.note else what
        cost = costs[i]
        left = "unknown" if cost is None else time_left([cost], 1) if cost else ""
        rows.append([run.name, ", ".join(run.needs), note, left])
    done, refused = (sum(s.what == what for s in states) for what in ("done", "refused"))
    total = time_left(costs, workers)
    title = f"{done} of {len(rows)} runs done; {total} left with {workers} at a time"
    title += f"; {refused} refused" if refused else ""
    return Table(title, ["Run", "needs", "State", "Time left"], rows, 3)


def share_threads(workers: int, threads: int | None) -> int:
    """CPU threads of each run."""
    return threads or max(1, (os.cpu_count() or 1) // workers)


def seconds_per_epoch(config: RunConfig, threads: int) -> float:
    """Training time of an epoch, from a few steps; the method's teacher is an untrained network.

    Nothing runs beside it, so on a CPU several workers take a little longer.

    Args:
        config: a run's settings.
        threads: CPU threads.
    Raises:
        UserError: the data are not there.
    """
    import torch

    from fairexit.data.augment import Augment
    from fairexit.data.loaders import Loader
    from fairexit.data.prepared import open_prepared
    from fairexit.inference.predict import choose_device
    from fairexit.methods.base import Distilled
    from fairexit.training.optim import build_optimizer
    from fairexit.training.setup import build

    data = open_prepared(config.data.path)
    task, device = data.task(config.data.group), choose_device(config.train.device)
    method = build(config, task, data.size).to(device)
    rows = data.rows("train", config.data.fold)
    loader = Loader(data, rows, task.group, batch_size=config.train.batch_size, device=device)
    method.begin(loader.labels, loader.groups)
    if isinstance(method, Distilled):
        method.set_teacher(build(config, task, data.size).net.to(device))
    batches = loader.training(Augment(config.data.augment, 0), config.data.sampling, 0, 0)
    method.to(memory_format=torch.channels_last)
    optimizer = build_optimizer(method.parameters(), config.train, device)
    kind = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(config.train.precision)
    began, steps, before = time.perf_counter(), 0, torch.get_num_threads()
    torch.set_num_threads(threads)
    for step, batch in zip(range(WARM + TIMED), batches, strict=False):
        if step == WARM:
            began, steps = time.perf_counter(), 0
        with torch.autocast(device.type, kind, enabled=kind is not None):
            total = method(batch).total
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        steps += 1
    if device.type == "cuda":
        torch.cuda.synchronize()
    seconds = (time.perf_counter() - began) / steps
    torch.set_num_threads(before)
    return seconds * loader.steps() * VALIDATION
