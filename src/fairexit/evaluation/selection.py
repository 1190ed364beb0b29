"""The outcome of a choice among the operating points of several runs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fairexit.evaluation.comparable import Comparable
from fairexit.evaluation.goal import COST, Goal
from fairexit.evaluation.operating_points import NO_EXIT, OperatingPoints
from fairexit.evaluation.theta import Fallback
from fairexit.evaluation.ties import Ties
from fairexit.metrics.rates import Values
from fairexit.runs import Run
from fairexit.stats.paired import Pairs

Ints = NDArray[np.int64]


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
        closest: index of each constraint that no usable candidate meets -> the candidate that
            misses it by the least.
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
    closest: dict[int, int]
    ties: Ties | None
    fallback: Fallback
    drawn: Pairs = field(repr=False)
    shown: dict[int, int] = field(repr=False)

    def __repr__(self) -> str:
        result = "no candidate meets it" if self.chosen is None else self.name(self.chosen)
        return f"Selection({self.goal}, {len(self.points)} candidates: {result})"

    @property
    def num_allowed(self) -> int:
        return int(self.allowed.sum())

    @property
    def chosen_run(self) -> Run:
        """The run of the chosen candidate."""
        assert self.chosen is not None
        return self.data.models[self.points.model[self.chosen]].run

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
        return np.array([missed[k] for missed in misses_of(self.goal, self.points, self.bounds)])


def misses_of(goal: Goal, points: OperatingPoints, bounds: Sequence[float]) -> list[Values]:
    """By how much each candidate misses each constraint, see `Constraint.misses`."""
    pairs = zip(goal.constraints, bounds, strict=True)
    return [constraint.misses(points.values[constraint.name], bound) for constraint, bound in pairs]
