"""Coverage of the confidence intervals, and the false-positive rate of the permutation test.

    python benchmarks/coverage.py [--repeats 300] [--only lesions]

Test sets are drawn from known populations: classes of falling frequency, images in clusters whose
answers are correlated, groups with or without a gap. The true value is the metric of the
population. A 95 % interval should contain it in 95 % of the test sets; a test at 5 % should reject
in 5 % of the test sets of a population without a gap. `a / b` are the misses in per cent: the true
value below the interval, and above it.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.cohorts import gap_of
from fairexit.metrics.counts import Margins
from fairexit.metrics.rates import tpr
from fairexit.metrics.record import compute, gaps
from fairexit.stats.bootstrap import bootstrap
from fairexit.stats.gap_contrasts import GapContrasts
from fairexit.stats.inversion import invert
from fairexit.stats.permutation import permute
from fairexit.stats.proportions import Shares, accuracies, true_positives
from fairexit.stats.resampling import named_measures
from fairexit.stats.sample import Sample
from fairexit.stats.two_samples import draw_two
from timing import table

METRICS = ("accuracy", "f1", "f1_diff", "eopp0", "eopp1", "eodd_paper", "eodd")
FIRST_MINUS_SECOND = ((1.0, [0]), (-1.0, [1]))
RAREST = "TPR of the rarest cell"
DRAWS, GAP_DRAWS, PERMUTATIONS = 500, 200, 199


@dataclass(frozen=True)
class World:
    """A population of images, and of the answers of models.

    Attributes:
        classes: number of classes, C.
        groups: number of groups, M.
        images: approximate number of images in a test set.
        size: mean number of images in a cluster, geometrically distributed.
        patients: whether the images of a cluster may differ in class, as those of a patient do; if
            not, they share it, as those of a lesion do.
        alike: share of a cluster's images whose answers come from one common draw.
        skew: logarithm of the ratio of the most to the least frequent class.
    """

    classes: int = 8
    groups: int = 2
    images: int = 2000
    size: float = 1.5
    patients: bool = False
    alike: float = 0.6
    skew: float = 3.5

    def cells(self) -> NDArray[np.float64]:
        """Probability of each group and class, (M, C)."""
        rng = np.random.default_rng(0)
        classes = np.exp(-np.linspace(0, self.skew, self.classes))
        joint = classes * np.exp(0.3 * rng.standard_normal((self.groups, self.classes)))
        share = np.linspace(1, 0.5, self.groups)[:, None]
        joint *= share / joint.sum(1, keepdims=True)
        return joint / joint.sum()

    def rates(self, gap: float, low: float = 0.5, high: float = 0.9) -> NDArray[np.float64]:
        """Probability of each answer, (M, C, C): TPR ranges over the groups by about `gap`."""
        rng = np.random.default_rng(1)
        c = self.classes
        middle = rng.uniform(low, high, c)
        ranges = gap * rng.uniform(0.5, 1.5, c) * rng.choice([-1, 1], c)
        hits = middle + np.linspace(-0.5, 0.5, self.groups)[:, None] * ranges
        hits = np.clip(hits, 0.02, 0.99)
        wrong = rng.dirichlet(np.ones(c), c) * (1 - np.eye(c))
        rates = (1 - hits)[:, :, None] * wrong / wrong.sum(1, keepdims=True)
        rates[:, range(c), range(c)] = hits
        return rates

    def draw(self, models: Sequence[NDArray[np.float64]], rng: np.random.Generator) -> Sample:
        """Draw a test set.

        Args:
            models: each model's probability of each answer, (M, C, C), from `rates`. The models
                tend to err on the same images.
            rng: the random generator.
        """
        sizes = rng.geometric(1 / self.size, round(self.images / self.size))
        cluster = np.repeat(np.arange(len(sizes)), sizes)
        cells = self.cells()
        groups = rng.choice(self.groups, len(sizes), p=cells.sum(1))[cluster]
        of_cluster, of_image = rng.random(len(sizes))[cluster], rng.random(len(cluster))
        class_draw = of_image if self.patients else of_cluster
        shares = np.cumsum(cells / cells.sum(1, keepdims=True), axis=1)[groups]
        labels = np.minimum((class_draw[:, None] > shares).sum(1), self.classes - 1)
        of_label = rng.random((len(sizes), self.classes))[cluster, labels]
        is_alike = rng.random(len(cluster)) < self.alike
        shared_draw = np.where(is_alike, of_label, rng.random(len(cluster)))
        answers = []
        for rates in models:
            # On most images, all models answer from the same draw.
            is_shared = rng.random(len(cluster)) < 0.7
            draw = np.where(is_shared, shared_draw, rng.random(len(cluster)))
            bounds = np.cumsum(rates, axis=-1)[groups, labels]
            answers.append(np.minimum((draw[:, None] > bounds).sum(1), self.classes - 1))
        return Sample(
            labels=labels,
            answers=np.stack(answers),
            groups=groups,
            clusters=cluster.astype(str),
            num_classes=self.classes,
            num_groups=self.groups,
        )

    def truth(self, rates: NDArray[np.float64]) -> dict[str, float]:
        """The metrics of the population, by name."""
        values = compute(self.cells()[:, :, None] * rates, METRICS)
        return {name: value.item() for name, value in values.items()}


WORLDS = {
    "lesions": World(),
    "patients": World(size=8, patients=True, alike=0.5),
    "six groups": World(groups=6, images=4000),
    "114 classes": World(classes=114, images=1600, size=1.1, skew=1.5),
    "empty cells": World(images=500, skew=6),
}
ONE_MODEL = dict.fromkeys(WORLDS, (0.0, 0.15)) | {"lesions": (0.0, 0.05, 0.15, 0.4)}
PAIRS = {  # the gap, the lowest and the highest TPR of each of two models
    "equal, no gap": ((0.0, 0.5, 0.9), (0.0, 0.5, 0.9)),
    "equal, gap 0.15": ((0.15, 0.5, 0.9), (0.15, 0.5, 0.9)),
    "no gap, one more accurate": ((0.0, 0.4, 0.6), (0.0, 0.85, 0.97)),
    "gap 0.4 against 0.1": ((0.4, 0.5, 0.9), (0.1, 0.5, 0.9)),
    "gap 0.15 against none": ((0.15, 0.5, 0.9), (0.0, 0.5, 0.9)),
}


def rarest_cell(margins: Margins) -> NDArray[np.float64]:
    """TPR of the rarest class in the smallest group."""
    return tpr(margins)[..., -1, -1]


class Tally:
    """Collects the intervals of each metric and method."""

    def __init__(self) -> None:
        self.ends: dict[tuple[str, str], list[tuple[float, float]]] = {}

    def add(self, name: str, method: str, low: float, high: float) -> None:
        self.ends.setdefault((name, method), []).append((low, high))

    def cell(self, name: str, method: str, truth: float) -> str:
        """A cell of a table: coverage, misses below and above, and mean width."""
        if (name, method) not in self.ends:
            return ""
        low, high = np.array(self.ends[name, method]).T
        below, above = (truth < low - 1e-12).mean(), (truth > high + 1e-12).mean()
        coverage = f"{100 * (1 - below - above):.0f} % ({100 * below:.0f} / {100 * above:.0f})"
        return f"{coverage}, {np.mean(high - low):.3f}"


def one_model(world: World, gap: float, repeats: int) -> Iterator[list[str]]:
    """A row for each metric: true value, mean estimate, four intervals, rejections of the test."""
    rates = world.rates(gap)
    truth, tally = world.truth(rates) | {RAREST: rates[-1, -1, -1]}, Tally()
    measures = named_measures(METRICS, "exclude") | {RAREST: rarest_cell}
    points: dict[str, list[float]] = {name: [] for name in measures}
    rejections: dict[str, list[bool]] = {name: [] for name in gaps()}
    rng = np.random.default_rng(2)
    for seed in range(repeats):
        sample = world.draw([rates], rng)
        drawn = bootstrap(sample, metrics=measures, n_resamples=DRAWS, random_state=seed)
        compared = [name for name in METRICS if name in gaps()]
        inverted = invert(sample, metrics=compared, n_resamples=GAP_DRAWS, random_state=seed)
        chance = permute(sample, metrics=compared, n_resamples=PERMUTATIONS, random_state=seed)
        for name in measures:
            if np.isnan(drawn.point[name].item()):
                continue  # this test set has no image of the cell
            points[name].append(drawn.point[name].item())
            for method in ("percentile", "bca"):
                _, low, high, _ = drawn.interval(name, method=method)
                tally.add(name, method, low.item(), high.item())
        for name, share in exact_shares(sample).items():
            if share.n:
                tally.add(name, "exact", float(share.low), float(share.high))
        for name in compared:
            _, low, high, _ = inverted.interval(name)
            tally.add(name, "inversion", low.item(), high.item())
            rejections[name].append(chance.p_value(name).item() <= 0.05)
    for name in measures:
        methods = ("percentile", "bca", "inversion", "exact")
        cells = [tally.cell(name, m, truth[name]) for m in methods]
        rejected = f"{100 * np.mean(rejections[name]):.1f} %" if name in gaps() else ""
        yield [name, f"{truth[name]:.3f}", f"{np.mean(points[name]):.3f}", *cells, rejected]


def exact_shares(sample: Sample) -> dict[str, Shares]:
    """The shares that have exact intervals: accuracy and the rarest TPR."""
    together = replace(sample, groups=np.zeros(len(sample), np.int64), num_groups=1)
    return {"accuracy": accuracies(together)[0], RAREST: true_positives(sample)[-1, -1]}


def two_cohorts(world: World, gap: float, repeats: int) -> Iterator[list[str]]:
    """A row for accuracy and one TPR: the difference of two cohorts' gaps, whose truth is 0.

    The other cohort is half as large. The gap is that of the first group to the second.
    """
    rates, tally = world.rates(gap), Tally()
    other = replace(world, images=world.images // 2)
    rng = np.random.default_rng(5)
    measures = {"accuracy": None, "TPR of the most frequent class": 0}
    for seed in range(repeats):
        samples = world.draw([rates], rng), other.draw([rates], rng)
        drawn = draw_two(*samples, n_resamples=DRAWS, random_state=seed)
        for name, c in measures.items():
            (_, low, high, _), _ = drawn.compare(
                gap_of(0, [1], c, np.ones(samples[0].num_classes, bool)), 0.95
            )
            tally.add(name, "difference", float(low[2]), float(high[2]))
    for name in measures:
        yield [name, tally.cell(name, "difference", 0.0)]


def two_models(name: str, world: World, repeats: int) -> Iterator[list[str]]:
    """A row for each metric: true difference, mean estimate, intervals of the difference."""
    rates = [world.rates(*model) for model in PAIRS[name]]
    first, second = (world.truth(r) for r in rates)
    tally = Tally()
    points: dict[str, list[float]] = {metric: [] for metric in METRICS}
    rng = np.random.default_rng(3)
    for seed in range(repeats):
        sample = world.draw(rates, rng)
        drawn = bootstrap(sample, metrics=METRICS, n_resamples=DRAWS, random_state=seed)
        compared = [metric for metric in METRICS if metric in gaps()]
        inverted = invert(sample, metrics=compared, n_resamples=GAP_DRAWS, random_state=seed)
        for metric in METRICS:
            for method in ("percentile", "bca"):
                contrast = drawn.contrast(metric, FIRST_MINUS_SECOND, method=method)
                point, low, high, _ = contrast.interval()
                tally.add(metric, method, low.item(), high.item())
            points[metric].append(point.item())
        for metric in compared:
            _, low, high, _ = GapContrasts(inverted).contrast(metric, FIRST_MINUS_SECOND).interval()
            tally.add(metric, "inversion", low.item(), high.item())
    for metric in METRICS:
        truth = first[metric] - second[metric]
        cells = [tally.cell(metric, m, truth) for m in ("percentile", "bca", "inversion")]
        yield [metric, f"{truth:+.3f}", f"{np.mean(points[metric]):+.3f}", *cells]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=300)
    parser.add_argument("--only", choices=[*WORLDS, "cohorts", "pairs"])
    options = parser.parse_args()
    n = options.repeats
    print(f"{n} test sets each: coverage (misses: true value below / above), mean width\n")
    methods = ["percentile", "BCa", "inversion"]
    of_one = [*methods, "exact"]
    for name, true_gaps in ONE_MODEL.items():
        for gap in true_gaps if options.only in (None, name) else ():
            print(f"**{name}, gap {gap:g}**\n")
            header = ["metric", "truth", "mean", *of_one, "p ≤ 0.05"]
            print(table(header, list(one_model(WORLDS[name], gap, n))), end="\n\n", flush=True)
    for name in ("lesions", "patients") if options.only in (None, "cohorts") else ():
        for gap in (0.0, 0.15):
            print(f"**two cohorts of {name}, gap {gap:g} in both**\n")
            rows = list(two_cohorts(WORLDS[name], gap, n))
            print(table(["metric", "difference of the gaps"], rows), end="\n\n", flush=True)
    of_pairs = [(name, "lesions") for name in PAIRS] + [("gap 0.15 against none", "114 classes")]
    for name, world in of_pairs if options.only in (None, "pairs") else ():
        print(f"**two models, {world}: {name}**\n")
        rows = list(two_models(name, WORLDS[world], n))
        print(table(["metric", "truth", "mean", *methods], rows), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
