"""The rule for the word on a claim; docs/studies.md describes it."""

import math
from collections.abc import Sequence
from typing import Literal

Verdict = Literal["holds", "not decided", "contradicted", "not run"]
Direction = Literal["for", "against", "open"]
"""Where an interval lies: wholly on the claimed side, wholly on the other, or on both."""


def direction_of(low: float, high: float, *, sign: int, margin: float = 0.0) -> Direction:
    """Where the interval of a - b lies, given that a - b is claimed to exceed the margin.

    >>> direction_of(-0.01, 0.03, sign=1, margin=0.02)
    'for'

    Args:
        low, high: ends of the interval of a - b.
        sign: +1 if a - b is claimed to be above -margin, -1 if below margin.
        margin: not negative.
    """
    if math.isnan(low) or math.isnan(high):
        return "open"
    least, most = sorted((sign * low + margin, sign * high + margin))
    if least > 0:
        return "for"
    return "against" if most < 0 else "open"


def word_of(primary: Sequence[Direction | None], condition: Direction | None = None) -> Verdict:
    """The word on a claim with a primary comparison.

    Args:
        primary: where the interval of each of its forms lies; None for one that was not run.
        condition: where the interval of the condition lies; None for a claim without one.

    >>> word_of(["open", "for"], "for"), word_of(["for", "against"])
    ('holds', 'not decided')
    """
    if not primary or None in primary:
        return "not run"
    is_for, is_against = "for" in primary, "against" in primary
    if condition == "against" or (is_against and not is_for):
        return "contradicted"
    if is_for and not is_against and condition in (None, "for"):
        return "holds"
    return "not decided"


def word_of_all(usual: Sequence[Direction | None], strict: Sequence[Direction | None]) -> Verdict:
    """The word on a claim that holds if all of its n comparisons do.

    Args:
        usual: where the 95 % interval of each comparison lies; None for one that was not run.
        strict: the same at level 1 - 0.05 / n, at which a single one contradicts.
    """
    if all(direction is None for direction in usual):
        return "not run"
    if "against" in strict:
        return "contradicted"
    return "holds" if all(direction == "for" for direction in usual) else "not decided"
