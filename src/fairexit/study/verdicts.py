"""What a study says on each claim: differences with intervals, chance, and one word."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.intervals import Interval, with_seeds
from fairexit.auditing.pairs import Pairs, draw_pairs
from fairexit.auditing.permutation import permute
from fairexit.auditing.resampling import Measure, named_measures
from fairexit.evaluation import metrics
from fairexit.evaluation.counts import Margins
from fairexit.evaluation.entanglement import MEAN, mean_over_runs, read_entanglement
from fairexit.evaluation.metrics import Values
from fairexit.study.claims import (
    FINAL,
    FIRST,
    GAP,
    Bounds,
    Claim,
    Comparison,
    Side,
    Word,
    claims,
    printed_difference,
    word_of,
)
from fairexit.study.collect import POLICY, Pooled
from fairexit.study.paper import ENTANGLED, Printed, common_name

DRAWS = 2000
GAP_DRAWS = 400
CHANCE_DRAWS = 300
FALL_DRAWS = 20_000
LEVEL = 0.95
Z = NormalDist().inv_cdf((1 + LEVEL) / 2)
POWERED = Z + NormalDist().inv_cdf(0.8)
"""Standard errors that a true difference must have to be found in 80 of 100 studies: 2.8."""


@dataclass(frozen=True)
class Outcome:
    """What was found of one comparison.

    Attributes:
        comparison: what is claimed.
        seeds: that both sides have.
        a, b: means over them; b is NaN where there is none.
        difference, low, high: a - b with its 95 % interval over seeds and clusters.
        bounds: of the claimed direction.
        paper: the printed a - b.
        smallest: the smallest difference that this design finds in 80 of 100 studies.
        needed: seeds of each row, and test images, that would find the printed one as often; None
            where nothing is printed, or what is printed is no more than the margin forbids.
    """

    comparison: Comparison
    seeds: int
    a: float
    b: float
    difference: float
    low: float
    high: float
    bounds: Bounds
    paper: float | None
    smallest: float
    needed: tuple[int, int] | None

    @property
    def word(self) -> Word:
        return word_of([self.bounds])


@dataclass(frozen=True)
class Verdict:
    """The word on one claim, and what it rests on; None for a comparison that was not run."""

    claim: Claim
    word: Word
    outcomes: tuple[Outcome | None, ...]


@dataclass(frozen=True)
class Chance:
    """A row's gap beside what chance alone gives for its counts; means over seeds."""

    row: str
    metric: str
    value: float
    floor: float
    ceiling: float


def judge(pooled: Sequence[Pooled], paper: Printed | None, dataset: str) -> list[Verdict]:
    """A verdict on each claim for one dataset.

    Args:
        pooled: everything finished of it.
        paper: its printed numbers.
        dataset: as prepared data are called.
    """
    cells = {(common_name(one.row), one.seed): one for one in pooled}
    exits = next((p.exit_names for p in pooled if len(p.exit_names) > 1), ("f",))
    found_claims = claims(paper, dataset, exits)
    wanted: dict[tuple[Side, Side | None], set[str]] = {}
    for comparison in (c for claim in found_claims for c in claim.comparisons):
        wanted.setdefault((comparison.a, comparison.b), set()).add(comparison.metric)
    drawn = {pair: _draw(cells, pair, sorted(names), paper) for pair, names in wanted.items()}
    verdicts = []
    for claim in found_claims:
        outcomes: list[Outcome | None] = []
        for comparison in claim.comparisons:
            found = drawn[comparison.a, comparison.b]
            sizes = len(claim.comparisons), len(pooled[0].ids)
            outcomes.append(found and _outcome(comparison, *found, *sizes, paper))
        word = word_of([outcome.bounds if outcome else None for outcome in outcomes])
        verdicts.append(Verdict(claim, word, tuple(outcomes)))
    verdicts.append(_entanglement(pooled))
    return sorted(verdicts, key=lambda verdict: verdict.claim.number)


