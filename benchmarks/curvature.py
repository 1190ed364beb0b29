"""Time and memory of the curvature for FairPrune, on ResNet-18 with four exits.

The time per image is compared with a training step, and with BackPACK's exact diagonal, computed
for the path to each exit and summed.
"""

import argparse
import copy
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fairexit.models import ExitNet, create_model
from fairexit.pruning.curvature import CurvatureEstimate, curvature_sums
from fairexit.pruning.layers import prunable_layers, prunable_parameters
from timing import Row, alternate, machine, ratio, table

ALPHA = [0.3, 0.45, 0.6, 0.75, 0.9]
DIAGONAL = "diag_ggn_exact"
"""The attribute of a parameter in which BackPACK stores the diagonal."""


def random_net(classes: int) -> ExitNet:
    return create_model("resnet18", classes).to(memory_format=torch.channels_last).eval()


def random_images(number: int, size: int) -> Tensor:
    return torch.rand(number, 3, size, size).contiguous(memory_format=torch.channels_last)


def training_step(net: ExitNet, images: Tensor) -> Callable[[], None]:
    net = copy.deepcopy(net).train()
    labels = torch.randint(net.num_classes, (len(images),))
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, nesterov=True)

    def step() -> None:
        loss = torch.stack([cross_entropy(e.logits, labels) for e in net(images)]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def with_fairexit(
    net: ExitNet, images: Tensor, draws: int | None
) -> Callable[[], dict[str, Tensor]]:
    """The curvature by this package, with so many random projections, or exact."""
    layers = prunable_layers(net)
    return lambda: curvature_sums(
        net, images.split(16), ALPHA, layers, estimate=CurvatureEstimate(draws)
    )


def with_backpack(net: ExitNet, images: Tensor) -> Callable[[], dict[str, Tensor]]:
    """The exact curvature by BackPACK, which gets the path to each exit as a network."""
    from backpack import backpack, extend
    from backpack.extensions import DiagGGNExact

    loss = extend(nn.CrossEntropyLoss(reduction="sum"))
    labels = torch.zeros(len(images), dtype=torch.long)
    paths = []
    for name, position, head in zip(net.exit_names, net.positions, net.exit_heads, strict=True):
        prefix = "backbone.head" if name == "f" else f"heads.{name}"
        parts = [*(f"backbone.stages.{i}" for i in range(position + 1))]
        parts += [f"{prefix}.reduce", f"{prefix}.classifier"]
        path = nn.Sequential(
            *copy.deepcopy(net.backbone.stages)[: position + 1],
            copy.deepcopy(head.reduce),
            copy.deepcopy(head.classifier),
        ).eval()
        for module in path.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = False
        paths.append((extend(path, use_converter=True), list(path.named_parameters()), parts))

    def run() -> dict[str, Tensor]:
        sums: dict[str, Tensor] = {}
        for (path, named, parts), alpha in zip(paths, ALPHA, strict=True):
            with backpack(DiagGGNExact()):
                loss(path(images), labels).backward()
            for key, parameter in named:
                part, _, rest = key.partition(".")
                name = f"{parts[int(part)]}.{rest}"
                diagonal = alpha * getattr(parameter, DIAGONAL)
                sums[name] = sums[name] + diagonal if name in sums else diagonal
                delattr(parameter, DIAGONAL)
                parameter.grad = None
        return sums

    return run


def largest_difference(
    diagonal: dict[str, Tensor], reference: dict[str, Tensor], net: ExitNet
) -> float:
    """Largest difference of two diagonals, as a share of each parameter's largest entry."""
    names = prunable_parameters(prunable_layers(net))
    return max(
        float((diagonal[name] - reference[name]).abs().max() / reference[name].abs().max())
        for name in names
    )


def compare(quick: bool) -> Iterator[Row]:
    """Rows of `make bench`."""
    net, few = random_net(8), random_images(2 if quick else 8, 32 if quick else 64)
    runs: dict[str, Callable[[], object]] = {
        "exact": with_fairexit(net, few, None),
        "estimate": with_fairexit(net, few, 1),
        "step": training_step(net, few),
    }
    if find_spec("backpack"):
        runs["backpack"] = with_backpack(net, few)
    seconds = alternate(runs, 1 if quick else 3)
    size = f"{len(few[0, 0])} px, per image"
    theirs = seconds.get("backpack", ())
    yield Row(f"exact curvature, {size}", seconds["exact"], "backpack", theirs, len(few))
    what = f"estimated curvature, {size}"
    yield Row(what, seconds["estimate"], "a training step", seconds["step"], len(few))


def speed(rounds: int) -> None:
    """Print the times per image."""
    net, few, many = random_net(8), random_images(8, 64), random_images(64, 64)
    exact, backpack = with_fairexit(net, few, None), with_backpack(net, few)
    runs = {
        "training step": training_step(net, many),
        "Monte-Carlo, one draw": with_fairexit(net, many, 1),
        "exact": exact,
        "exact, BackPACK": backpack,
    }
    difference = largest_difference(exact(), backpack(), net)
    seconds = alternate(runs, rounds)
    per_image = {
        name: [s / (8 if name.startswith("exact") else 64) for s in times]
        for name, times in seconds.items()
    }
    rows = [
        [
            name,
            f"{1000 * median(times):.1f} ms",
            f"{ratio(times, per_image['training step']):.2f}",
            f"{ratio(times, per_image['exact, BackPACK']):.2f}",
        ]
        for name, times in per_image.items()
    ]
    print(f"Curvature, {machine()}, 64 px, 8 classes, median of {rounds} rounds\n")
    print(table(["", "per image", "to a training step", "to BackPACK"], rows))
    print(f"\nLargest difference of the two exact diagonals: {difference:.1e} of the largest entry")


def memory() -> None:
    """Print the peak memory of several cases, each in a process of its own."""
    rows = []
    for classes, draws, number in [(8, 1, 16), (8, 1, 64), (8, 0, 16), (114, 1, 16)]:
        command = [sys.executable, __file__, "--peak", str(classes), str(draws), str(number)]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        kind = "Monte-Carlo" if draws else "exact"
        rows.append([kind, str(classes), str(number), f"{int(result.stdout) / 2**20:.2f} GiB"])
    print("\nPeak memory of the whole process, 128 px, 16 images at a time\n")
    print(table(["", "classes", "images", "peak"], rows))


def peak(classes: int, draws: int, number: int) -> None:
    """Print the peak memory of this process in KiB after computing the curvature once."""
    net = random_net(classes)
    with_fairexit(net, random_images(number, 128), draws or None)()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peak", type=int, nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.manual_seed(0)
    if options.peak:
        peak(*options.peak)
        return
    speed(options.rounds)
    memory()


if __name__ == "__main__":
    main()
