"""CPU time of the staged runner against onnxruntime's full pass: ResNet-18, 64 px, one thread."""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from fairexit.evaluation.policy import Policy
from fairexit.exporting.graphs import write_graphs
from fairexit.models import ExitNet, create_model
from fairexit.runtime.graphs import open_graph, run
from fairexit.runtime.manifest import Manifest
from fairexit.runtime.model import Model, to_input
from timing import Row, alternate, machine, ratio, table

SIZE = 64
Images = NDArray[np.uint8]


def exported(net: ExitNet, form: str, folder: Path) -> Model:
    """The network as the runner opens an export of it, with one thread."""
    graphs = write_graphs(net, form, SIZE, folder)
    manifest = Manifest(
        path=folder,
        form=form,
        graphs=tuple(graphs),
        classes=tuple("abcdefgh"),
        exits=tuple(net.exit_names),
        exit_costs=tuple(net.exit_costs(SIZE)),
        size=SIZE,
        fit="squash",
        files={},
    )
    sessions = [open_graph(folder / name, (folder / name).read_bytes(), 1) for name in graphs]
    return Model(manifest, Policy(None), tuple(sessions))


def times(
    models: dict[str, Model], images: Images, batch: int, rounds: int
) -> tuple[dict[str, list[float]], float]:
    """Seconds of each way through the graphs, and the share of images leaving at exit 2."""
    staged, whole, plain = models["staged"], models["all-exits"], models["plain"]
    confidence = np.sort(whole.probabilities(images)[:, 1].max(-1))
    middle = len(images) // 2
    theta = float(confidence[middle - 1 : middle + 1].mean())
    half, none = (replace(staged, policy=Policy((1.0, t, 1.0, 1.0))) for t in (theta, 1.0))
    share = float((half.answer(images).exit == 1).mean())

    def over(function: Callable[[Images], object]) -> Callable[[], None]:
        def run_all() -> None:
            for start in range(0, len(images), batch):
                function(images[start : start + batch])

        return run_all

    seconds = alternate(
        {
            "full": over(lambda x: run(whole.graphs[0], to_input(x))),
            "plain": over(lambda x: run(plain.graphs[0], to_input(x))),
            "none": over(none.answer),
            "half": over(half.answer),
        },
        rounds,
        time.process_time,
    )
    return seconds, share


def measure(models: dict[str, Model], images: Images, batch: int, rounds: int) -> list[str]:
    """A row of the table for one batch size."""
    seconds, share = times(models, images, batch, rounds)
    full = seconds["full"]
    return [
        str(batch),
        f"{1000 * sorted(full)[len(full) // 2] / len(images):.1f} ms",
        f"{share:.2f}",
        f"{ratio(seconds['half'], full):.3f}",
        f"{ratio(seconds['none'], full):.3f}",
        f"{ratio(seconds['plain'], full):.3f}",
    ]


@contextmanager
def opened() -> Iterator[dict[str, Model]]:
    """The exported models: in stages, with all exits in one graph, and without exits."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        networks = {
            "staged": create_model("resnet18", 8).eval(),
            "plain": create_model("resnet18", 8, exits="none").eval(),
        }
        networks["all-exits"] = networks["staged"]
        models = {}
        for key, net in networks.items():
            folder = Path(name, key)
            folder.mkdir()
            models[key] = exported(net, "staged" if key == "staged" else "all-exits", folder)
        yield models


def draw() -> Images:
    """64 random images."""
    return np.random.default_rng(0).integers(0, 256, (64, SIZE, SIZE, 3), np.uint8)


def compare(quick: bool) -> Iterator[Row]:
    """Rows of `make bench`, in seconds of one thread's CPU."""
    images = draw()
    with opened() as models:
        for batch in [64] if quick else [1, 64]:
            seconds, share = times(models, images, batch, 1 if quick else 9)
            for key, what in (
                ("none", "no image leaves"),
                ("half", f"{share:.0%} leave at exit 2"),
            ):
                label = f"exported, batch {batch}, {what}, per image"
                yield Row(label, seconds[key], "onnxruntime, all exits", seconds["full"], 64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    images = draw()
    header = [
        "batch",
        "full pass, per image",
        "share leaving at exit 2",
        "half leave / full pass",
        "no image leaves / full pass",
        "network without exits / full pass",
    ]
    with opened() as models:
        rows = [measure(models, images, batch, rounds) for batch in (1, 64)]
    versions = f"onnxruntime {onnxruntime.__version__}, {machine()}"
    print(f"Export, {versions}, median of {rounds} rounds\n")
    print(table(header, rows))


if __name__ == "__main__":
    main()
