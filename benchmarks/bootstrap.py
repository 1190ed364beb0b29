"""Time of confidence intervals for count metrics and scores, compared with a plain loop.

    python benchmarks/bootstrap.py [--size 8x2]

The data are random, at the size of a real test set: 5,000 images of 3,900 lesions. The loop draws
clusters, gathers their rows and counts again, as a first implementation would; it makes 10 draws,
and its time is scaled up. Memory is the peak of the process so far.
"""

import argparse
import resource
import time
from collections.abc import Callable, Iterator

import numpy as np

from fairexit.cluster_index import cluster_index
from fairexit.metrics.counts import count
from fairexit.metrics.record import METRICS, compute
from fairexit.metrics.scores import auroc, ece
from fairexit.stats.bootstrap import bootstrap, bootstrap_scores
from fairexit.stats.inversion import invert
from fairexit.stats.permutation import permute
from fairexit.stats.sample import Sample
from timing import Row, alternate, machine, table

IMAGES, LESIONS, DRAWS, SCORE_DRAWS, LOOP = 5000, 3900, 10_000, 1000, 10


def seconds(run: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def row(case: str, size: str, duration: float) -> list[str]:
    """A row of the table: the case, the size, its seconds, and the peak memory so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # KiB on Linux
    return [case, size, f"{duration:.2f}", f"{peak:.2f}"]


def cases(classes: int, groups: int, draws: int = DRAWS) -> dict[str, Callable[[], object]]:
    """What is timed, for one number of classes and groups."""
    rng = np.random.default_rng(0)
    lesions = rng.integers(0, LESIONS, IMAGES)
    labels = rng.choice(classes, LESIONS, p=rng.dirichlet(np.full(classes, 2.0)))[lesions]
    group = rng.integers(0, groups, LESIONS)[lesions]
    scores = rng.random((IMAGES, classes)) ** 2
    scores[np.arange(IMAGES), labels] += 0.8
    probabilities = scores / scores.sum(1, keepdims=True)
    answers = probabilities.argmax(1)[None]
    names = np.array([f"lesion {k}" for k in lesions], object)
    sample = Sample(
        labels=labels,
        answers=answers,
        groups=group,
        clusters=names,
        num_classes=classes,
        num_groups=groups,
    )

    def intervals() -> None:
        drawn = bootstrap(sample, n_resamples=draws)
        for name in METRICS:
            drawn.interval(name)

    def loop() -> None:
        index = cluster_index(names)
        members = [np.flatnonzero(index == k) for k in range(index.max() + 1)]
        for _ in range(LOOP):
            drawn = rng.integers(0, len(members), len(members))
            rows = np.concatenate([members[k] for k in drawn])
            compute(
                count(
                    labels[rows],
                    answers[0, rows],
                    group[rows],
                    num_classes=classes,
                    num_groups=groups,
                )
            )

    def of_scores() -> None:
        measures = {
            "auroc": lambda w: auroc(probabilities, labels, w),
            "ece": lambda w: ece(probabilities, labels, w),
        }
        drawn = bootstrap_scores(measures, sample, n_resamples=SCORE_DRAWS)
        drawn.interval("auroc"), drawn.interval("ece")

    return {
        "intervals": intervals,
        "loop": loop,
        "permutations": lambda: permute(sample),
        "gaps": lambda: invert(sample),
        "scores": of_scores,
    }


def measure(classes: int, groups: int) -> list[list[str]]:
    """The rows for one number of classes and groups."""
    size, runs = f"{classes} x {groups}", cases(classes, groups)
    labels = {
        "intervals": f"{DRAWS:,} draws, all count metrics, BCa",
        "loop": "the same as a loop (scaled)",
        "permutations": f"{DRAWS:,} permutations",
        "gaps": "intervals of gaps, 7 x 1,000 draws",
        "scores": f"{SCORE_DRAWS:,} draws of AUROC and ECE, BCa",
    }
    scale = {"loop": DRAWS / LOOP}
    return [
        row(label, size, seconds(runs[key]) * scale.get(key, 1)) for key, label in labels.items()
    ]


def compare(quick: bool) -> Iterator[Row]:
    """Rows of `make bench`: a draw, against one of a plain loop."""
    draws = 100 if quick else DRAWS
    for classes, groups in [(8, 2)] if quick else [(8, 2), (114, 6)]:
        runs = cases(classes, groups, draws)
        both = alternate({key: runs[key] for key in ("intervals", "loop")}, 1 if quick else 3)
        ours, loop = ([s / n for s in both[k]] for k, n in (("intervals", draws), ("loop", LOOP)))
        what = f"bootstrap of all count metrics with BCa intervals, {classes} x {groups}, per draw"
        yield Row(what, ours, "a loop over draws", loop)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", nargs="+", default=["8x2", "114x6"], help="classes x groups")
    print(machine(), end="\n\n")
    sizes = [map(int, size.split("x")) for size in parser.parse_args().size]
    rows = [line for size in sizes for line in measure(*size)]
    print(table(["case", "classes x groups", "seconds", "peak memory, GB"], rows))


if __name__ == "__main__":
    main()
