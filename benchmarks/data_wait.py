"""Share of a training step spent waiting for data: ResNet-18, 84 px, batches of 128."""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from fairexit.config_train import TrainConfig
from fairexit.data.augment import POLICIES, Augment
from fairexit.data.datasets import datasets
from fairexit.data.loaders import Loader
from fairexit.data.prepare import PrepareOptions, prepare
from fairexit.methods import methods
from fairexit.models import create_model
from fairexit.training.optim import parameter_groups
from fairexit.training.optimizers import build_optimizer, filled
from timing import Row, machine, table

SIZE, BATCH = 84, 128


def measure(
    loader: Loader, policy: str, steps: int, device: torch.device
) -> tuple[list[float], list[float]]:
    """Seconds of waiting for each batch with an augmentation policy, and of each step."""
    torch.manual_seed(0)
    net = create_model("resnet18", 5, exits="none", image_size=SIZE)
    method = methods.create("erm", net, None, [1.0]).to(device)
    method.to(memory_format=torch.channels_last)
    train = filled(TrainConfig(), "sgd")
    optimizer = build_optimizer(parameter_groups(method, train), train, device)
    batches = loader.training(Augment(policy, 0), "natural", 0, 0)
    waited, worked = [], []
    for _ in range(steps + 1):
        start = time.perf_counter()
        batch = next(batches)
        if device.type == "cuda":
            torch.cuda.synchronize()
        ready = time.perf_counter()
        loss = method(batch).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        waited.append(ready - start)
        worked.append(time.perf_counter() - ready)
    return waited[1:], worked[1:]


def row(policy: str, waited: list[float], worked: list[float]) -> list[str]:
    """A row of the table for one augmentation policy."""
    wait, work = statistics.median(waited), statistics.median(worked)
    milliseconds = [f"{1e3 * value / BATCH:.2f}" for value in (wait, work)]
    return [policy, *milliseconds, f"{100 * wait / (wait + work):.1f} %"]


@contextmanager
def drawn(steps: int, device: torch.device, batch: int = BATCH) -> Iterator[Loader]:
    """Batches of drawn images, enough for some steps and one that warms up."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = datasets.create("synthetic", images=2 * batch * (steps + 1))
        options = PrepareOptions(size=SIZE)
        data = prepare("synthetic", dataset, None, Path(folder) / "d", options=options)
        yield Loader(data, data.rows("train"), "skin_tone", batch_size=batch, device=device)


def compare(quick: bool) -> Iterator[Row]:
    """Rows of `make bench`."""
    steps, batch = (1, 16) if quick else (5, BATCH)
    device = torch.device("cpu")
    with drawn(steps, device, batch) as loader:
        for policy in list(POLICIES)[-1:] if quick else POLICIES:
            waited, worked = measure(loader, policy, steps, device)
            what = f"waiting for images, {policy}, {SIZE} px, per image"
            yield Row(what, waited, "a training step", worked, batch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=5)
    steps = parser.parse_args().steps
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with drawn(steps, device) as loader:
        rows = [row(policy, *measure(loader, policy, steps, device)) for policy in POLICIES]
    print(f"Waiting for data, {machine()}, {device.type}, median of {steps} steps\n")
    print(table(["augmentation", "data, ms/image", "step, ms/image", "share of both"], rows))


if __name__ == "__main__":
    main()
