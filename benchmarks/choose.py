"""Time of a choice among the operating points of 100 runs at 1,000 thresholds, with intervals.

The data have the size of ISIC 2019's validation set: 5,000 images, 5 exits, 8 classes, 2 groups.
Prints a Markdown table: reading the runs' files of predictions, and choosing.
"""

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fairexit.evaluation.comparable import read_comparable
from fairexit.evaluation.goal import parse_goal
from fairexit.evaluation.select_point import select_point
from fairexit.predictions.files import Predictions, write_predictions
from fairexit.runs import FORMAT, Run, open_run
from timing import Row, alternate

RUNS, IMAGES, EXITS, CLASSES, THETAS = 100, 5000, 5, 8, 1000
GOALS = {
    "f1 >= best - 0.01": parse_goal(["f1 >= best - 0.01"], minimize="eodd"),
    "no constraint": parse_goal(minimize="eodd"),
}


def write_run(path: Path, seed: int, images: int = IMAGES) -> Run:
    """A finished run of random answers whose confidence grows with depth."""
    fixed, rng = np.random.default_rng(0), np.random.default_rng(seed + 1)
    labels, sex = fixed.integers(0, CLASSES, images), fixed.integers(0, 2, images)
    logits = rng.normal(size=(images, EXITS, CLASSES)) + rng.normal(size=(images, 1, CLASSES))
    skill = rng.uniform(1.5, 2.5) * np.linspace(0.5, 1, EXITS)
    logits[np.arange(images), :, labels] += skill * (1 + 0.2 * sex[:, None])
    odds = np.exp(logits)
    predictions = Predictions(
        ids=np.char.mod("%05d", np.arange(images)),
        clusters=np.char.mod("lesion %d", np.arange(images) * 17 // 20),
        split=np.full(images, "val"),
        labels=labels,
        attributes={"sex": sex},
        group_names={"sex": ("female", "male")},
        classes=tuple(f"class {c}" for c in range(CLASSES)),
        probabilities=(odds / odds.sum(-1, keepdims=True)).astype(np.float32),
        exit_names=("1", "2", "3", "4", "f"),
    )
    run = Run(path)
    run.predictions("val").parent.mkdir(parents=True)
    write_predictions(predictions, run.predictions("val"))
    description = {
        "format": FORMAT,
        "model": {},
        "label2id": {name: c for c, name in enumerate(predictions.classes)},
        "group": "sex",
        "preprocessing": {"size": 64, "fit": "squash"},
        "data": {"name": "drawn", "checksums": {}},
        "run": {},
        "exit_costs": [1.0, 2.0, 3.0, 4.0, 4.1],
    }
    (path / "config.json").write_text(json.dumps(description))
    return open_run(path)


def compare(quick: bool) -> Iterator[Row]:
    """Rows of `make bench`, per run; there is no peer."""
    number, thetas, images = (2, 5, 300) if quick else (RUNS, THETAS, IMAGES)
    with tempfile.TemporaryDirectory() as folder:
        runs = [write_run(Path(folder) / f"run{r}", r, images) for r in range(number)]
        data = read_comparable(runs, None, "max_probability")
    for name, goal in GOALS.items():
        grid = np.linspace(0.2, 1, thetas).tolist()
        choices = {"choose": lambda goal=goal, grid=grid: select_point(data, goal, grid=grid)}
        seconds = alternate(choices, 1)["choose"]
        yield Row(f"choice at {thetas:,} thresholds, {name}, per run", seconds, per=number)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        runs = [write_run(Path(folder) / f"run{r}", r) for r in range(RUNS)]
        start = time.process_time()
        data = read_comparable(runs, None, "max_probability")
        print(f"{RUNS} runs of {EXITS} exits, {IMAGES} images, {CLASSES} classes\n")
        print("| | seconds of the CPU |\n| --- | ---: |")
        print(f"| reading the predictions | {time.process_time() - start:.1f} |")
    for name, goal in GOALS.items():
        start = time.process_time()
        selection = select_point(data, goal, grid=np.linspace(0.2, 1, THETAS).tolist())
        seconds = time.process_time() - start
        allowed = int(selection.allowed.sum())
        ties = selection.ties.number if selection.ties else 0
        print(
            f"| choosing, {name}: {len(selection.points):,} candidates, {allowed:,} allowed, "
            f"{ties:,} not told apart, {len(selection.front):,} on the front | {seconds:.1f} |"
        )


if __name__ == "__main__":
    main()
