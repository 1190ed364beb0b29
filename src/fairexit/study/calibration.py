"""The time that trainings take, estimated from a few steps of each row."""

import os
import time
from collections.abc import Sequence

from fairexit.config import RunConfig
from fairexit.study.folder import VALIDATION, State
from fairexit.study.plan import Study

WARM, TIMED = 1, 3
"""Training steps before the timing starts, and timed steps."""


def calibrated(
    study: Study, states: Sequence[State], costs: Sequence[float | None], threads: int
) -> list[float | None]:
    """The costs, with those of trainings that are unknown from a few steps of each row."""
    timed: dict[tuple[str, str], float] = {}
    costs = list(costs)
    for i, (run, state) in enumerate(zip(study.runs, states, strict=True)):
        if costs[i] is None and run.start is None:
            key = (run.dataset, run.row)
            if key not in timed:
                timed[key] = seconds_per_epoch(run.config, threads)
            costs[i] = timed[key] * (run.epochs - state.epochs)
    return costs


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
