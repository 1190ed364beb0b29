"""The combined test of any gap, and the gaps weighted by images, where the truth is known.

    python benchmarks/any_gap.py [--repeats 400] [--only tests]

Test sets are drawn from populations as in `coverage.py`. `tests`: how often p is at most 0.05 for
the test of the mean gap, of the sum of squared gaps, and of both combined; without any gap that is
the rate of false alarms, with one the power. `weighted`: how often the interval of a gap holds the
truth, how often it leaves out 0, and how often that of the difference of two equal models leaves
out 0. In brackets stands the Monte-Carlo standard error.
"""

import argparse
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from coverage import World
from fairexit.metrics.rates import fpr, range_known, tpr
from fairexit.metrics.record import METRICS
from fairexit.stats.any_gap import AnyGap, combined_test
from fairexit.stats.gap_contrasts import GapContrasts
from fairexit.stats.inversion import invert
from fairexit.stats.permutation import Permutation, permute
from fairexit.stats.resampling import named_measures
from fairexit.stats.sample import Sample
from timing import table

GAPS = ("eopp1", "eopp1_weighted", "eodd", "eodd_weighted")
PERMUTATIONS, GAP_DRAWS = 299, 200
WORLDS = {
    "lesions": World(),
    "patients": World(size=8, patients=True, alike=0.5),
    "114 classes": World(classes=114, images=1600, size=1.1, skew=1.5),
    "as ISIC": World(images=4968, size=1.17, skew=4.0),
}
PLANTED = {  # the gap in the TPR of each of 8 classes, the most frequent first
    "0.06 in all classes": [0.06] * 8,
    "0.06 in the three most frequent": [0.06] * 3 + [0.0] * 5,
    "0.25 in the three rarest": [0.0] * 5 + [0.25] * 3,
    "0.7 in the rarest": [0.0] * 7 + [0.7],
}


def planted(world: World, gaps: list[float]) -> NDArray[np.float64]:
    """Probability of each answer, (M, C, C), with the given TPR gap in each class."""
    rates = world.rates(0.0)
    c = np.arange(world.classes)
    sizes = np.array(gaps)
    middle = np.clip(rates[:, c, c], sizes / 2 + 0.02, 0.99 - sizes / 2)
    hits = middle + np.linspace(-0.5, 0.5, world.groups)[:, None] * sizes
    rates *= ((1 - hits) / (1 - rates[:, c, c]))[:, :, None]
    rates[:, c, c] = hits
    return rates


def share(values: list[bool]) -> str:
    """A share in per cent with its Monte-Carlo standard error."""
    mean = float(np.mean(values))
    return f"{100 * mean:.1f} ({100 * np.sqrt(mean * (1 - mean) / len(values)):.1f})"


def any_gap(chance: Permutation, name: str) -> AnyGap:
    """The combined test of the first model's gap `name`, from its rates under permutation."""
    rates = ("tpr", "fpr") if name == "eodd" else ("tpr",)
    observed = [range_known(chance.point[rate][0], -2) for rate in rates]
    null = [range_known(chance.null[rate][:, 0], -2) for rate in rates]
    return combined_test(
        np.concatenate(observed),
        np.concatenate(null, axis=-1),
        float(chance.point[name][0]),
        chance.null[name][:, 0],
    )


def permuted(sample: Sample, seed: int) -> Permutation:
    """The permutation test of all gaps and of their rates."""
    return permute(
        sample,
        metrics=named_measures(GAPS) | {"tpr": tpr, "fpr": fpr},
        n_resamples=PERMUTATIONS,
        random_state=seed,
    )


def tests(world: World, rates: NDArray[np.float64], repeats: int) -> Iterator[list[str]]:
    """A row for each gap: shares of p <= 0.05 of its test, its weighted form and the other two."""
    rng = np.random.default_rng(6)
    rejected: dict[str, list[list[bool]]] = {name: [] for name in ("eopp1", "eodd")}
    for seed in range(repeats):
        chance = permuted(world.draw([rates], rng), seed)
        for name, rows in rejected.items():
            of_any = any_gap(chance, name)
            weighted = float(chance.p_value(f"{name}_weighted")[0])
            rows.append([p <= 0.05 for p in (of_any.mean, weighted, of_any.total, of_any.combined)])
    for name, rows in rejected.items():
        yield [METRICS[name].label, *(share(list(column)) for column in zip(*rows, strict=True))]


def intervals(world: World, gap: float, repeats: int) -> Iterator[list[str]]:
    """A row for each gap: its truth, its interval, and that of the difference of equal models."""
    rng = np.random.default_rng(7)
    rates = world.rates(gap)
    expected = world.cells()[:, :, None] * rates
    truth = {name: METRICS[name](expected).item() for name in GAPS}
    results: dict[str, list[list[bool]]] = {name: [] for name in GAPS}
    for seed in range(repeats):
        inverted = invert(
            world.draw([rates, rates], rng),
            metrics=GAPS,
            n_resamples=GAP_DRAWS,
            random_state=seed,
        )
        for name in GAPS:
            low, high = (float(end[0]) for end in inverted.interval(name)[1:3])
            difference = GapContrasts(inverted).contrast(name, [(1, [0]), (-1, [1])]).interval()
            holds = low - 1e-12 <= truth[name] <= high + 1e-12
            word = not float(difference.low) <= 0 <= float(difference.high)
            results[name].append([holds, low > 0, word])
    for name, rows in results.items():
        columns = (share(list(column)) for column in zip(*rows, strict=True))
        yield [METRICS[name].label, f"{truth[name]:.3f}", *columns]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--only", choices=["null", "tests", "weighted"])
    options = parser.parse_args()
    n, only = options.repeats, options.only
    print(f"{n} test sets each, {PERMUTATIONS} permutations; % (Monte-Carlo standard error)\n")
    header = ["gap", "mean", "weighted by images", "sum of squares", "combined"]
    for name, world in WORLDS.items() if only in (None, "null") else ():
        print(f"**p ≤ 0.05 without a gap: {name}**\n")
        print(table(header, list(tests(world, world.rates(0.0), n))), end="\n\n", flush=True)
    for name, gaps in PLANTED.items() if only in (None, "tests") else ():
        print(f"**p ≤ 0.05 with a gap, as ISIC: {name}**\n")
        world = WORLDS["as ISIC"]
        rows = list(tests(world, planted(world, gaps), n))
        print(table(header, rows), end="\n\n", flush=True)
    header = ["gap", "truth", "interval holds it", "interval leaves out 0", "difference does"]
    for gap in (0.0, 0.15) if only in (None, "weighted") else ():
        for name in ("patients", "114 classes", "lesions"):
            print(f"**intervals: {name}, gap {gap:g}**\n")
            rows = list(intervals(WORLDS[name], gap, n))
            print(table(header, rows), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