def chance(pooled: Sequence[Pooled]) -> list[Chance]:
    """Eopp1 and Eodd of each row beside what permuted groups give."""
    found: dict[tuple[str, str], list[Values]] = {}
    for one in pooled:
        labels, groups, clusters = one.samples
        answers = one.answers(POLICY)[None]
        sizes = len(one.classes), len(one.group_names)
        gaps = ("eopp1", "eodd")
        null = permute(labels, answers, groups, clusters, *sizes, metrics=gaps, draws=CHANCE_DRAWS)
        for gap in gaps:
            values = [null.point[gap], null.floor(gap), null.ceiling(gap)]
            found.setdefault((one.row, gap), []).append(np.ravel(values))
    return [Chance(row, gap, *np.mean(v, axis=0).tolist()) for (row, gap), v in found.items()]


def _draw(
    cells: dict[tuple[str, int], Pooled],
    pair: tuple[Side, Side | None],
    wanted: Sequence[str],
    paper: Printed | None,
) -> tuple[Pairs, int] | None:
    """Both sides of a comparison in the same draws: the seeds of a, then those of b."""
    sides = [side for side in pair if side is not None]
    rows = {side.row for side in sides}
    seeds = sorted({s for _, s in cells if all((row, s) in cells for row in rows)})
    if not seeds:
        return None
    chosen = [(cells[side.row, seed], side.what) for side in sides for seed in seeds]
    if any(what != POLICY and len(one.exit_names) == 1 for one, what in chosen):
        return None
    answers = np.stack([one.answers(_exit(one, what)) for one, what in chosen])
    labels, groups, clusters = chosen[0][0].samples
    names = chosen[0][0].group_names
    measures = named_measures([name for name in wanted if name != GAP], "exclude")
    if GAP in wanted and paper is not None:
        first, second = (names.index(group) for group in paper.groups)
        measures[GAP] = _gap(first, second)
    sizes = len(chosen[0][0].classes), len(names)
    arrays = labels, answers, groups, clusters, *sizes
    return draw_pairs(*arrays, metrics=measures, draws=DRAWS, gap_draws=GAP_DRAWS), len(seeds)


def _exit(one: Pooled, what: str | float) -> str | float:
    return {FIRST: one.exit_names[0], FINAL: one.exit_names[-1]}.get(str(what), what)


def _gap(first: int, second: int) -> Measure:
    def gap(margins: Margins) -> Values:
        of_group = metrics.f1(margins)
        return of_group[..., first] - of_group[..., second]

    return gap


def _outcome(
    comparison: Comparison,
    drawn: Pairs,
    seeds: int,
    number: int,
    images: int,
    paper: Printed | None,
) -> Outcome:
    name, mine = comparison.metric, range(seeds)
    its = None if comparison.b is None else range(seeds, 2 * seeds)

    def ask(level: float) -> Interval:
        if its is None:
            return drawn.scores.over_seeds(name, mine, None, level)
        return drawn.difference(name, mine, its, level)

    interval, strict = ask(LEVEL), ask(1 - (1 - LEVEL) / number)
    # No difference of two of these metrics is beyond 1, whatever Student's t says of two seeds.
    (low, high), far = (
        (max(float(i.low), -1.0), min(float(i.high), 1.0)) for i in (interval, strict)
    )
    values, sampled = drawn.point(name), drawn.draws(name)
    pairs, draws = values[:seeds], sampled[:, :seeds]
    if its is not None:
        pairs, draws = pairs - values[seeds:], draws - sampled[:, seeds:]
    of_seeds = float(pairs.var(ddof=1)) if seeds > 1 else math.nan
    of_images = float(np.nanvar(draws.mean(1)))
    printed = printed_difference(paper, comparison)
    return Outcome(
        comparison,
        seeds,
        float(values[:seeds].mean()),
        math.nan if its is None else float(values[seeds:].mean()),
        float(interval.point),
        low,
        high,
        bounds(comparison, (low, high), far),
        printed,
        (high - low) / 2 * POWERED / Z,
        None if printed is None else needed(comparison, printed, of_seeds, of_images, images),
    )


