"""What a study says on each claim: differences with intervals, chance, and one word."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fairexit.metrics.counts import Margins
from fairexit.metrics.rates import Values, f1
from fairexit.metrics.record import main_gaps
from fairexit.stats.intervals import Interval
from fairexit.stats.paired import Pairs, draw_pairs
from fairexit.stats.permutation import permute
from fairexit.stats.resampling import Measure, named_measures
from fairexit.stats.seeds import LEVEL, min_detectable_difference
from fairexit.study.claims import (
    FINAL,
    FIRST,
    GAP,
    Comparison,
    Side,
    claims,
    printed_difference,
    word_of,
)
from fairexit.study.collect import POLICY, Pooled
from fairexit.study.depth import entanglement_verdict
from fairexit.study.outcomes import Outcome, Verdict, bounds, needed
from fairexit.study.paper import Printed, common_name

DRAWS = 2000
GAP_DRAWS = 400
CHANCE_DRAWS = 300


@dataclass(frozen=True)
class Chance:
    """A row's gap beside what chance alone gives for its counts; means over seeds."""

    row: str
    metric: str
    value: float
    null_mean: float
    null_quantile: float


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
            number, images = len(claim.comparisons), len(pooled[0].ids)
            outcomes.append(
                found and _outcome(comparison, *found, number=number, images=images, paper=paper)
            )
        word = word_of([outcome.bounds if outcome else None for outcome in outcomes])
        verdicts.append(Verdict(claim, word, tuple(outcomes)))
    verdicts.append(entanglement_verdict(pooled, paper))
    return sorted(verdicts, key=lambda verdict: verdict.claim.number)


def chance(pooled: Sequence[Pooled]) -> list[Chance]:
    """The main gaps of each row beside what permuted groups give."""
    found: dict[tuple[str, str], list[Values]] = {}
    for one in pooled:
        sample = one.sample.with_answers(one.answers(POLICY)[None])
        null = permute(sample, metrics=main_gaps(), n_resamples=CHANCE_DRAWS)
        for gap in main_gaps():
            values = [null.point[gap], null.null_mean(gap), null.null_quantile(gap)]
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
    names = chosen[0][0].group_names
    measures = named_measures([name for name in wanted if name != GAP], "exclude")
    if GAP in wanted and paper is not None:
        first, second = (names.index(group) for group in paper.groups)
        measures[GAP] = _gap(first, second)
    sample = chosen[0][0].sample.with_answers(answers)
    drawn = draw_pairs(sample, metrics=measures, n_resamples=DRAWS, n_gap_resamples=GAP_DRAWS)
    return drawn, len(seeds)


def _exit(one: Pooled, what: str | float) -> str | float:
    return {FIRST: one.exit_names[0], FINAL: one.exit_names[-1]}.get(str(what), what)


def _gap(first: int, second: int) -> Measure:
    def gap(margins: Margins) -> Values:
        of_group = f1(margins)
        return of_group[..., first] - of_group[..., second]

    return gap


def _outcome(
    comparison: Comparison,
    drawn: Pairs,
    seeds: int,
    *,
    number: int,
    images: int,
    paper: Printed | None,
) -> Outcome:
    name, mine = comparison.metric, range(seeds)
    its = None if comparison.b is None else range(seeds, 2 * seeds)

    def ask(level: float) -> Interval:
        if its is None:
            return drawn.scores.over_seeds(name, mine, None, level)
        return drawn.difference(name, mine, its, confidence_level=level)

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
    half = float(interval.high - interval.low) / 2
    printed = printed_difference(paper, comparison)
    return Outcome(
        comparison,
        seeds,
        float(values[:seeds].mean()),
        math.nan if its is None else float(values[seeds:].mean()),
        float(interval.point),
        low,
        high,
        bounds(comparison, (low, high), far, seeds),
        printed,
        min_detectable_difference(half, of_images, of_seeds, seeds),
        None
        if printed is None
        else needed(comparison, printed, of_seeds=of_seeds, of_images=of_images, images=images),
    )
