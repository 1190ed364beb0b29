"""Time of a multi-exit training step by method: ResNet-18, 64 px, 8 classes, batches of 128."""

import argparse
from collections.abc import Callable, Iterator
from statistics import median

import torch

from fairexit.config_train import TrainConfig
from fairexit.methods import Distilled, methods
from fairexit.models import ExitNet, create_model
from fairexit.training.optim import parameter_groups
from fairexit.training.optimizers import build_optimizer, filled
from fairexit.types import Batch, Task
from timing import Row, alternate, machine, ratio, table

SIZE, BATCH = 64, 128
TASK = Task(tuple("abcdefgh"), "sex", ("female", "male"))
GOALS = {"hsic": "1.30", "mfd": "1.60", "advconf": "1.15", "advrev": "1.15"}


def training_step(name: str, device: torch.device, number: int = BATCH) -> Callable[[], None]:
    def net() -> ExitNet:
        model = create_model("resnet18", len(TASK.classes), image_size=SIZE)
        return model.to(device).to(memory_format=torch.channels_last)

    method = methods.create(name, net(), TASK, [0.3, 0.45, 0.6, 0.75, 0.9]).to(device).train()
    if isinstance(method, Distilled):
        method.set_teacher(net())
    train = filled(TrainConfig(), "sgd")
    optimizer = build_optimizer(parameter_groups(method, train), train, device)
    images = torch.rand(number, 3, SIZE, SIZE).to(memory_format=torch.channels_last)
    labels, groups = torch.randint(len(TASK.classes), (number,)), torch.randint(2, (number,))
    batch = Batch(images.to(device), labels.to(device), groups.to(device))

    def step() -> None:
        loss = method(batch).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


def compare(quick: bool) -> Iterator[Row]:
    """Rows of `make bench`."""
    torch.manual_seed(0)
    number, device = 8 if quick else BATCH, torch.device("cpu")
    names = ["hsic"] if quick else [name for name in methods.names() if name != "erm"]
    runs = {name: training_step(name, device, number) for name in ["erm", *names]}
    seconds = alternate(runs, 1 if quick else 5)
    for name in names:
        what = f"training step by {name}, {SIZE} px, batch {number}, per image"
        yield Row(what, seconds[name], "erm", seconds["erm"], number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    names = ["erm", *(name for name in methods.names() if name != "erm")]
    seconds = alternate({name: training_step(name, device) for name in names}, rounds)
    rows = [
        [
            name,
            f"{1000 * median(seconds[name]):.0f} ms",
            f"{ratio(seconds[name], seconds['erm']):.2f}",
            GOALS.get(name, ""),
        ]
        for name in names
    ]
    print(f"Multi-exit training step, {machine()}, {device.type}, median of {rounds} rounds\n")
    print(table(["method", "step", "ratio to erm", "goal"], rows))


if __name__ == "__main__":
    main()
