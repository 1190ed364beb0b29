"""Compare two kinds of runs over seeds, on the same test images, with intervals.

    python examples/compare_runs.py --base runs/plain-0 runs/plain-1 --other runs/me-0 runs/me-1

For each metric: mean and spread over the seeds of each kind, and the mean paired difference with a
95 % percentile interval. A draw of the bootstrap takes seeds and clusters (lesions) with
replacement, the same ones for both kinds.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fairexit.data.splits import cluster_index
from fairexit.evaluation.assess import Assessment, assess_as_stored
from fairexit.evaluation.metrics import compute
from fairexit.evaluation.thresholds import select
from fairexit.types import UNKNOWN

METRICS = ("accuracy", "f1", "worst_group_f1", "eopp0", "eopp1", "eodd", "eodd_usual")


def cells(found: Assessment) -> tuple[NDArray[np.int64], tuple[int, int, int]]:
    """Which cell of the counts tensor each image falls into; -1 for an unknown group."""
    p = found.predictions
    policy = found.evaluation.policy
    exits = select(p.probabilities, policy.theta, policy.fallback)
    answers = p.probabilities[np.arange(len(p)), exits].argmax(-1)
    groups, names = p.group(found.group)
    classes = len(p.classes)
    cell = (groups * classes + p.labels) * classes + answers
    return np.where(groups == UNKNOWN, -1, cell), (len(names), classes, classes)


def draws(found: Sequence[Assessment], times: int, seed: int) -> NDArray[np.float64]:
    """How often each image stands in each draw, whole clusters at a time, (times, N)."""
    import pandas as pd

    cluster = cluster_index(pd.Series(found[0].predictions.clusters))
    rng = np.random.default_rng(seed)
    number = int(cluster.max()) + 1
    weights = np.stack(
        [np.bincount(rng.integers(0, number, number), minlength=number) for _ in range(times)]
    )
    return weights[:, cluster].astype(float)


def values(found: Assessment, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """All metrics in every draw, (times, metrics)."""
    cell, shape = cells(found)
    known = cell >= 0
    one_hot = np.zeros((int(known.sum()), int(np.prod(shape))))
    one_hot[np.arange(len(one_hot)), cell[known]] = 1
    counts = (weights[:, known] @ one_hot).reshape(-1, *shape)
    return np.stack(list(compute(counts, METRICS).values()), axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", nargs="+", type=Path, required=True)
    parser.add_argument("--other", nargs="+", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=2000)
    options = parser.parse_args()
    if len(options.base) != len(options.other):
        parser.error("give as many --base as --other runs, in the order of the seeds")
    kinds = [[assess_as_stored(run) for run in runs] for runs in (options.base, options.other)]
    ids = kinds[0][0].predictions.ids
    if any((a.predictions.ids != ids).any() for kind in kinds for a in kind):
        parser.error("the runs were tested on different images")
    once = np.ones((1, len(ids)))
    point = np.array([[values(a, once)[0] for a in kind] for kind in kinds])
    weights = draws(kinds[0], options.draws, seed=0)
    drawn = np.array([[values(a, weights) for a in kind] for kind in kinds])
    pairs = drawn[1] - drawn[0]
    rng = np.random.default_rng(1)
    seeds = rng.integers(0, len(pairs), (options.draws, len(pairs)))
    mean = pairs[seeds, np.arange(options.draws)[:, None]].mean(1)
    low, high = np.percentile(mean, [2.5, 97.5], axis=0)
    print("| metric | base | other | difference | 95 % interval |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for m, name in enumerate(METRICS):
        base, other = point[:, :, m]
        spread = [f"{v.mean():.3f} ± {v.std(ddof=min(1, len(v) - 1)):.3f}" for v in (base, other)]
        difference = f"{(other - base).mean():+.3f}"
        print(f"| {name} | {' | '.join(spread)} | {difference} | {low[m]:+.3f}, {high[m]:+.3f} |")


if __name__ == "__main__":
    main()