def bounds(
    comparison: Comparison, interval: tuple[float, float], strict: tuple[float, float]
) -> Bounds:
    """Intervals of a - b as bounds of what is claimed to be above zero."""
    ends = sorted(comparison.sign * end + comparison.margin for end in interval)
    ceiling = max(comparison.sign * end + comparison.margin for end in strict)
    return Bounds(ends[0], ends[1], ceiling)


def needed(
    comparison: Comparison, printed: float, of_seeds: float, of_images: float, images: int
) -> tuple[int, int] | None:
    """Seeds of each row, and test images, that find the printed difference in 80 of 100 studies.

    The variance of a mean difference is of_seeds / S + of_images * images / N; each term may take
    half of (difference / 2.8)^2.

    Args:
        comparison: what is claimed; its margin adds to the difference.
        printed: the paper's a - b.
        of_seeds: variance of the difference from seed to seed.
        of_images: variance of the mean difference over draws of the test images at hand.
        images: how many these are.
    """
    effect = comparison.sign * printed + comparison.margin
    if not effect > 0 or math.isnan(of_seeds):
        return None
    half = (effect / POWERED) ** 2 / 2
    return max(2, math.ceil(of_seeds / half)), math.ceil(of_images * images / half)


def _entanglement(pooled: Sequence[Pooled]) -> Verdict:
    """Claim 6, from what `fairexit entangle` has measured in the runs."""
    measured = {row: _changes(pooled, row) for row in ENTANGLED}
    keys = list(dict.fromkeys(key for changes in measured.values() for key in changes))
    comparisons, outcomes = [], []
    for row in ENTANGLED:
        for of, temperature in keys:
            metric = f"SNNL of {of}, change per stage, T {temperature:g}"
            comparison = Comparison(metric, Side(row), None, -1)
            found = measured[row].get((of, temperature))
            comparisons.append(comparison)
            outcomes.append(found and _fall(comparison, *found, len(keys) * len(ENTANGLED)))
    claim = Claim(
        6, "SNNL of the attribute, and of the target, falls with depth", tuple(comparisons)
    )
    return Verdict(claim, word_of([o.bounds if o else None for o in outcomes]), tuple(outcomes))


def _changes(
    pooled: Sequence[Pooled], row: str
) -> dict[tuple[str, float], tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Label and temperature -> mean change per stage of each measured run, and their errors, (R,).

    Raises:
        UserError: the runs were not measured alike.
    """
    files = [
        run.path / "entanglement.json"
        for one in pooled
        if common_name(one.row) == row
        for run in one.runs
    ]
    found = [read_entanglement(file) for file in files if file.is_file()]
    if not found:
        return {}
    mean_over_runs(found)
    means = [one.rows[one.rows["position"] == MEAN] for one in found]
    values = [np.stack([rows[key] for rows in means], 1) for key in ("change", "change_se")]
    keys = zip(means[0]["of"], means[0]["temperature"], strict=True)
    return {key: (values[0][i], values[1][i]) for i, key in enumerate(keys)}


def _fall(
    comparison: Comparison,
    changes: NDArray[np.float64],
    errors: NDArray[np.float64],
    number: int,
) -> Outcome:
    """Whether the mean over R runs falls; the errors are over images, which the runs share."""
    runs, point = len(changes), float(changes.mean())
    images = np.random.default_rng(0).standard_normal(FALL_DRAWS) * errors.mean()
    drawn = with_seeds(changes, point + images)

    def ask(level: float) -> tuple[float, float]:
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    interval, strict = ask(LEVEL), ask(1 - (1 - LEVEL) / number)
    sides = bounds(comparison, interval, strict)
    smallest = (interval[1] - interval[0]) / 2 * POWERED / Z
    return Outcome(comparison, runs, point, math.nan, point, *interval, sides, None, smallest, None)
