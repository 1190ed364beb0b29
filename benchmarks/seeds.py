"""Intervals of a difference of two rows over training seeds, and how often one is shown.

    python benchmarks/seeds.py [--repeats 400] [--only coverage|power] [--workers 2]

Both rows have S networks each, all tested on the same images. A seed moves all true positive rates
of a network by a common amount, and those of the two groups apart in every class. Coverage: the
rows are equal on the average of all seeds; the oracle knows the variance of the difference, so that
half the width of its interval is 1.96 standard deviations. Power: gaps of the smallest difference
that a study says it would show are planted into one row, and studies that show them are counted.
`±` is the Monte-Carlo error.
"""

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed

from coverage import World
from fairexit.metrics.rates import Values
from fairexit.metrics.record import METRICS
from fairexit.stats.contrasts import Contrast
from fairexit.stats.paired import Pairs, draw_pairs
from timing import table

NAMES = ("accuracy", "f1", "eopp1", "eopp1_weighted", "eodd", "eodd_weighted")
GAPS = ("eopp1", "eopp1_weighted")
WORLD = World(images=5000, size=1.17)
GAP = 0.1
EFFECTS = (0.0, 0.01)
"""Standard deviation of what a seed does to true positive rates."""
DRAWS, GAP_DRAWS = 400, 200
DESIGNS = ((3, 0.1, 0.005), (3, 0.0, 0.0), (1, 0.1, 0.0))
"""Seeds, true gap and effect of seeds of the studies of power."""
PILOTS = 32
"""Studies whose median smallest difference is planted."""


class Run(NamedTuple):
    """Calls a function with many arguments, on several processes."""

    repeats: int
    workers: int

    def __call__(
        self, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]
    ) -> list[Any]:
        return Parallel(self.workers)(delayed(function)(*given) for given in arguments)


def network(effect: float, planted: float, gap: float, rng: np.random.Generator) -> Values:
    """A network's probability of each answer, (M, C, C), as its seed and a planted gap make it."""
    middle = effect * rng.standard_normal()
    rates = WORLD.rates(gap, 0.5 + middle, 0.9 + middle)
    every = range(WORLD.classes)
    hits = rates[:, every, every]
    apart = np.array([[0.5], [-0.5]])
    tilt = apart * effect * rng.standard_normal(WORLD.classes)
    hits = hits + tilt + planted * apart * np.where(hits[0] >= hits[1], 1, -1)
    hits = np.clip(hits, 0.0, 1.0)
    wrong = rates.copy()
    wrong[:, every, every] = 0
    rates = (1 - hits)[:, :, None] * wrong / wrong.sum(-1, keepdims=True)
    rates[:, every, every] = hits
    return rates


def study(
    seeds: int, rows: Sequence[tuple[float, float]], *, seed: int, gap: float, plant: bool = False
) -> Pairs:
    """The draws of a study.

    Args:
        seeds: number of seeds, S.
        rows: for each row the effect of its seeds, and the gap that is planted into it.
        seed: of the study.
        gap: true gap of all rows.
        plant: whether contrasts of gaps know their power.
    """
    rng = np.random.default_rng(seed)
    networks = [network(*row, gap, rng) for row in rows for _ in range(seeds)]
    return draw_pairs(
        WORLD.draw(networks, rng),
        metrics=NAMES,
        n_resamples=DRAWS,
        n_gap_resamples=GAP_DRAWS,
        random_state=seed,
        plant=plant,
    )


def difference(drawn: Pairs, name: str, seeds: int, rows: int = 2) -> Contrast:
    """The first row minus the second, with the variance over seeds pooled over all rows."""
    models = [range(k * seeds, (k + 1) * seeds) for k in range(rows)]
    return drawn.contrast(name, [(1, models[0]), (-1, models[1])], rows=models)


def interval(seeds: int, rows: int, effect: float, repeat: int) -> dict[str, tuple[float, ...]]:
    """Point and ends of the interval of each metric in one study of equal rows."""
    drawn = study(seeds, [(effect, 0.0)] * rows, seed=repeat, gap=GAP)
    intervals = {name: difference(drawn, name, seeds, rows).interval() for name in NAMES}
    return {name: tuple(float(part) for part in values[:3]) for name, values in intervals.items()}


def coverage(seeds: int, rows: int, effect: float, run: Run) -> Iterator[list[str]]:
    """A row for each metric: coverage, half width, that of the oracle, their ratio."""
    listed = run(interval, [(seeds, rows, effect, repeat) for repeat in range(run.repeats)])
    for name in NAMES:
        point, low, high = np.array([values[name] for values in listed]).T
        held = ((low <= 0) & (high >= 0)).mean()
        half, oracle = np.median(high - low) / 2, 1.96 * point.std(ddof=1)
        yield [
            str(seeds), str(rows), f"{effect:g}", METRICS[name].label, share(held, run.repeats),
            f"{half:.4f}", f"{oracle:.4f}", f"{half / oracle:.2f}",
        ]  # fmt: skip


def smallest(seeds: int, gap: float, effect: float, repeat: int) -> dict[str, float]:
    """The smallest difference of each gap that a study of equal rows says it would show."""
    drawn = study(seeds, [(effect, 0.0)] * 2, seed=10_000 + repeat, gap=gap, plant=True)
    return {name: difference(drawn, name, seeds).smallest() for name in GAPS}


def shown(name: str, planted: float, design: tuple[int, float, float], repeat: int) -> bool:
    """Whether a study shows a gap that is planted into its first row."""
    seeds, gap, effect = design
    drawn = study(seeds, [(effect, planted), (effect, 0.0)], seed=repeat, gap=gap)
    return bool(difference(drawn, name, seeds).interval().low > 0)


def power(design: tuple[int, float, float], run: Run) -> Iterator[list[str]]:
    """A row for each gap: the smallest difference, and the share of studies that show it."""
    pilots = run(smallest, [(*design, repeat) for repeat in range(PILOTS)])
    for name in GAPS:
        planted = float(np.nanmedian([pilot[name] for pilot in pilots]))
        hits = run(shown, [(name, planted, design, repeat) for repeat in range(run.repeats)])
        yield [
            *(f"{part:g}" for part in design), METRICS[name].label, f"{planted:.3f}",
            share(np.mean(hits), run.repeats),
        ]  # fmt: skip


def share(value: float, repeats: int) -> str:
    """A share in per cent with its Monte-Carlo error."""
    return f"{100 * value:.1f} ± {100 * math.sqrt(value * (1 - value) / repeats):.1f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--only", choices=["coverage", "power"])
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    run = Run(options.repeats, options.workers)
    designs = [(3, 2, e) for e in EFFECTS] + [(3, 8, EFFECTS[-1])]
    designs += [(s, 2, e) for s in (5, 10) for e in EFFECTS]
    header = ["seeds", "rows", "seed effect", "metric", "coverage", "half width", "oracle", "ratio"]
    for seeds, rows, effect in designs if options.only != "power" else ():
        print(table(header, list(coverage(seeds, rows, effect, run))), end="\n\n", flush=True)
    header = ["seeds", "gap", "seed effect", "metric", "smallest difference", "shown"]
    for design in DESIGNS if options.only != "coverage" else ():
        print(table(header, list(power(design, run))), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
