"""The draws of all networks of a dataset's study, made once, from which it is compared."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from fairexit.metrics.counts import Margins
from fairexit.metrics.rates import Values, f1
from fairexit.metrics.record import main_metrics
from fairexit.stats.contrasts import Contrast
from fairexit.stats.paired import Pairs, draw_pairs
from fairexit.stats.resampling import Measure, named_measures
from fairexit.study.claims import GAP
from fairexit.study.collect import POLICY, Pooled
from fairexit.study.comparisons import FINAL, FIRST, Claim, Side
from fairexit.study.left_out import rows_left_out
from fairexit.study.paper import Printed

DRAWS = 2000
GAP_DRAWS = 400


@dataclass(frozen=True, eq=False)
class Drawn:
    """Metrics of all networks of a study in draws of the same test images.

    Attributes:
        pairs: the draws; a model is a side of a comparison with one seed.
        models: (side, seed) -> its model.
        left_out: a row that takes no part in any claim -> the reason.
        unchecked: rows whose F1 could not be compared, as ERM with the same exits was not run.
        images: number of test images.
    """

    pairs: Pairs
    models: dict[tuple[Side, int], int]
    left_out: dict[str, str]
    unchecked: list[str]
    images: int

    def seeds(self, sides: Iterable[Side]) -> list[int]:
        """The seeds that all sides have."""
        every = [{seed for other, seed in self.models if other == side} for side in sides]
        return sorted(set.intersection(*every))

    def usable(self, sides: Sequence[Side]) -> bool:
        """Whether all sides were run with a common seed, and none of their rows is left out."""
        return bool(self.seeds(sides)) and not self.left_out.keys() & {side.row for side in sides}

    def contrast(self, metric: str, weights: Mapping[Side, float]) -> Contrast:
        """A weighted sum of sides, mean over the seeds that all of them have.

        The variance over seeds is pooled over all rows of the study that are not left out.

        Args:
            metric: one of the metrics that were drawn.
            weights: side -> its weight.
        """
        seeds = self.seeds(weights)
        terms = [(w, [self.models[side, seed] for seed in seeds]) for side, w in weights.items()]
        return self.pairs.contrast(metric, terms, rows=self._rows())

    def mean(self, metric: str, sides: Sequence[Side], seeds: Sequence[int]) -> float:
        """Mean of a metric over sides and seeds; NaN without sides."""
        models = [self.models[side, seed] for side in sides for seed in seeds]
        return float(self.pairs.point(metric)[models].mean()) if models else float("nan")

    def _rows(self) -> list[list[int]]:
        """The models of each row under its policy."""
        rows: dict[str, list[int]] = {}
        for (side, _), model in self.models.items():
            if side.exit_rule == POLICY and side.row not in self.left_out:
                rows.setdefault(side.row, []).append(model)
        return list(rows.values())


def draw_study(
    pooled: Sequence[Pooled],
    claims: Sequence[Claim],
    paper: Printed | None,
    *,
    further_sides: Sequence[Side] = (),
    further_measures: Mapping[str, Measure] | None = None,
) -> Drawn:
    """Draw every row of a dataset's study, and every side of the claims, together.

    Args:
        pooled: the finished cells of the dataset.
        claims: give the sides and the metrics.
        paper: its groups, the privileged one first, are those of the seventh claim.
        further_sides: sides that no claim has.
        further_measures: name of a measure that no claim has -> its function.
    """
    comparisons = [comparison for claim in claims for comparison in claim]
    sides = [side for comparison in comparisons for side in comparison.sides] + [*further_sides]
    names = dict.fromkeys([*main_metrics(), *(comparison.metric for comparison in comparisons)])
    measures = named_measures([name for name in names if name != GAP], "exclude")
    if GAP in names and paper is not None:
        first, second = (pooled[0].group_names.index(group) for group in paper.groups)
        measures[GAP] = _gap(first, second)
    return draw_sides(pooled, sides, measures | dict(further_measures or {}), plant=True)


def draw_sides(
    pooled: Sequence[Pooled],
    sides: Sequence[Side],
    measures: Mapping[str, Measure],
    *,
    plant: bool = False,
) -> Drawn:
    """Draw some sides, and every row of the study under its policy, together.

    Draws depend on all that is drawn together.

    Args:
        pooled: the finished cells of the dataset.
        sides: rows, and how their exits answer.
        measures: name of a metric -> its function.
        plant: whether gaps are planted, so that contrasts of gaps know their power.
    """
    cells = {(cell.row, cell.seed): cell for cell in pooled}
    every = dict.fromkeys([*(Side(row) for row, _ in cells), *sides])
    answers: dict[tuple[str, int, str | float], NDArray[np.int64]] = {}
    models: dict[tuple[Side, int], int] = {}
    for side, ((row, seed), cell) in product(every, cells.items()):
        if row == side.row and _has(cell, side.exit_rule):
            # The final exit and the exit of its name are one model.
            key = (row, seed, _exit_rule(cell, side.exit_rule))
            answers.setdefault(key, cell.answers(key[2]))
            models[side, seed] = [*answers].index(key)
    sample = pooled[0].sample.with_answers(np.stack([*answers.values()]))
    pairs = draw_pairs(
        sample, metrics=measures, n_resamples=DRAWS, n_gap_resamples=GAP_DRAWS, plant=plant
    )
    left_out, unchecked = rows_left_out(pooled)
    return Drawn(pairs, models, left_out, unchecked, len(sample))


def exit_names(pooled: Sequence[Pooled]) -> tuple[str, ...]:
    """Names of the exits of the multi-exit networks, the final one last."""
    return next((cell.exit_names for cell in pooled if len(cell.exit_names) > 1), ("f",))


def _has(cell: Pooled, rule: str | float) -> bool:
    """Whether the network can answer so: a single exit answers under its policy only."""
    if rule == POLICY or len(cell.exit_names) == 1:
        return rule == POLICY
    return not isinstance(rule, str) or rule in (FIRST, FINAL, *cell.exit_names)


def _exit_rule(cell: Pooled, rule: str | float) -> str | float:
    """The rule with the name of the exit in place of "first exit" and "final exit"."""
    return {FIRST: cell.exit_names[0], FINAL: cell.exit_names[-1]}.get(str(rule), rule)


def _gap(first: int, second: int) -> Measure:
    def gap(margins: Margins) -> Values:
        by_group = f1(margins)
        return by_group[..., first] - by_group[..., second]

    return gap
