"""Time of the exact SNNL of two labelings, compared with the matrix product of its distances.

The features are 25,000 x 512. Memory is the peak of the whole process, libraries included. The
error is that of single against double precision, on fewer samples.
"""

import argparse
import resource
from collections.abc import Iterator
from statistics import median

import torch

from fairexit.losses.snnl import exact_snnl
from timing import Row, alternate, machine, ratio, table

SAMPLES, WIDTH, CLASSES, BLOCK, FEWER = 25_000, 512, 8, 512, 4_000
CASES = {"1 temperature": [0.1], "3 temperatures": [0.1, 0.3, 1.0]}


def draw(samples: int = SAMPLES) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Features as after a ReLU, off centre and slightly dependent on each labeling."""
    torch.manual_seed(0)
    groups, classes = torch.randint(2, (samples,)), torch.randint(CLASSES, (samples,))
    centres = torch.randn(2 + CLASSES, WIDTH)
    z = torch.randn(samples, WIDTH) + 0.2 * centres[groups] + 0.5 * centres[2 + classes]
    return z.add(1).relu(), [groups, classes]


def product(z: torch.Tensor) -> None:
    """N x N x D multiply-adds, in blocks, because a matrix of N x N may not fit into memory."""
    buffer = z.new_empty(BLOCK, len(z))
    for rows in z.split(BLOCK):
        torch.mm(rows, z.T, out=buffer[: len(rows)])


def peak() -> float:
    """Peak memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def error(z: torch.Tensor, labels: list[torch.Tensor]) -> float:
    """Largest relative error of single precision over labelings and temperatures."""
    part, part_labels = z[:FEWER], [labeling[:FEWER] for labeling in labels]
    single, double = (
        exact_snnl(x, part_labels, CASES["3 temperatures"]) for x in (part, part.double())
    )
    return float((single.value / double.value - 1).abs().max())


def compare(quick: bool) -> Iterator[Row]:
    """Rows of `make bench`."""
    samples = 1_000 if quick else SAMPLES
    z, labels = draw(samples)
    runs = {name: lambda t=t: exact_snnl(z, labels, t) for name, t in CASES.items()}
    seconds = alternate({"product": lambda: product(z), **runs}, 1 if quick else 3)
    for name in CASES:
        what = f"exact SNNL, {samples:,} x {WIDTH}, {name}"
        yield Row(what, seconds[name], "the matrix product", seconds["product"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    z, labels = draw()
    runs = {name: lambda t=t: exact_snnl(z, labels, t) for name, t in CASES.items()}
    seconds = alternate({"product": lambda: product(z), **runs}, rounds)
    memory = peak()
    rows = [
        [name, f"{median(seconds[name]):.1f} s", f"{ratio(seconds['product'], seconds[name]):.2f}"]
        for name in seconds
    ]
    print(f"SNNL of {SAMPLES} x {WIDTH}, {machine()}, median of {rounds} rounds; goal 0.60\n")
    print(table(["", "time", "matrix product / time"], rows))
    print(f"\nmemory of the whole process: {memory:.0f} MB (goal 1,000)")
    print(f"largest relative error against float64 ({FEWER} samples): {error(z, labels):.1e}")


if __name__ == "__main__":
    main()
