"""Time of early exit compared with the full pass of the same network: ResNet-18, 64 px."""

import argparse
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from fairexit.inference.early_exit import early_exit
from fairexit.models import ExitNet, create_model
from timing import Row, alternate, machine, ratio, table

SIZE = 64
NONE_LEAVES = [1.0] * 4
"""Thresholds that no internal exit reaches."""


def half_at_exit_2(net: ExitNet, images: Tensor) -> list[float]:
    """Thresholds with which half of the images leave at exit 2 and the others at the final exit."""
    confidence = net(images)[1].logits.softmax(1).amax(1).sort().values
    middle = len(images) // 2
    return [1.0, float(confidence[middle - 1 : middle + 1].mean()), 1.0, 1.0]


def trunk_to_exit_2(net: ExitNet, x: Tensor) -> None:
    """Compute the stages and exits up to exit 2."""
    x = net.backbone.normalise(x)
    for position in range(2):
        x = net.backbone.stages[position](x)
        net.internal_exit(position, x)


def times(net: ExitNet, batch: int, rounds: int) -> tuple[dict[str, list[float]], float]:
    """Seconds of each way through the network, and the share of images leaving at exit 2."""
    images = torch.rand(max(batch, 64), 3, SIZE, SIZE)
    half = half_at_exit_2(net, images)
    exits = torch.cat([early_exit(net, x, half).exit for x in images.split(batch)])
    share = float((exits == 1).float().mean())

    def over(run: Callable[[Tensor], object]) -> Callable[[], None]:
        def run_all() -> None:
            for x in images.split(batch):
                run(x)

        return run_all

    def leaving(thresholds: Sequence[float]) -> Callable[[], None]:
        return over(lambda x: early_exit(net, x, thresholds))

    seconds = alternate(
        {
            "full": over(net),
            "none": leaving(NONE_LEAVES),
            "half": leaving(half),
            "trunk": over(lambda x: trunk_to_exit_2(net, x)),
        },
        rounds,
    )
    return seconds, share


def compare(quick: bool) -> Iterator[Row]:
    """Rows of `make bench`."""
    torch.manual_seed(0)
    net = create_model("resnet18", 8).eval()
    with torch.inference_mode():
        for batch in [64] if quick else [1, 64, 256]:
            seconds, share = times(net, batch, 1 if quick else 9)
            images = max(batch, 64)
            for key, what in (
                ("none", "no image leaves"),
                ("half", f"{share:.0%} leave at exit 2"),
            ):
                label = f"early exit, batch {batch}, {what}, per image"
                yield Row(label, seconds[key], "the full pass", seconds["full"], images)


def measure(net: ExitNet, batch: int, rounds: int) -> list[str]:
    """A row of the table for one batch size."""
    seconds, share = times(net, batch, rounds)
    full = seconds["full"]
    costs = net.exit_costs(SIZE)
    by_operations = 1 - share * (1 - costs[1] / costs[-1])
    by_time = 1 - share * (1 - ratio(seconds["trunk"], full))
    measured = ratio(seconds["half"], full)
    return [
        str(batch),
        f"{ratio(seconds['none'], full):.3f}",
        f"{share:.2f}",
        f"{measured:.3f}",
        f"{by_operations:.3f}",
        f"{measured / by_operations:.2f}",
        f"{by_time:.3f}",
        f"{measured / by_time:.2f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    torch.manual_seed(0)
    net = create_model("resnet18", 8).eval()
    header = [
        "batch",
        "no image leaves / full pass",
        "share leaving at exit 2",
        "early exit / full pass",
        "expected by operations",
        "measured / expected",
        "expected by stage times",
        "measured / expected",
    ]
    with torch.inference_mode():
        rows = [measure(net, batch, rounds) for batch in (1, 64, 256)]
    print(f"Early exit, {machine()}, median of {rounds} rounds\n")
    print(table(header, rows))


if __name__ == "__main__":
    main()
