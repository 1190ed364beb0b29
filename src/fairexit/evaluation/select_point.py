"""Choice among the operating points of several runs, on validation only."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError
from fairexit.evaluation.choose import GRID
from fairexit.evaluation.comparable import Comparable
from fairexit.evaluation.front import front_of, spread_out
from fairexit.evaluation.goal import COST, Goal, quantity_label
from fairexit.evaluation.operating_points import OperatingPoints, answers_of, measure_points
from fairexit.evaluation.rules import ROUNDING
from fairexit.evaluation.selection import Selection, misses_of
from fairexit.evaluation.theta import Fallback
from fairexit.evaluation.ties import find_ties
from fairexit.metrics.collapse import COLLAPSED
from fairexit.metrics.rates import Empty, Values
from fairexit.stats.paired import Pairs, draw_pairs
from fairexit.stats.resampling import named_measures
from fairexit.stats.sample import Sample

Ints = NDArray[np.int64]

N_RESAMPLES = 1_000
"""Draws behind the intervals that are shown."""
SAME_COST = 0.01
"""Costs that differ by no more are equal, because less is worth nothing."""
MOST_SHOWN = 20
"""Points of the front that get an interval; with more, as many, spread out."""


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
    collapsed to one class. The best one has the best objective. Those allowed candidates that
    cannot be told apart from it hold the truly best one with probability 95 %, see
    `fairexit.evaluation.ties.find_ties`. Of these, on the front, the cheapest is chosen; costs
    within a hundredth of the full network are equal, and then the objective decides. Draws have a
    fixed seed.

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
    usable = _usable(goal, points, data.group)
    bounds = tuple(c.bound(points.values[c.name], usable) for c in goal.constraints)
    misses = misses_of(goal, points, bounds)
    allowed = usable & (np.array(misses).reshape(-1, len(points)) == 0).all(0)
    values = np.stack([goal.better(n, points.values) for n in goal.quantities], 1)
    front = front_of(values, usable)
    best = chosen = nearest = ties = None
    if allowed.any():
        best = _best(goal.objective, goal, points, front[allowed[front]])
        ties = find_ties(data, goal, points, allowed, best=best, fallback=fallback, empty=empty)
        chosen = _cheapest(goal, points, front[ties.tied[front]])
    else:
        nearest = _nearest(np.max(misses, 0), usable)
    unmet = [i for i, missed in enumerate(misses) if not (missed[usable] == 0).any()]
    closest = {i: _nearest(misses[i], usable) for i in unmet}
    reference = _best(goal.accuracy, goal, points, front)
    named = [k for k in (chosen, best, reference, nearest, *closest.values()) if k is not None]
    spread = front[spread_out(values[front], MOST_SHOWN)].tolist()
    shown = list(dict.fromkeys([*named, *spread]))
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
        closest=closest,
        ties=ties,
        fallback=fallback,
        drawn=_draw(data, answers_of(data, points, shown, fallback), names, empty),
        shown={k: i for i, k in enumerate(shown)},
    )


def _nearest(missed: Values, usable: NDArray[np.bool_]) -> int:
    """The usable candidate that misses by the least."""
    return int(np.where(usable, missed, np.inf).argmin())


def _usable(goal: Goal, points: OperatingPoints, group: str) -> NDArray[np.bool_]:
    """The candidates that have not collapsed and of which every quantity is defined, (K,)."""
    if not points.usable.any():
        raise UserError(
            f"every candidate has collapsed: one class has {100 * COLLAPSED:g} % or more of the "
            "answers; train the runs longer, or with other settings"
        )
    usable = points.usable.copy()
    for name in goal.quantities:
        usable &= ~np.isnan(points.values[name])
        if not usable.any():
            raise UserError(
                f"{quantity_label(name)} of attribute '{group}' is not defined on validation, "
                "because a class or a group has no samples there"
            )
    return usable


def _best(name: str, goal: Goal, points: OperatingPoints, among: Ints) -> int:
    """The candidate with the best value of a quantity; of equals the cheapest."""
    values = goal.better(name, points.values)[among]
    top = among[values >= np.nanmax(values) - ROUNDING]
    return int(top[points.values[COST][top].argmin()])


def _cheapest(goal: Goal, points: OperatingPoints, among: Ints) -> int:
    """The cheapest candidate; of those that cost the same the one with the best objective."""
    cost = points.values[COST][among]
    return _best(goal.objective, goal, points, among[cost <= cost.min() + SAME_COST])


def _draw(data: Comparable, answers: Ints, names: Sequence[str], empty: Empty) -> Pairs:
    """Draws of the metrics of some candidates, by their answers (n, N)."""
    sample = Sample(
        labels=data.labels,
        answers=answers,
        groups=data.groups,
        clusters=data.clusters,
        num_classes=data.num_classes,
        num_groups=data.num_groups,
    )
    return draw_pairs(
        sample,
        metrics=named_measures(names, empty),
        n_resamples=N_RESAMPLES,
        n_gap_resamples=N_RESAMPLES,
    )
