"""Checks and times the training on a GPU: steps from CUDA graphs against the ordinary loop.

Prints a table for every method (equality, time of a step, ratio to erm) and one of whole epochs.
Takes under five minutes. Without a GPU it rehearses the same code in a minute, with small images, a
small network and a stand-in for CUDA graphs; its times then say nothing of a GPU. The exit status
is 1 if a method gives something else than the ordinary loop.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.fabric import Fabric
from torch import Tensor

from fairexit.config import RunConfig
from fairexit.config_files import build_config
from fairexit.data.augment import Augment
from fairexit.data.feed import Feed
from fairexit.data.loaders import Loader, fits
from fairexit.data.prepared import Prepared
from fairexit.methods import Distilled, Method, methods
from fairexit.models import ExitNet, create_model
from fairexit.runs import Run
from fairexit.training.capture import WARM_UP, CudaGraphs, Recorder
from fairexit.training.optim import parameter_groups
from fairexit.training.optimizers import build_optimizer
from fairexit.training.setup import exit_weights, resolve
from fairexit.training.step import Stepper
from fairexit.training.tape import Tape
from fairexit.training.trainer import Trainer
from fairexit.types import Batch
from timing import machine, table

IS_GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if IS_GPU else "cpu")
TOLERANCE = 1e-2 if IS_GPU else 0.0
"""Largest relative difference of the losses; a GPU adds up in another order each time."""


@dataclass(frozen=True)
class Size:
    """What is trained: that of the goal, or of a rehearsal."""

    images: int
    validation: int
    side: int
    batch: int
    backbone: str
    exits: str | list[int]
    precision: str
    epochs: int
    steps: int


GOAL = Size(14_904, 4_968, 84, 256, "resnet18", "all", "bf16-mixed", 5, 40)
REHEARSAL = Size(96, 32, 32, 8, "timm/test_efficientnet", [1, 3], "32-true", 3, 6)
SIZE = GOAL if IS_GPU else REHEARSAL


def noise() -> Prepared:
    """Images of noise with classes and groups."""
    rng, count = np.random.default_rng(0), SIZE.images + SIZE.validation
    number = np.arange(count).astype(str)
    frame = pd.DataFrame(
        {
            "id": number,
            "label": rng.choice([*"abcdefgh"], count),
            "sex": rng.choice(["female", "male"], count),
            "cluster": number,
            "split": np.where(np.arange(count) < SIZE.images, "train", "val"),
        }
    )
    info = {"name": "noise", "classes": [*"abcdefgh"], "attributes": {"sex": ["female", "male"]}}
    images = rng.integers(0, 256, (count, SIZE.side, SIZE.side, 3), np.uint8)
    return Prepared(Path("noise"), info, frame, images)


def settings(method: str, **train: Any) -> RunConfig:
    """Settings of a run of that size, with the paper's augmentation."""
    usual = {"epochs": SIZE.epochs, "batch_size": SIZE.batch, "precision": SIZE.precision}
    tree = {
        "data": {"path": "noise", "augment": "paper"},
        "model": {"backbone": SIZE.backbone, "exits": SIZE.exits},
        "method": {"name": method},
        "train": usual | {"device": DEVICE.type, "milestones": [], **train},
    }
    return resolve(build_config(tree))


def network(config: RunConfig) -> ExitNet:
    return create_model(
        config.model.backbone, 8, exits=config.model.exits, image_size=SIZE.side
    ).to(DEVICE)


def build(config: RunConfig, data: Prepared) -> Method:
    """The method of a run with initial weights, on the device."""
    torch.manual_seed(0)
    net = network(config)
    weights = exit_weights(net, config.train.exit_weights)
    method = methods.create(config.method["name"], net, data.task(), weights)
    if isinstance(method, Distilled):
        method.set_teacher(network(config).to(memory_format=torch.channels_last))
    method.to(DEVICE).to(memory_format=torch.channels_last).train()
    rows = data.rows("train")
    labels, groups = torch.from_numpy(data.labels[rows]), torch.from_numpy(data.groups("sex")[rows])
    method.begin(labels, groups)
    return method


def fabric_of(config: RunConfig) -> Fabric:
    precision = config.train.precision
    assert precision != "auto"
    return Fabric(accelerator=config.train.device, devices=1, precision=precision)


def stepper(config: RunConfig, data: Prepared, recorder: Recorder | None) -> Stepper:
    method, fabric = build(config, data), fabric_of(config)
    optimizer = build_optimizer(parameter_groups(method, config.train), config.train, DEVICE)
    module, wrapped = fabric.setup(method, optimizer)
    return Stepper(fabric=fabric, module=module, optimizer=wrapped, recorder=recorder)


def recorder() -> Recorder:
    return CudaGraphs(DEVICE) if IS_GPU else Tape()


def synchronize() -> None:
    if IS_GPU:
        torch.cuda.synchronize()


def batches(data: Prepared, *, resident: bool = True) -> Iterator[Batch]:
    """Training batches without end."""
    rows = data.rows("train")
    loader = Loader(data, rows, "sex", batch_size=SIZE.batch, device=DEVICE, resident=resident)
    epoch = 0
    while True:
        yield from loader.training(Augment("paper", 0), "natural", 0, epoch)
        epoch += 1


def losses(config: RunConfig, data: Prepared, recorder: Recorder | None) -> Tensor:
    """The numbers of the log of some steps, of which the later ones are replayed."""
    steps, stream, results = stepper(config, data, recorder), batches(data), []
    torch.manual_seed(1)
    for _ in range(2 * WARM_UP + 8):
        values, _ = steps.take(next(stream), 0.001, measure=False)
        results.append(values.clone())
    return torch.stack(results).cpu()


