"""Time of a sweep over thresholds with all metrics, compared with a loop over the thresholds.

The data have the size of ISIC 2019's test set: 5,000 images, 5 exits, 8 classes, 2 groups. Prints a
Markdown table.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fairexit.evaluation.thresholds import select, sweep
from fairexit.metrics.counts import count
from fairexit.metrics.record import compute
from fairexit.predictions.files import Predictions
from timing import Row, alternate

IMAGES, EXITS, CLASSES, THETAS, TURNS = 5000, 5, 8, 1000, 20


def draw() -> Predictions:
    """Random predictions whose confidence grows with depth."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, IMAGES)
    logits = rng.normal(size=(IMAGES, EXITS, CLASSES))
    logits[np.arange(IMAGES), :, labels] += np.linspace(1, 5, EXITS)
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return Predictions(
        ids=np.arange(IMAGES).astype(str),
        clusters=np.full(IMAGES, ""),
        split=np.full(IMAGES, "val"),
        labels=labels,
        attributes={"sex": rng.integers(0, 2, IMAGES)},
        group_names={"sex": ("female", "male")},
        classes=tuple(f"class {c}" for c in range(CLASSES)),
        probabilities=probabilities.astype(np.float32),
        exit_names=("1", "2", "3", "4", "f"),
    )


def swept(predictions: Predictions, thetas: Any) -> None:
    """Evaluate all thresholds in one pass."""
    counts, _ = sweep(predictions, "sex", thetas)
    compute(counts)


def in_turn(predictions: Predictions, thetas: Any) -> None:
    """Evaluate one threshold after the other."""
    groups = predictions.attributes["sex"]
    for theta in thetas:
        answers = predictions.answers_at(select(predictions.confidence(), theta))
        compute(count(predictions.labels, answers, groups, num_classes=CLASSES, num_groups=2))


def compare(quick: bool) -> Iterator[Row]:
    """Rows of `make bench`: per threshold, against a loop over thresholds."""
    predictions = draw()
    number = 20 if quick else THETAS
    thetas = np.linspace(0.2, 1, number)
    part = thetas[:: number // TURNS]
    runs: dict[str, Callable[[], object]] = {
        "sweep": lambda: swept(predictions, thetas),
        "loop": lambda: in_turn(predictions, part),
    }
    times = alternate(runs, 1 if quick else 5)
    loop = [s * number / len(part) for s in times["loop"]]
    what = f"sweep over {number:,} thresholds, all metrics of the counts, per threshold"
    yield Row(what, times["sweep"], "a loop over thresholds", loop, number)


def seconds(work: Callable[..., None], *args: Any) -> float:
    """Seconds of one call: the fastest of five."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        work(*args)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    predictions = draw()
    thetas = np.linspace(0.2, 1, THETAS)
    fast = seconds(swept, predictions, thetas)
    slow = seconds(in_turn, predictions, thetas[:: THETAS // TURNS]) * THETAS / TURNS
    print(f"{IMAGES} images, {EXITS} exits, {CLASSES} classes, 2 groups, {THETAS} thresholds\n")
    print("| | seconds | ratio |\n| --- | ---: | ---: |")
    print(f"| sweep, all metrics of the counts | {fast:.3f} | 1 |")
    print(f"| loop ({TURNS} thresholds measured, scaled) | {slow:.3f} | {slow / fast:.0f} |")


if __name__ == "__main__":
    main()
