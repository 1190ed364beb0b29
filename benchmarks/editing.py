"""Time of one step of each method that edits a network: ResNet-18 with four exits.

A step scores the units, marks those with the lowest scores and edits them. The training after the
step and the measurement on validation are the same for all methods, and are left out.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from fairexit.config import DataConfig, RunConfig
from fairexit.config_prune import PruneConfig
from fairexit.data.datasets import datasets
from fairexit.data.prepare import PrepareOptions, prepare
from fairexit.data.prepared import Prepared
from fairexit.models import create_model
from fairexit.pruning.criteria import Subject, criteria
from fairexit.pruning.edits import apply
from fairexit.pruning.path import fractions, mark
from fairexit.pruning.units import masks_of, parameters_of, sizes
from timing import alternate, machine, ratio, table

ALPHA = [0.3, 0.45, 0.6, 0.75, 0.9]
METHODS = ["scp", "fairquantize", "swift", "magnitude", "random"]
"""What is compared with FairPrune."""
GOALS = {"scp": 1.2, "fairquantize": 1.2}


def step_of(
    method: str, stages: list[int] | None, data: Prepared, images: int
) -> Callable[[], None]:
    """The first step of a method, which can be repeated: nothing that it changes matters to it."""
    config = PruneConfig(method=method, stages=stages)
    task, rows = data.task(), data.rows("train")
    groups = data.groups(task.group)[rows]
    sides = [rows[groups == index][:images] for index in (0, 1)]
    assert all(len(side) == images for side in sides)
    net = create_model("resnet18", task.num_classes).to(memory_format=torch.channels_last).eval()
    subject = Subject(
        net=net,
        data=data,
        task=task,
        rows=(sides[0], sides[1]),
        exit_weights=ALPHA,
        run=RunConfig(data=DataConfig(path=data.path), prune=config),
    )
    criterion = criteria.create(method, subject)
    units, kind = criterion.units, criteria[method]
    before = {name: p.detach().clone() for name, p in parameters_of(units).items()}

    def step() -> None:
        edited = torch.zeros(sum(sizes(units)), dtype=torch.uint8)
        scores = criterion(1, config.betas[0])
        mark(edited, scores, fractions(config)[0], number=1, within=kind.within)
        apply(kind.edit, parameters_of(units), masks_of(edited, units))
        with torch.no_grad():
            for name, p in parameters_of(units).items():
                p.copy_(before[name])

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=512, help="Images of each of two groups.")
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--size", type=int, default=64, help="Side of the images in pixels.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        # Two thirds of the images train, half of them of each group.
        drawn = datasets.create("synthetic", images=5 * options.images, seed=1, dark_share=0.5)
        size = PrepareOptions(size=options.size, workers=1)
        data = prepare("synthetic", drawn, None, Path(folder) / "data", options=size)
        torch.manual_seed(0)
        runs = {}
        for method in ("fairprune", *options.methods):
            for stages in ([4], [1]) if method == "scp" else (None,):
                name = f"{method}, stage {stages[0]}" if stages else method
                runs[name] = step_of(method, stages, data, options.images)
        seconds = alternate(runs, options.rounds, time.process_time)
    rows = [
        [
            name,
            f"{median(times):.2f} s",
            f"{ratio(times, seconds['fairprune']):.2f}",
            f"{GOALS.get(name.split(',')[0], '')}",
        ]
        for name, times in seconds.items()
    ]
    print(
        f"Seconds of the processor, 2 x {options.images} images of {options.size} px, {machine()}\n"
    )
    print(table(["method", "step", "ratio to fairprune", "goal"], rows))


if __name__ == "__main__":
    main()
