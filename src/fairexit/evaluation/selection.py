"""Choice among the operating points of several runs, on validation only."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError
from fairexit.evaluation.choose import GRID
from fairexit.evaluation.comparable import Comparable
from fairexit.evaluation.front import front_of, thinned
from fairexit.evaluation.goal import COST, Goal, quantity_label
from fairexit.evaluation.operating_points import (
    NO_EXIT,
    OperatingPoints,
    answers_of,
    measure_points,
)
from fairexit.evaluation.rules import ROUNDING
from fairexit.evaluation.theta import Fallback
from fairexit.evaluation.ties import Ties, find_ties
from fairexit.metrics.rates import Empty, Values
from fairexit.stats.paired import Pairs, draw_pairs
from fairexit.stats.resampling import named_measures
from fairexit.stats.sample import Sample

Ints = NDArray[np.int64]

N_RESAMPLES = 1_000
"""Draws behind the intervals that are shown."""
SAME_COST = 0.01
"""Costs are compared in steps of this size, because less is worth nothing."""
MOST_SHOWN = 20
"""Points of the front that get an interval; with more, as many, evenly spaced."""


class Ends(NamedTuple):
    """A value and the ends of its 95 % interval."""

    point: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Selection:
    """The outcome of a choice; its indices are those of the operating points.

    Attributes:
        goal: what was asked for.
        data: the runs and their answers.
        points: all candidates.
        bounds: the bound of each constraint as a number.
        allowed: whether a candidate is usable and meets every constraint, (K,).
        front: the usable candidates that no other one surpasses, in the quantities of the goal.
        reference: the usable candidate with the best accuracy.
        best: the allowed candidate with the best objective, None if none is allowed.
        chosen: the candidate that is chosen, None if none is allowed.
        nearest: if none is allowed, the candidate that misses the constraints by the least.
        ties: what cannot be told apart from the best one.
        fallback: the exit that answers if no exit reaches theta.
        drawn: draws of the candidates that are shown.
        shown: index -> the position of a shown candidate in those draws.
    """

    goal: Goal
    data: Comparable
    points: OperatingPoints
    bounds: tuple[float, ...]
    allowed: NDArray[np.bool_]
    front: Ints
    reference: int
    best: int | None
    chosen: int | None
    nearest: int | None
    ties: Ties | None
    fallback: Fallback
    drawn: Pairs = field(repr=False)
    shown: dict[int, int] = field(repr=False)

    def __repr__(self) -> str:
        result = "no candidate meets it" if self.chosen is None else self.name(self.chosen)
        return f"Selection({self.goal}, {len(self.points)} candidates: {result})"

    def name(self, k: int) -> str:
        """A candidate within a sentence."""
        model = self.data.models[self.points.model[k]]
        exit = int(self.points.exit[k])
        if model.num_exits == 1:
            return model.name
        if exit == NO_EXIT:
            return f"{model.name} at threshold {self.points.theta[k]:g}"
        return f"{model.name} at " + (
            "the final exit" if exit == model.num_exits - 1 else f"exit {model.exit_names[exit]}"
        )

    def value(self, name: str, k: int) -> Ends:
        """A quantity of a shown candidate with its interval; the cost has none."""
        point = float(self.points.values[name][k])
        if name == COST or k not in self.shown:
            return Ends(point, np.nan, np.nan)
        draws = self.drawn.gaps if name in self.drawn.gaps.point else self.drawn.scores
        interval, at = draws.interval(name), self.shown[k]
        return Ends(point, float(interval.low[at]), float(interval.high[at]))

    def difference(self, name: str, k: int, other: int) -> Ends:
        """A quantity of a shown candidate minus that of another, on the same samples."""
        change = float(self.points.values[name][k] - self.points.values[name][other])
        if name == COST or k == other:
            return Ends(change, np.nan, np.nan)
        terms = [(1.0, [self.shown[k]]), (-1.0, [self.shown[other]])]
        interval = self.drawn.contrast(name, terms).interval()
        return Ends(change, float(interval.low), float(interval.high))

    def misses(self, k: int) -> Values:
        """By how much a candidate misses each constraint; 0 where it meets it."""
        return np.array([missed[k] for missed in _misses(self.goal, self.points, self.bounds)])


def select_point(
    data: Comparable,
    goal: Goal,
    *,
    grid: Sequence[float] = GRID,
    fallback: Fallback = "final",
    empty: Empty = "exclude",
) -> Selection:
    """Choose one operating point among those of several runs.

    Allowed are the candidates that meet every constraint by their values on validation and have not
    collapsed to one class. The best one has the best objective. An allowed candidate cannot be told
    apart from it if the 95 % interval of the difference, in draws of clusters that are the same for
    both, holds 0. Of these, on the front, the cheapest is chosen; costs that agree to a hundredth
    of the full network are equal, and then the objective decides. Draws have a fixed seed.

    Args:
        data: validation answers of the runs.
        goal: the constraints and the objective.
        grid: the thresholds that are tried.
        fallback: as for `fairexit.evaluation.thresholds.select`.
        empty: value of a rate without samples, see `fairexit.metrics.rates`.
    Raises:
        UserError: a threshold is out of range, a quantity is undefined on validation, or every
            candidate has collapsed.
    """
    names = [name for name in goal.quantities if name != COST]
    points = measure_points(data, grid, names, fallback=fallback, empty=empty)
    _check_defined(goal, points, data.group)
    usable = points.usable
    bounds = tuple(c.bound(points.values[c.name], usable) for c in goal.constraints)
    misses = _misses(goal, points, bounds)
    allowed = usable & ~np.isnan(points.values[goal.objective])
    for missed in misses:
        allowed &= missed == 0
    front = front_of(np.stack([goal.better(n, points.values) for n in goal.quantities], 1), usable)
    best = chosen = nearest = ties = None
    if allowed.any():
        best = _best(goal.objective, goal, points, front[allowed[front]])
        ties = find_ties(data, goal, points, allowed, best, fallback=fallback, empty=empty)
        chosen = _cheapest(goal, points, front[ties.tied[front]])
    else:
        # Constraints that are not defined count as missed by the most.
        worst = np.nan_to_num(np.stack(misses), nan=np.inf).max(0)
        nearest = int(np.where(usable, worst, np.inf).argmin())
    reference = _best(goal.accuracy, goal, points, front)
    ordered = front[np.argsort(points.values[goal.objective][front], kind="stable")]
    named = [k for k in (chosen, best, reference, nearest) if k is not None]
    shown = list(dict.fromkeys([*named, *thinned(ordered, MOST_SHOWN).tolist()]))
    drawn = draw_pairs(
        _sample(data, answers_of(data, points, shown, fallback)),
        metrics=named_measures(names, empty),
        n_resamples=N_RESAMPLES,
        n_gap_resamples=N_RESAMPLES,
    )
    return Selection(
        goal=goal,
        data=data,
        points=points,
        bounds=bounds,
        allowed=allowed,
        front=front,
        reference=reference,
        best=best,
        chosen=chosen,
        nearest=nearest,
        ties=ties,
        fallback=fallback,
        drawn=drawn,
        shown={k: i for i, k in enumerate(shown)},
    )


def _misses(goal: Goal, points: OperatingPoints, bounds: Sequence[float]) -> list[Values]:
    pairs = zip(goal.constraints, bounds, strict=True)
    return [constraint.misses(points.values[constraint.name], bound) for constraint, bound in pairs]


def _check_defined(goal: Goal, points: OperatingPoints, group: str) -> None:
    if not points.usable.any():
        raise UserError(
            "every candidate has collapsed: one class has 99 % or more of the answers; train the "
            "runs longer, or with other settings"
        )
    for name in goal.quantities:
        if np.isnan(points.values[name][points.usable]).all():
            raise UserError(
                f"{quantity_label(name)} of attribute '{group}' is not defined on validation, "
                "because a class or a group has no samples there"
            )


def _best(name: str, goal: Goal, points: OperatingPoints, among: Ints) -> int:
    """The candidate with the best value of a quantity; of equals the cheapest."""
    values = goal.better(name, points.values)[among]
    top = among[values >= np.nanmax(values) - ROUNDING]
    return int(top[points.values[COST][top].argmin()])


def _cheapest(goal: Goal, points: OperatingPoints, among: Ints) -> int:
    """The cheapest candidate; of those that cost the same the one with the best objective."""
    steps = np.round(points.values[COST][among] / SAME_COST)
    return _best(goal.objective, goal, points, among[steps == steps.min()])


def _sample(data: Comparable, answers: Ints) -> Sample:
    return Sample(
        labels=data.labels,
        answers=answers,
        groups=data.groups,
        clusters=data.clusters,
        num_classes=data.num_classes,
        num_groups=data.num_groups,
    )
