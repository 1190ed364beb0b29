"""Comparisons of rows of a study, and claims that are made of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from fairexit.study.collect import POLICY

FIRST, FINAL = "first exit", "final exit"
RELATIONS = {(1, False): ">", (-1, False): "<", (1, True): "not below", (-1, True): "not above"}


class Side(NamedTuple):
    """One side of a comparison: a row of the study, and how its exits answer.

    Attributes:
        row: its name in the study.
        exit_rule: "policy", "first exit", "final exit", an exit's name, or theta.
    """

    row: str
    exit_rule: str | float = POLICY

    def __str__(self) -> str:
        if self.exit_rule == POLICY:
            return self.row
        if isinstance(self.exit_rule, float):
            return f"{self.row} at theta {self.exit_rule:g}"
        named = self.exit_rule if self.exit_rule in (FIRST, FINAL) else f"exit {self.exit_rule}"
        return f"{self.row} at {named}"


Pair = tuple[Side, Side | None]


@dataclass(frozen=True)
class Comparison:
    """The claim that a - b is above -margin (sign +1) or below margin (sign -1).

    a and b are means over pairs of sides.

    Attributes:
        metric: name of the compared metric.
        pairs: the sides of each pair; the second is None where the metric is itself a difference.
        sign: +1 or -1.
        margin: the loss that is still allowed.
        least: the number of pairs that must have been run.
    """

    metric: str
    pairs: tuple[Pair, ...]
    sign: int
    margin: float = 0.0
    least: int = 1

    def __str__(self) -> str:
        return f"{self.metric}: {self.relation}"

    @property
    def relation(self) -> str:
        """What is claimed of a and b, such as "HSIC < ERM"."""
        relation = RELATIONS[self.sign, self.margin > 0]
        within = f" (margin {self.margin:g})" if self.margin else ""
        first, second = (_mean_of([pair[i] for pair in self.pairs]) for i in (0, 1))
        return f"{first} {relation} {second}{within}"

    @property
    def sides(self) -> list[Side]:
        return list(dict.fromkeys(side for pair in self.pairs for side in pair if side))

    @property
    def rows(self) -> list[str]:
        return list(dict.fromkeys(side.row for side in self.sides))

    @property
    def weights(self) -> dict[Side, float]:
        """Side -> its weight in a - b."""
        weights: dict[Side, float] = {}
        for pair in self.pairs:
            for side, sign in zip(pair, (1, -1), strict=True):
                if side is not None:
                    weights[side] = weights.get(side, 0.0) + sign / len(self.pairs)
        return weights

    def among(self, usable: Callable[[Sequence[Side]], bool]) -> "Comparison | None":
        """The comparison over the pairs that are usable; None if these are too few."""
        pairs = tuple(p for p in self.pairs if usable([side for side in p if side]))
        return replace(self, pairs=pairs) if len(pairs) >= self.least else None


def _mean_of(sides: Sequence[Side | None]) -> str:
    names = [str(side) for side in dict.fromkeys(sides) if side]
    if not names:
        return "0"
    return names[0] if len(names) == 1 else f"mean of {', '.join(names)}"


@dataclass(frozen=True)
class Claim:
    """One of the seven claims.

    Attributes:
        number, text: as in the table of verdicts.
        comparisons: the secondary comparisons.
        primary: the primary comparison, in each of its forms; none for the sixth claim.
        condition: what must be true besides; None for nothing.
    """

    number: int
    text: str
    comparisons: tuple[Comparison, ...]
    primary: tuple[Comparison, ...] = ()
    condition: Comparison | None = None

    def __iter__(self) -> Iterator[Comparison]:
        """Every comparison of the claim."""
        yield from self.primary
        if self.condition:
            yield self.condition
        yield from self.comparisons
