"""Time of a multi-exit training step by method: ResNet-18, 64 px, 8 classes, batches of 128."""

import argparse
from collections.abc import Callable
from statistics import median

import torch

from fairexit.config_train import TrainConfig
from fairexit.methods import Distilled, methods
from fairexit.models import ExitNet, create_model
from fairexit.training.optim import parameter_groups
from fairexit.training.optimizers import build_optimizer, filled
from fairexit.types import Batch, Task
from timing import alternate, machine, ratio, table

SIZE, BATCH = 64, 128
TASK = Task(tuple("abcdefgh"), "sex", ("female", "male"))
GOALS = {"hsic": "1.30", "mfd": "1.60", "advconf": "1.15", "advrev": "1.15"}


def training_step(name: str, device: torch.device) -> Callable[[], None]:
    def net() -> ExitNet:
        model = create_model("resnet18", len(TASK.classes), image_size=SIZE)
        return model.to(device).to(memory_format=torch.channels_last)

    method = methods.create(name, net(), TASK, [0.3, 0.45, 0.6, 0.75, 0.9]).to(device).train()
    if isinstance(method, Distilled):
        method.set_teacher(net())
    train = filled(TrainConfig(), "sgd")
    optimizer = build_optimizer(parameter_groups(method, train), train, device)
    images = torch.rand(BATCH, 3, SIZE, SIZE).to(memory_format=torch.channels_last)
    labels, groups = torch.randint(len(TASK.classes), (BATCH,)), torch.randint(2, (BATCH,))
    batch = Batch(images.to(device), labels.to(device), groups.to(device))

    def step() -> None:
        loss = method(batch).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


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
