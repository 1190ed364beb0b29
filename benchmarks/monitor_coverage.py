"""How often a monitor gives a false alarm in a year of weekly looks, and how soon it sees a change.

    python benchmarks/monitor_coverage.py --only quantity --repeats 1000
    python benchmarks/monitor_coverage.py --only monitor --repeats 200

Every cluster has one to three images. `quantity` watches one accuracy that does not change: how
often it ever gives a false alarm at 0.05, how often its last interval misses the truth, and how
often a two-sample z-test, repeated every week, gives an alarm. `monitor` watches everything (three
classes, two groups, two exits): how often anything is a false alarm, and, where something changes,
in how many years the right alarm comes and after how many weeks. In brackets stands the
Monte-Carlo standard error, or the lowest and highest tenth of the delays.
"""

import argparse
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.source import Source
from fairexit.evaluation.policy import Policy
from fairexit.monitoring.monitor import monitor_sources
from fairexit.monitoring.new_tables import NewTable
from fairexit.monitoring.results import MIX, PERFORMANCE, QUIET, WORSE, MonitorResults, Quantity
from fairexit.monitoring.settings import MonitorSettings
from fairexit.monitoring.watch import watch
from fairexit.predictions.data import Predictions
from fairexit.stats.betting import LEVELS

WEEKS = 52
CLASSES, GROUPS = ("bcc", "mel", "nev"), ("f", "m")
LEVEL = 0.05
ACCURACY = Quantity(PERFORMANCE, "accuracy")


@dataclass(frozen=True)
class World:
    """Where answers come from.

    Attributes:
        accuracy: of each group, (M,).
        mix: probability of each class, (C,).
        share: probability of the second group.
    """

    accuracy: tuple[float, float] = (0.8, 0.8)
    mix: tuple[float, float, float] = (0.3, 0.2, 0.5)
    share: float = 0.5


SAME = World()
CHANGED = {
    "accuracy -0.10": replace(SAME, accuracy=(0.7, 0.7)),
    "accuracy -0.20": replace(SAME, accuracy=(0.6, 0.6)),
    "accuracy of one group -0.20": replace(SAME, accuracy=(0.8, 0.6)),
    "share of a class +0.15": replace(SAME, mix=(0.25, 0.35, 0.4)),
    "share of a group +0.15": replace(SAME, share=0.65),
}
CASES = {"no change": (SAME, 0)} | {
    f"{name} from week {start + 1}": (world, start)
    for name, world in CHANGED.items()
    for start in (0, 26)
}
"""Name -> the world from a week on, and that week from 0."""


def draw(world: World, clusters: int, rng: np.random.Generator, name: str) -> Predictions:
    """Images of clusters, which agree in class and group, and mostly in the answer."""
    owner = np.repeat(np.arange(clusters), rng.integers(1, 4, clusters))
    n = len(owner)
    labels = rng.choice(len(CLASSES), clusters, p=world.mix)[owner]
    groups = (rng.random(clusters) < world.share).astype(np.int64)[owner]
    own, shared = rng.random(n), rng.random(clusters)[owner]
    right = np.where(rng.random(n) < 0.7, shared, own) < np.array(world.accuracy)[groups]
    answers = np.where(right, labels, (labels + rng.integers(1, len(CLASSES), n)) % len(CLASSES))
    confidence = np.where(right, rng.beta(8, 2, n), rng.beta(5, 3, n)).clip(0.4)
    final = np.repeat(((1 - confidence) / (len(CLASSES) - 1))[:, None], len(CLASSES), 1)
    final[np.arange(n), answers] = confidence
    texts = np.char.add(name, np.arange(n).astype(str)).astype(object)
    return Predictions(
        ids=texts,
        clusters=np.char.add(name, owner.astype(str)).astype(object),
        split=np.full(n, "", object),
        labels=labels,
        attributes={"sex": groups},
        group_names={"sex": GROUPS},
        classes=CLASSES,
        probabilities=np.stack([final, final], 1).astype(np.float32),
        exit_names=("1", "f"),
    )


def year(
    base: int, week: int, case: str, rng: np.random.Generator
) -> tuple[Source, list[NewTable]]:
    """BASE, and 52 weeks of which some are of a changed world."""
    change, start = CASES[case]
    policy = Policy(0.75)
    source = Source("BASE", draw(SAME, base, rng, "b"), policy)
    tables = []
    for k in range(WEEKS):
        world = change if k >= start else SAME
        new = Source(f"week {k + 1}", draw(world, week, rng, f"w{k}-"), policy)
        tables.append(NewTable(new, True, exits=new.exits))
    return source, tables


