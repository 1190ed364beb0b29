"""What a choice among operating points asks for: constraints, and one quantity that is to be best.

A quantity is a metric of the counts by its name, or `cost`: the mean multiply-adds of an image as a
share of those of the largest full network that is compared.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError, nearest, option, short
from fairexit.evaluation.rules import DEFAULT_GAP, ROUNDING
from fairexit.metrics.rates import Values
from fairexit.metrics.record import METRICS

COST = "cost"
ACCURACY = "f1"
"""The measure of accuracy where the goal names none."""

_NUMBER = r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
_FORM = re.compile(rf"\s*(\w+)\s*(>=|<=)\s*(?:best\s*([+-])\s*{_NUMBER}|{_NUMBER})\s*")
FORMS = "'f1 >= 0.7', 'f1 >= best - 0.01', 'eodd <= 0.1' or 'eodd <= best + 0.02'"


def higher_is_better(name: str) -> bool:
    """Whether a larger value of a quantity is better."""
    return name != COST and METRICS[name].higher_is_better


def compares_groups(name: str) -> bool:
    """Whether a quantity is a gap between groups."""
    return name != COST and METRICS[name].compares_groups


def quantity_label(name: str) -> str:
    """The name of a quantity in text."""
    return COST if name == COST else METRICS[name].label


@dataclass(frozen=True)
class Constraint:
    """A bound on a quantity.

    Attributes:
        name: the quantity.
        number: the bound, or how far it lies from the best value.
        relative: whether the bound is relative to the best value of all candidates.
    """

    name: str
    number: float
    relative: bool = False

    def __str__(self) -> str:
        higher = higher_is_better(self.name)
        best = ("best - " if higher else "best + ") if self.relative else ""
        return f"{self.name} {'>=' if higher else '<='} {best}{self.number:g}"

    def bound(self, values: Values, usable: NDArray[np.bool_]) -> float:
        """The bound as a number.

        Args:
            values: the quantity at each of K candidates, (K,).
            usable: the candidates among which the best is, (K,).
        """
        if not self.relative:
            return self.number
        known = values[usable & ~np.isnan(values)]
        higher = higher_is_better(self.name)
        return float(known.max() - self.number if higher else known.min() + self.number)

    def misses(self, values: Values, bound: float) -> Values:
        """By how much each candidate misses the bound, (K,): 0 if it does not, NaN if undefined."""
        missed = bound - values if higher_is_better(self.name) else values - bound
        return np.where(missed <= ROUNDING, 0.0, missed)


@dataclass(frozen=True)
class Goal:
    """What is asked of an operating point.

    Attributes:
        objective: the quantity that is to be best.
        constraints: what every allowed candidate meets.
    """

    objective: str
    constraints: tuple[Constraint, ...] = ()

    def __str__(self) -> str:
        verb = "maximize" if higher_is_better(self.objective) else "minimize"
        conditions = " and ".join(map(str, self.constraints))
        return f"{verb} {self.objective}" + (f" with {conditions}" if conditions else "")

    @property
    def quantities(self) -> tuple[str, ...]:
        """The axes of the front: what the goal names, and at least accuracy, fairness and cost."""
        named = [self.objective, *(c.name for c in self.constraints), self.accuracy]
        gap = [] if any(map(compares_groups, named)) else [DEFAULT_GAP]
        return tuple(dict.fromkeys([*(n for n in [*named, *gap] if n != COST), COST]))

    @property
    def accuracy(self) -> str:
        """The measure of accuracy that the goal names first, else F1."""
        named = [*(c.name for c in self.constraints), self.objective]
        return next((n for n in named if n != COST and not compares_groups(n)), ACCURACY)

    @property
    def sign(self) -> int:
        """1 where more of the objective is better, else -1."""
        return 1 if higher_is_better(self.objective) else -1

    def better(self, name: str, values: Mapping[str, Values]) -> Values:
        """A quantity with its sign changed where a smaller value is better, (K,)."""
        return values[name] if higher_is_better(name) else -values[name]


def parse_goal(
    constraints: Sequence[str] = (),
    *,
    minimize: str | None = None,
    maximize: str | None = None,
    cost: float | None = None,
) -> Goal:
    """The goal from its parts as text.

    Args:
        constraints: such as "f1 >= best - 0.01".
        minimize: a quantity of which less is better, such as "eodd"; or
        maximize: one of which more is better, such as "f1".
        cost: the largest mean cost, a share of the full network's multiply-adds.
    Raises:
        UserError: a text has another form, a metric is unknown, a direction makes its quantity
            worse, or there is not exactly one objective.
    """
    if (minimize is None) == (maximize is None):
        raise UserError(
            f"give either {option('minimize')}, such as eodd, or {option('maximize')}, such as f1"
        )
    objective = minimize or maximize or ""
    parameter = "maximize" if minimize is None else "minimize"
    _check_known(objective, f"{option(parameter)} is '{short(objective)}'")
    if higher_is_better(objective) != (parameter == "maximize"):
        other = "minimize" if parameter == "maximize" else "maximize"
        better = "lower" if parameter == "maximize" else "higher"
        raise UserError(
            f"{option(parameter)} is '{objective}', but a {better} {objective} is better; use "
            f"{option(other)}"
        )
    parsed = [parse_constraint(text) for text in constraints]
    if cost is not None:
        if not 0 < cost <= 1:
            raise UserError(
                f"{option('cost')} is {cost:g}; it is a share of the full network's multiply-adds "
                "and must be above 0 and at most 1"
            )
        parsed.append(Constraint(COST, cost))
    return Goal(objective, tuple(parsed))


def parse_constraint(text: str) -> Constraint:
    """A constraint such as "f1 >= best - 0.01"; errors as for `parse_goal`."""
    match = _FORM.fullmatch(text)
    where = f"{option('constraints')} is '{short(text)}'"
    if match is None:
        raise UserError(f"{where}; write it as {FORMS}")
    name, sign, of_best, distance, number = match.groups()
    _check_known(name, where)
    higher = higher_is_better(name)
    if (sign == ">=") != higher:
        better, right = ("higher", ">=") if higher else ("lower", "<=")
        raise UserError(f"{where}, but a {better} {name} is better; write {name} {right} NUMBER")
    if of_best is None:
        return Constraint(name, float(number))
    if (of_best == "-") != higher or float(distance) < 0:
        right = "best -" if higher else "best +"
        raise UserError(f"{where}, which nothing can meet; write '{name} {sign} {right} NUMBER'")
    return Constraint(name, float(distance), relative=True)


def _check_known(name: str, what: str) -> None:
    if name != COST and name not in METRICS:
        raise UserError(
            f"{what}, but there is no metric '{short(name)}'; {nearest(name, [*METRICS, COST])}"
        )
