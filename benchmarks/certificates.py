"""How often the promise of the rule "risk" is broken, in every group, and what the promise costs.

    python benchmarks/certificates.py [--repeats 1000] [--predictions FILE] [--group sex]

The images of a file of predictions are the population, so that the true risk of every threshold is
known; each validation set is drawn from it, clusters whole and with replacement. Without a file the
population is drawn, with two groups of which one is harmed twice as often. A promise is broken if
the true risk of a group is above epsilon at the chosen threshold.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fairexit.cluster_index import cluster_index
from fairexit.evaluation.certificate import BOUNDS
from fairexit.evaluation.risk import GRID, Risk, try_thresholds
from fairexit.evaluation.thresholds import select
from fairexit.predictions.data import Predictions
from fairexit.predictions.files import read_predictions
from timing import table

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

IMAGES = 20_000
SETS = ((500, 0.05), (2500, 0.02), (2500, 0.05))
"""Clusters of a validation set, and epsilon."""


def drawn_population(rng: np.random.Generator) -> Predictions:
    """Answers of three exits to eight classes; exits know more of one group than they say."""
    labels, unit = rng.integers(0, 8, IMAGES), np.arange(IMAGES) // 2
    groups = rng.integers(0, 2, IMAGES)[unit]
    clear = rng.normal(0, 1, IMAGES)[unit] + 0.5 * rng.normal(0, 1, IMAGES)
    truth = np.eye(8)[labels]
    logits = [
        scale * (clear + offset - 0.6 * groups * (k == 0))[:, None] * truth
        + rng.normal(0, 1.2, (IMAGES, 8))
        for k, (scale, offset) in enumerate(((1.5, 1.0), (2.0, 1.4), (2.5, 1.8)))
    ]
    exp = np.exp(np.stack(logits, 1).astype(np.float32))
    return Predictions(
        ids=np.arange(IMAGES).astype(str),
        clusters=np.char.add("c", unit.astype(str)),
        split=np.full(IMAGES, "val"),
        labels=labels,
        attributes={"sex": groups},
        group_names={"sex": ("one", "other")},
        classes=tuple("abcdefgh"),
        probabilities=exp / exp.sum(-1, keepdims=True),
        exit_names=("1", "2", "f"),
    )


def validation_set(
    population: Predictions, rows: list[Ints], number: int, seed: int
) -> tuple[Predictions, Ints]:
    """A validation set of whole clusters drawn with replacement, and its rows of the population."""
    picks = np.random.default_rng(seed).integers(0, len(rows), number)
    index = np.concatenate([rows[pick] for pick in picks])
    unit = np.repeat(np.arange(number), [len(rows[pick]) for pick in picks])
    assert population.probabilities is not None
    drawn = replace(
        population,
        ids=np.arange(len(index)).astype(str),
        clusters=np.char.add("c", unit.astype(str)),
        split=np.full(len(index), "val"),
        labels=population.labels[index],
        attributes={name: values[index] for name, values in population.attributes.items()},
        probabilities=population.probabilities[index],
    )
    return drawn, index


def true_risks(population: Predictions, group: str, risk: Risk, answers: Ints) -> Floats:
    """Risk of each threshold and group in the population, (K, M), as the bound counts it."""
    unit = cluster_index(population.clusters)
    bad = risk.bad(answers, population.answers[:, -1], population.labels)
    risks = np.empty((len(GRID), len(population.group_names[group])))
    for g in range(risks.shape[1]):
        of_group = population.attributes[group] == g
        _, number = np.unique(unit[of_group], return_inverse=True)
        sizes = np.bincount(number)
        for k in range(len(GRID)):
            sums = np.bincount(number, bad[k, of_group])
            risks[k, g] = ((sums > 0) if risk.bound == "binomial" else sums / sizes).mean()
    return risks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--predictions", type=Path)
    parser.add_argument("--group", default="sex")
    given = parser.parse_args()
    if given.predictions is None:
        population = drawn_population(np.random.default_rng(0))
    else:
        population = read_predictions(given.predictions, [given.group])
    population = population.take(population.attributes[given.group] >= 0)
    unit = cluster_index(population.clusters)
    order = np.argsort(unit, kind="stable")
    rows = np.split(order, np.cumsum(np.bincount(unit))[:-1])
    confidence = population.confidence()
    answers = np.stack([population.answers_at(select(confidence, theta)) for theta in GRID])
    lines = []
    for clusters, epsilon in SETS:
        for bound in BOUNDS:
            risk = Risk(epsilon=epsilon, delta=0.05, bound=bound)
            truth = true_risks(population, given.group, risk, answers)
            chosen = []
            for seed in range(given.repeats):
                drawn, index = validation_set(population, rows, clusters, seed)
                tested = try_thresholds(risk, drawn, given.group, answers[:, index], resamples=1)
                chosen.append(tested.chosen)
            kept = [k for k in chosen if k is not None]
            broken = (truth[kept] > epsilon).sum(0) / len(chosen)
            any_broken = (truth[kept] > epsilon).any(1).sum() / len(chosen)
            true_ones = np.flatnonzero((truth > epsilon).any(1))
            cheapest = GRID[int(true_ones[0]) - 1] if len(true_ones) else GRID[-1]
            lines.append([
                f"{clusters:,}", f"{epsilon:g}", bound, f"{100 * any_broken:.1f} %",
                " / ".join(f"{100 * share:.1f} %" for share in broken),
                f"{100 * (1 - len(kept) / len(chosen)):.0f} %",
                f"{np.median([GRID[k] for k in kept]):.2f}" if kept else "-", f"{cheapest:.2f}",
            ])  # fmt: skip
    heads = ["clusters", "epsilon", "bound", "broken in a group", "in each", "no promise",
             "median theta", "cheapest true one"]  # fmt: skip
    print(table(heads, lines))


if __name__ == "__main__":
    main()