def difference(name: str, data: Prepared) -> float:
    """Largest difference of the losses of captured and ordinary steps, in full precision."""
    config = settings(name, precision="32-true")
    captured, ordinary = losses(config, data, recorder()), losses(config, data, None)
    scale = ordinary.abs().amax(0).clamp_min(1e-3)
    return float(((captured - ordinary).abs() / scale).max())


def seconds(steps: Stepper, data: Prepared) -> tuple[float, float]:
    """Seconds of a step, and those of them for which Python launches it."""
    prepared = [batch for batch, _ in zip(batches(data), range(4), strict=False)]
    prepared = [replaced(batch, SIZE.batch - 4) for batch in prepared]
    for number in range(WARM_UP + 3):
        steps.take(prepared[number % 4], 0.001, measure=False)
    synchronize()
    began = time.perf_counter()
    for number in range(SIZE.steps):
        steps.take(prepared[number % 4], 0.001, measure=False)
    launched = time.perf_counter()
    synchronize()
    return (time.perf_counter() - began) / SIZE.steps, (launched - began) / SIZE.steps


def replaced(batch: Batch, size: int) -> Batch:
    """The first images of a batch, so that all have one size."""
    return Batch(*(tensor[:size] for tensor in batch))


def bare(data: Prepared) -> float:
    """Seconds of forward pass, backward pass and step alone, on a batch that is there."""
    config = settings("erm")
    method = build(config, data)
    optimizer = build_optimizer(parameter_groups(method, config.train), config.train, DEVICE)
    batch = replaced(next(batches(data)), SIZE.batch - 4)
    half = config.train.precision == "bf16-mixed"
    times = []
    for _ in range(SIZE.steps):
        synchronize()
        began = time.perf_counter()
        optimizer.zero_grad()
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=half):
            total = method(batch).total
        total.backward()
        optimizer.step()
        synchronize()
        times.append(time.perf_counter() - began)
    return median(times[2:])


def waiting(data: Prepared) -> float:
    """Share of the time of captured steps for which the device waits for its batches."""
    steps, feed = stepper(settings("erm"), data, recorder()), Feed(batches(data), DEVICE)
    waited, began = 0.0, time.perf_counter()
    for number, batch in enumerate(feed):
        if number == 4 * WARM_UP:
            synchronize()
            waited, began = feed.waited, time.perf_counter()
        if number == 4 * WARM_UP + SIZE.steps:
            break
        steps.take(batch, 0.001, measure=False)
    synchronize()
    return (feed.waited - waited) / (time.perf_counter() - began)


class Timed(Trainer):
    """Notes when the epochs are done, with validation and what is stored."""

    ends: list[float]

    def _store(self, *args: Any, **options: Any) -> None:
        super()._store(*args, **options)
        self.ends.append(time.perf_counter())


def epochs(config: RunConfig, data: Prepared, folder: Path) -> list[str]:
    """Seconds of an epoch: training, waiting, everything, and 200 of them."""
    run = Run(folder)
    run.start(config, {})
    fabric = fabric_of(config)
    trainer = Timed(config, data, data.task(), run, fabric=fabric, method=build(config, data))
    trainer.ends = []
    trainer.fit()
    rows = trainer.progress.rows[1:]
    training, waited = (median(row[key] for row in rows) for key in ("seconds", "data_seconds"))
    whole = median(np.diff(trainer.ends).tolist())
    numbers = [f"{training:.3f}", f"{100 * waited / training:.1f} %", f"{whole:.3f}"]
    return [*numbers, f"{200 * whole:.0f}"]


def method_rows(data: Prepared) -> tuple[list[list[str]], bool]:
    """A row for each method, and whether all give what the ordinary loop gives."""
    rows, all_equal, of_erm = [], True, 0.0
    for name in ["erm", *(name for name in methods.names() if name != "erm")]:
        error = difference(name, data)
        all_equal &= error <= TOLERANCE
        config = settings(name)
        ordinary, _ = seconds(stepper(config, data, None), data)
        captured, launching = seconds(stepper(config, data, recorder()), data)
        of_erm = of_erm or captured
        times = [f"{1000 * value:.2f}" for value in (ordinary, captured, launching)]
        mark = f"{error:.1e}" if error <= TOLERANCE else f"{error:.1e} DIFFERS"
        rows.append([name, mark, *times, f"{captured / of_erm:.2f}"])
    return rows, all_equal


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    began, data = time.perf_counter(), noise()
    card = torch.cuda.get_device_name() if IS_GPU else "no GPU: a rehearsal with a stand-in"
    print(f"{card}, {machine()}\n{SIZE}\n")
    if IS_GPU:
        assert fits(data, data.rows("train"), DEVICE), "the images do not fit on this card"
    rows, all_equal = method_rows(data)
    header = ["method", "difference", "ordinary, ms", "captured, ms", "launching, ms", "to erm"]
    print(table(header, rows), flush=True)
    print(f"\nbare loop {1000 * bare(data):.2f} ms; waiting for data {100 * waiting(data):.1f} %\n")
    with tempfile.TemporaryDirectory() as folder:
        measured = [
            [f"{name}, {capture}", *epochs(config, data, Path(folder) / name / capture)]
            for name, exits in (("multi-exit", SIZE.exits), ("plain", "none"))
            for capture in ("auto", "none")
            for config in [_with(settings("erm", capture=capture), exits)]
        ]
    header = ["capture", "training, s", "waiting", "whole epoch, s", "200 epochs, s"]
    print(table(header, measured))
    print(f"\n{time.perf_counter() - began:.0f} s in all")
    if not all_equal:
        sys.exit("a method gives something else than the ordinary loop")


def _with(config: RunConfig, exits: Any) -> RunConfig:
    return replace(config, model=replace(config.model, exits=exits))


if __name__ == "__main__":
    main()
