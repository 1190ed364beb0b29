"""The verdict of a study on each claim: paired differences with intervals, and gaps by chance."""

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
    verdict_of,
)
from fairexit.study.collect import POLICY, Pooled
from fairexit.study.depth import entanglement_verdict
from fairexit.study.outcomes import ClaimOutcome, Outcome, bounds, clipped_ends, needed
from fairexit.study.paper import Printed, common_name

DRAWS = 2000
GAP_DRAWS = 400
CHANCE_DRAWS = 300


@dataclass(frozen=True)
class Chance:
    """A row's gap and its distribution under permuted groups; means over seeds.

    Attributes:
        row: the row.
        metric: name of the gap.
        value: the measured gap.
        null_mean, null_quantile: mean and 95 % quantile of the gap under permuted groups.
    """

    row: str
    metric: str
    value: float
    null_mean: float
    null_quantile: float


def judge(pooled: Sequence[Pooled], paper: Printed | None, dataset: str) -> list[ClaimOutcome]:
    """The verdict on each claim for one dataset, in the order of the claims.

    Args:
        pooled: the finished cells of the dataset.
        paper: its printed numbers.
        dataset: name of the prepared data.
    """
    cells = {(common_name(cell.row), cell.seed): cell for cell in pooled}
    exits = next((p.exit_names for p in pooled if len(p.exit_names) > 1), ("f",))
    all_claims = claims(paper, dataset, exits)
    metrics: dict[tuple[Side, Side | None], set[str]] = {}
    for comparison in (c for claim in all_claims for c in claim.comparisons):
        metrics.setdefault((comparison.a, comparison.b), set()).add(comparison.metric)
    drawn = {pair: _draw(cells, pair, sorted(names), paper) for pair, names in metrics.items()}
    results = []
    for claim in all_claims:
        outcomes: list[Outcome | None] = []
        for comparison in claim.comparisons:
            pairs = drawn[comparison.a, comparison.b]
            number, images = len(claim.comparisons), len(pooled[0].ids)
            outcomes.append(
                pairs and _outcome(comparison, *pairs, number=number, images=images, paper=paper)
            )
        verdict = verdict_of([outcome.bounds if outcome else None for outcome in outcomes])
        results.append(ClaimOutcome(claim, verdict, tuple(outcomes)))
    results.append(entanglement_verdict(pooled, paper))
    return sorted(results, key=lambda result: result.claim.number)


def chance(pooled: Sequence[Pooled]) -> list[Chance]:
    """The main gaps of each row, and what they are when groups are permuted."""
    gaps: dict[tuple[str, str], list[Values]] = {}
    for cell in pooled:
        sample = cell.sample.with_answers(cell.answers(POLICY)[None])
        null = permute(sample, metrics=main_gaps(), n_resamples=CHANCE_DRAWS)
        for gap in main_gaps():
            values = [null.point[gap], null.null_mean(gap), null.null_quantile(gap)]
            gaps.setdefault((cell.row, gap), []).append(np.ravel(values))
    return [Chance(row, gap, *np.mean(v, axis=0).tolist()) for (row, gap), v in gaps.items()]


def _draw(
    cells: dict[tuple[str, int], Pooled],
    pair: tuple[Side, Side | None],
    metrics: Sequence[str],
    paper: Printed | None,
) -> tuple[Pairs, int] | None:
    """Draw both sides of a comparison together.

    Returns:
        The draws, the seeds of a before those of b, and the number of seeds; None where a side was
        not run, or has a single exit but the comparison needs several.
    """
    sides = [side for side in pair if side is not None]
    rows = {side.row for side in sides}
    seeds = sorted({s for _, s in cells if all((row, s) in cells for row in rows)})
    if not seeds:
        return None
    chosen = [(cells[side.row, seed], side.exit_rule) for side in sides for seed in seeds]
    if any(rule != POLICY and len(cell.exit_names) == 1 for cell, rule in chosen):
        return None
    answers = np.stack([cell.answers(_exit_rule(cell, rule)) for cell, rule in chosen])
    names = chosen[0][0].group_names
    measures = named_measures([name for name in metrics if name != GAP], "exclude")
    if GAP in metrics and paper is not None:
        first, second = (names.index(group) for group in paper.groups)
        measures[GAP] = _gap(first, second)
    sample = chosen[0][0].sample.with_answers(answers)
    drawn = draw_pairs(sample, metrics=measures, n_resamples=DRAWS, n_gap_resamples=GAP_DRAWS)
    return drawn, len(seeds)


def _exit_rule(cell: Pooled, rule: str | float) -> str | float:
    """The rule with the name of the exit in place of "first exit" and "final exit"."""
    return {FIRST: cell.exit_names[0], FINAL: cell.exit_names[-1]}.get(str(rule), rule)


def _gap(first: int, second: int) -> Measure:
    def gap(margins: Margins) -> Values:
        by_group = f1(margins)
        return by_group[..., first] - by_group[..., second]

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
    """The outcome of a comparison.

    Args:
        comparison: what is claimed.
        drawn: the draws of both sides.
        seeds: number of seeds of each side.
        number: number of comparisons of the claim.
        images: number of test images.
        paper: the printed numbers.
    """
    metric, side_a = comparison.metric, range(seeds)
    side_b = None if comparison.b is None else range(seeds, 2 * seeds)

    def interval_at(level: float) -> Interval:
        if side_b is None:
            return drawn.scores.over_seeds(metric, side_a, None, level)
        return drawn.difference(metric, side_a, side_b, confidence_level=level)

    interval, strict = interval_at(LEVEL), interval_at(1 - (1 - LEVEL) / number)
    values, resampled = drawn.point(metric), drawn.draws(metric)
    differences, draws = values[:seeds], resampled[:, :seeds]
    if side_b is not None:
        differences, draws = differences - values[seeds:], draws - resampled[:, seeds:]
    seed_variance = float(differences.var(ddof=1)) if seeds > 1 else math.nan
    image_variance = float(np.nanvar(draws.mean(1)))
    half_width = float(interval.high - interval.low) / 2
    low, high = clipped_ends(interval)
    printed = printed_difference(paper, comparison)
    return Outcome(
        comparison,
        seeds,
        float(values[:seeds].mean()),
        math.nan if side_b is None else float(values[seeds:].mean()),
        float(interval.point),
        low,
        high,
        bounds(comparison, (low, high), clipped_ends(strict), seeds),
        printed,
        min_detectable_difference(half_width, image_variance, seed_variance, seeds),
        None
        if printed is None
        else needed(
            comparison,
            printed,
            seed_variance=seed_variance,
            image_variance=image_variance,
            images=images,
        ),
    )