def with_error(hits: NDArray[np.bool_]) -> str:
    """A share with its standard error."""
    share = float(np.mean(hits))
    return f"{share:.4f} ({math.sqrt(share * (1 - share) / len(hits)):.4f})"


def z_tests(base: NDArray[np.int64], new: NDArray[np.int64]) -> bool:
    """Whether a two-sample z-test of the means at 0.05 rejects after any week."""
    levels = np.arange(base.shape[1]) / (base.shape[1] - 1)

    def moments(tally: NDArray[np.int64]) -> tuple[Any, Any]:
        n = tally.sum(1)
        mean = tally @ levels / n
        return mean, (tally @ levels**2 / n - mean**2) / n

    (a, va), (b, vb) = moments(base[-1:]), moments(new)
    return bool((np.abs(b - a) > 1.96 * np.sqrt(va + vb)).any())


def quantity(base: int, week: int, seeds: range) -> str:
    """One accuracy without a change."""
    rows = [_one_year(base, week, np.random.default_rng([1, base, week, s])) for s in seeds]
    alarm, worse, missed, naive = np.array(rows).T
    return (
        f"base {base}, {week} a week: false alarm {with_error(alarm)}, false 'worse' "
        f"{with_error(worse)}, last interval misses {with_error(missed)}, "
        f"weekly z-test {with_error(naive)}"
    )


def _one_year(base: int, week: int, rng: np.random.Generator) -> tuple[bool, ...]:
    accuracy = rng.uniform(0.6, 0.95)
    tallies = []
    for looks in (np.zeros(base, np.int64), np.repeat(np.arange(WEEKS), week)):
        images = rng.integers(1, 4, len(looks))
        # Images of a cluster are right together, or each on its own.
        together = images * (rng.random(len(looks)) < accuracy)
        apart = rng.binomial(images, accuracy)
        share = np.where(rng.random(len(looks)) < 0.7, together, apart) / images
        tally = np.zeros((int(looks[-1]) + 1, LEVELS + 1), np.int64)
        np.add.at(tally, (looks, np.rint(share * LEVELS).astype(np.int64)), 1)
        tallies.append(tally.cumsum(0))
    settings = MonitorSettings(alpha=LEVEL, tolerance=0.0)
    w = watch(ACCURACY, tallies[:1], tallies[1:], tests=1, settings=settings)
    missed = not w.difference.low <= 0 <= w.difference.high
    return w.verdict != QUIET, w.verdict == WORSE, missed, z_tests(*tallies)


def expected(results: MonitorResults, world: World) -> int:
    """The look of the first alarm that names the change; -1 if none does."""
    if world.accuracy != SAME.accuracy:
        looks = [w.alarm for w in results.alarms if w.quantity.question != MIX]
    else:
        measure = "class" if world.mix != SAME.mix else "group"
        looks = [w.alarm for w in results.alarms if w.quantity.measure == measure]
    return min(looks, default=-1)


def monitor(case: str, base: int, week: int, seeds: range) -> str:
    """Everything that is watched, in one case: the line of `CASES` of this name."""
    settings = MonitorSettings(alpha=LEVEL)
    world, start = CASES[case]
    delays, alarms, worse = [], [], []
    for seed in seeds:
        rng = np.random.default_rng([2, base, week, start, seed])
        results = monitor_sources(*year(base, week, case, rng), ["sex"], settings)
        alarms.append(bool(results.alarms))
        worse.append(results.is_worse)
        delays.append(expected(results, world) - start + 1)
    where = f"base {base}, {week} a week, {case}"
    if world == SAME:
        tests = len(results.watched)
        return (
            f"{where}: any false alarm of {tests} quantities {with_error(np.array(alarms))}, "
            f"'worse' {with_error(np.array(worse))}"
        )
    seen = np.array([d for d in delays if d > 0])
    low, middle, high = np.quantile(seen, [0.1, 0.5, 0.9]) if len(seen) else [math.nan] * 3
    return (
        f"{where}: seen in {len(seen)} of {len(delays)} years, after {middle:.0f} weeks "
        f"({low:.0f} to {high:.0f}), 'worse' in {sum(worse)}"
    )


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["quantity", "monitor"])
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--base", type=int, default=2000, help="clusters of BASE")
    parser.add_argument("--week", type=int, default=40, help="clusters of a week")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.repeats)
    if options.only != "monitor":
        for base in (300, 2000):
            for week in (20, 100):
                print(quantity(base, week, seeds), flush=True)
    if options.only != "quantity":
        for case in options.cases:
            print(monitor(case, options.base, options.week, seeds), flush=True)


if __name__ == "__main__":
    main()
