"""How often a choice keeps the truly best candidate, and whether the luck that it names is right.

A population of images with the answers of several runs is drawn once, so that the true value of
every operating point is known. Validation sets are drawn from it, clusters whole. For each,
`select_point` says which candidates cannot be told apart from the best, and by how much its value
flatters it.

    python benchmarks/choose_coverage.py --repeats 400
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fairexit.evaluation.comparable import Answers, Comparable
from fairexit.evaluation.goal import Goal, parse_goal
from fairexit.evaluation.operating_points import measure_points
from fairexit.evaluation.select_point import select_point
from fairexit.runs import Run

POPULATION, CLUSTER, CLASSES = 120_000, 2, 4
COSTS = np.array([1.0, 2.0, 3.0])
GRID = (0.5, 0.7, 0.9)
GOALS = {
    "f1": parse_goal([], maximize="f1"),
    "eodd": parse_goal([], minimize="eodd"),
    "eodd, f1 within 0.02": parse_goal(["f1 >= best - 0.02"], minimize="eodd"),
}
WORLDS = {
    # Spread of the runs' quality, and of the bias against the second group.
    "runs alike": (0.0, 0.0),
    "runs differ": (0.3, 0.6),
}


def draw_population(quality: float, bias: float, runs: int = 6) -> Comparable:
    """Answers of several runs, whose errors are correlated, for a large population."""
    rng = np.random.default_rng(0)
    unit = np.arange(POPULATION) // CLUSTER
    number = POPULATION // CLUSTER
    labels = rng.choice(CLASSES, number, p=[0.5, 0.25, 0.15, 0.1])[unit]
    groups = rng.integers(0, 2, number)[unit]
    truth = np.eye(CLASSES)[labels]
    shared = rng.normal(size=(number, CLASSES))[unit] + rng.normal(size=(POPULATION, CLASSES))
    models = []
    for r in range(runs):
        skill = 2 + quality * (r / (runs - 1) - 0.5) * 2
        harm = 1 - bias * (r / (runs - 1)) * (groups == 1)
        noise = shared + 0.7 * rng.normal(size=shared.shape)
        logits = [
            scale * skill * truth * harm[:, None] + noise + 0.3 * rng.normal(size=shared.shape)
            for scale in (0.7, 0.9, 1.0)
        ]
        powers = np.exp(np.stack(logits, 1))
        probabilities = powers / powers.sum(-1, keepdims=True)
        models.append(
            Answers(
                Run(Path(f"run{r}")),
                f"run{r}",
                probabilities.max(-1).astype(np.float32),
                probabilities.argmax(-1).astype(np.int16),
                COSTS,
                ("1", "2", "f"),
            )
        )
    return Comparable(
        tuple(models), labels, groups, unit.astype(str).astype(object), "sex",
        num_classes=CLASSES, num_groups=2,
    )  # fmt: skip


def take(data: Comparable, rows: NDArray[np.int64]) -> Comparable:
    """Some rows; a cluster that is drawn twice is two clusters."""
    models = tuple(
        Answers(m.run, m.name, m.confidence[rows], m.answers[rows], m.costs, m.exit_names)
        for m in data.models
    )
    names = (np.arange(len(rows)) // CLUSTER).astype(str).astype(object)
    return Comparable(
        models, data.labels[rows], data.groups[rows], names, data.group,
        num_classes=data.num_classes, num_groups=data.num_groups,
    )  # fmt: skip


def simulate(data: Comparable, goal: Goal, images: int, repeats: int) -> dict[str, float]:
    """Choose in many validation sets of one population."""
    names = [name for name in goal.quantities if name != "cost"]
    true = measure_points(data, GRID, names)
    value = goal.better(goal.objective, true.values)
    kept, dropped, luck, won, values = 0, [], [], [], []
    for seed in range(repeats):
        rng = np.random.default_rng([1, seed])
        drawn = rng.integers(0, POPULATION // CLUSTER, images // CLUSTER)
        rows = (drawn[:, None] * CLUSTER + np.arange(CLUSTER)).ravel()
        selection = select_point(take(data, rows), goal, grid=GRID)
        assert selection.ties is not None
        assert selection.best is not None
        # Only what this set allows can be kept; the constraint is not what is tested here.
        best = int(np.where(selection.allowed, value, -np.inf).argmax())
        kept += bool(selection.ties.tied[best])
        dropped.append(1 - selection.ties.number / selection.num_allowed)
        luck.append(selection.ties.luck)
        won.append(selection.best)
        values.append(goal.better(goal.objective, selection.points.values))
    # What chance adds to every gap alike is no luck of the best.
    mean = np.mean(values, 0)
    flattered = np.mean([v[k] - mean[k] for v, k in zip(values, won, strict=True)])
    share = kept / repeats
    return {
        "best_kept": round(share, 4),
        "standard_error": round(float(np.sqrt(share * (1 - share) / repeats)), 4),
        "told_apart": round(float(np.mean(dropped)), 3),
        "luck_named": round(float(np.mean(luck)), 4),
        "luck_true": round(float(flattered), 4),
        "true_loss_of_best": round(float(np.mean(value.max() - value[won])), 4),
    }


def main() -> None:
    """Print a line of JSON for each world, goal and size of validation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--images", type=int, nargs="+", default=[600, 3000])
    options = parser.parse_args()
    for world, spread in WORLDS.items():
        data = draw_population(*spread)
        for name, goal in GOALS.items():
            for images in options.images:
                result = simulate(data, goal, images, options.repeats)
                print(
                    json.dumps({"world": world, "goal": name, "images": images} | result),
                    flush=True,
                )


if __name__ == "__main__":
    main()
