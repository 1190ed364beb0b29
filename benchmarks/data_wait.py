"""Share of a training step spent waiting for data: ResNet-18, 84 px, batches of 128."""

import argparse
import statistics
import tempfile
import time
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
from timing import machine, table

SIZE, BATCH = 84, 128


def measure(loader: Loader, policy: str, steps: int, device: torch.device) -> list[str]:
    """A row of the table for one augmentation policy."""
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
    wait, work = statistics.median(waited[1:]), statistics.median(worked[1:])
    milliseconds = [f"{1e3 * value / BATCH:.2f}" for value in (wait, work)]
    return [policy, *milliseconds, f"{100 * wait / (wait + work):.1f} %"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=5)
    steps = parser.parse_args().steps
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        drawn = datasets.create("synthetic", images=2 * BATCH * (steps + 1))
        data = prepare(
            "synthetic", drawn, None, Path(folder) / "d", options=PrepareOptions(size=SIZE)
        )
        loader = Loader(data, data.rows("train"), "skin_tone", batch_size=BATCH, device=device)
        rows = [measure(loader, policy, steps, device) for policy in POLICIES]
    print(f"Waiting for data, {machine()}, {device.type}, median of {steps} steps\n")
    print(table(["augmentation", "data, ms/image", "step, ms/image", "share of both"], rows))


if __name__ == "__main__":
    main()
