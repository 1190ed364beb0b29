"""Time of a ResNet-18 training step with four exits, as a ratio to the plain network's step."""

import argparse
from collections.abc import Callable, Iterator
from statistics import median

import torch
from torch.nn.functional import cross_entropy

from fairexit import models
from timing import Row, alternate, machine, ratio, table

SETTINGS = [
    (64, 128, ["conv", "pool"]),
    (128, 32, ["conv", "pool", "released"]),
]


def training_step(net: models.ExitNet, size: int, batch: int) -> Callable[[], None]:
    # Channels-last, as in `fairexit train`.
    net = net.to(memory_format=torch.channels_last)
    images = torch.rand(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(8, (batch,))
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, nesterov=True)

    def step() -> None:
        loss = torch.stack([cross_entropy(e.logits, labels) for e in net(images)]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def compare(quick: bool) -> Iterator[Row]:
    """Rows of `make bench`."""
    torch.manual_seed(0)
    for size, batch, names in [(32, 8, ["conv"])] if quick else SETTINGS:
        nets = {"none": models.create_model("resnet18", 8, exits="none")}
        nets |= {name: models.create_model("resnet18", 8, head=name) for name in names}
        runs = {name: training_step(net, size, batch) for name, net in nets.items()}
        seconds = alternate(runs, 1 if quick else 9)
        for name in names:
            what = f"training step, heads {name}, {size} px, batch {batch}, per image"
            yield Row(what, seconds[name], "without exits", seconds["none"], batch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    torch.manual_seed(0)
    rows = []
    for size, batch, names in SETTINGS:
        nets = {"none": models.create_model("resnet18", 8, exits="none")}
        nets |= {name: models.create_model("resnet18", 8, head=name) for name in names}
        costs = {name: net.exit_costs(size)[-1] for name, net in nets.items()}
        seconds = alternate(
            {name: training_step(net, size, batch) for name, net in nets.items()}, rounds
        )
        rows += [
            [
                f"{size} px, batch {batch}",
                name,
                f"{1000 * median(seconds[name]):.0f} ms",
                f"{ratio(seconds[name], seconds['none']):.2f}",
                f"{costs[name] / costs['none']:.2f}",
            ]
            for name in nets
        ]
    print(f"Training step, {machine()}, median of {rounds} rounds\n")
    print(table(["images", "heads", "step", "time, ratio", "multiply-adds, ratio"], rows))


if __name__ == "__main__":
    main()
