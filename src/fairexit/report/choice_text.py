"""A choice among the operating points of several runs, as a table and as sentences."""

import math
from collections.abc import Iterator

import numpy as np

from fairexit.auditing.gap_results import Estimate
from fairexit.evaluation.chosen_policy import best_word, constraint_text
from fairexit.evaluation.goal import COST, Constraint, higher_is_better, quantity_label
from fairexit.evaluation.selection import Ends, Selection
from fairexit.metrics.collapse import COLLAPSED
from fairexit.report.vocabulary import (
    capital,
    decimal,
    interval_text,
    listed,
    percent,
    signed_interval,
    whole,
)
from fairexit.tables import Table


def front_table(selection: Selection) -> Table:
    """The points of the front that have intervals, the best objective first."""
    names, rows = selection.goal.quantities, shown_front(selection)
    columns = ["Candidate", "", *(f"{capital(quantity_label(n))} {_arrow(n)}" for n in names)]
    cells = [
        [selection.name(k), remark(selection, k), *(value_text(selection, n, k) for n in names)]
        for k in rows
    ]
    count = len(selection.front)
    part = f"{len(rows)} of the {whole(count)}" if len(rows) < count else f"the {count}"
    title = (
        f"The front on validation by {selection.data.group}: {part} candidates that no other "
        "surpasses, with 95 % intervals"
    )
    return Table(title, columns, cells, 2)


def shown_front(selection: Selection) -> list[int]:
    """The points of the front that have intervals, the best objective first."""
    values = selection.goal.better(selection.goal.objective, selection.points.values)
    return sorted(
        (k for k in selection.front.tolist() if k in selection.shown), key=lambda k: -values[k]
    )


def remark(selection: Selection, k: int) -> str:
    """What is to be said of a candidate in a table."""
    words = []
    if k == selection.chosen:
        words.append("chosen")
    elif selection.ties is not None and selection.ties.tied[k]:
        words.append("best" if k == selection.best else "not told apart from the best")
    if k == selection.reference:
        words.append(_superlative(selection.goal.accuracy))
    missed = selection.misses(k)
    pairs = zip(selection.goal.constraints, missed, strict=True)
    words += [f"misses {constraint}" for constraint, miss in pairs if miss]
    return ", ".join(words)


def value_text(selection: Selection, name: str, k: int) -> str:
    """A quantity of a candidate with its interval; a cost in percent."""
    ends = selection.value(name, k)
    return percent(ends.point) if name == COST else interval_text(Estimate(*ends))


def choice_sentences(selection: Selection) -> Iterator[str]:
    """What was compared, what was chosen, and how sure that is."""
    goal, data, points = selection.goal, selection.data, selection.points
    runs = [model.name for model in data.models]
    yield (
        f"Compared on validation alone ({whole(len(data.labels))} images of known {data.group}): "
        f"{whole(len(points))} candidates, the exits and thresholds of {listed(runs)}."
    )
    yield from _collapsed(selection)
    pairs = zip(goal.constraints, selection.bounds, strict=True)
    if conditions := " and ".join(constraint_text(*pair) for pair in pairs):
        best = ", where best is the best value of all candidates" if _relative(selection) else ""
        yield f"{whole(selection.num_allowed)} candidates meet {conditions}{best}."
    yield from _chosen(selection) if selection.chosen is not None else _not_met(selection)


def _relative(selection: Selection) -> bool:
    return any(constraint.relative for constraint in selection.goal.constraints)


def _collapsed(selection: Selection) -> Iterator[str]:
    points, marks = selection.points, []
    for m, model in enumerate(selection.data.models):
        own = points.usable[points.model == m]
        if not own.all():
            marks.append(f"{model.name} ({(~own).sum()} of its {len(own)} candidates)")
    if marks:
        yield (
            f"Collapsed, so never chosen, because one class has {100 * COLLAPSED:g} % or more of "
            f"the answers: {listed(marks)}."
        )


def _chosen(selection: Selection) -> Iterator[str]:
    goal, ties, best, chosen = selection.goal, selection.ties, selection.best, selection.chosen
    assert ties is not None
    assert best is not None
    assert chosen is not None
    label = quantity_label(goal.objective)
    number = selection.num_allowed
    luck = ""
    if decimal(ties.luck) != decimal(0):
        direction = "high" if higher_is_better(goal.objective) else "low"
        luck = (
            f" As the {best_word(goal.objective)} of {whole(number)} noisy values it is expected "
            f"to be about {decimal(ties.luck)} too {direction}."
        )
    yield (
        f"The {_superlative(goal.objective)} among them is that of {selection.name(best)}: "
        f"{value_text(selection, goal.objective, best)}.{luck}"
    )
    if ties.number > 1:
        yield (
            f"{whole(ties.number)} of {whole(number)} cannot be told apart from it (the truly best "
            "one is among them with a confidence of 95 %). Of those on the front the "
            "cheapest is chosen; costs within a percent of the full network are equal, and then "
            f"{label} decides."
        )
    elif number > 1:
        yield "Every other one is shown to be worse."
    values = ", ".join(_named_value(selection, n, chosen) for n in goal.quantities)
    yield f"Chosen: {selection.name(chosen)}, with {values}."
    yield from _gain(selection, chosen)
    yield from _close(selection, chosen)


def _gain(selection: Selection, chosen: int) -> Iterator[str]:
    """The gain against the most accurate candidate, and what it costs in accuracy."""
    goal, reference = selection.goal, selection.reference
    accuracy, label = quantity_label(goal.accuracy), quantity_label(goal.objective)
    most = f"the candidate with the {_superlative(goal.accuracy)}"
    if reference == chosen:
        yield f"It is also {most}."
        return
    gain = selection.difference(goal.objective, chosen, reference)
    texts = [f"{label} {_change_text(goal.objective, gain)}"]
    if goal.accuracy != goal.objective:
        loss = selection.difference(goal.accuracy, chosen, reference)
        texts.append(f"{accuracy} {_change_text(goal.accuracy, loss)}")
    yield (
        f"Against {most}, {selection.name(reference)}, it changes {' and '.join(texts)}: "
        f"{_verdict(goal.objective, gain)}."
    )


def _change_text(name: str, change: Ends) -> str:
    if name == COST:
        return f"by {100 * change.point:+.1f} points"
    return f"by {signed_interval(Estimate(*change))}"


def _verdict(name: str, gain: Ends) -> str:
    sign, label = (1 if higher_is_better(name) else -1), quantity_label(name)
    ends = (gain.point, gain.point) if math.isnan(gain.low) else (gain.low, gain.high)
    if min(sign * end for end in ends) > 0:
        return f"a gain in {label} is shown"
    if max(sign * end for end in ends) < 0:
        return f"a loss in {label} is shown"
    return f"a gain in {label} is not shown"


def _close(selection: Selection, k: int) -> Iterator[str]:
    """The constraints that a candidate meets by less than its values are known to."""
    pairs = zip(selection.goal.constraints, selection.bounds, strict=True)
    close = [
        str(constraint) for constraint, bound in pairs if _holds(selection, constraint, bound, k)
    ]
    if close:
        yield f"Met on validation, but not for certain on other images: {' and '.join(close)}."


def _holds(selection: Selection, constraint: Constraint, bound: float, k: int) -> bool:
    """Whether the interval of what a constraint bounds holds the bound."""
    ends = selection.value(constraint.name, k)
    if constraint.relative and constraint.name == selection.goal.accuracy:
        # Against the best on the same images, more is known.
        ends = selection.difference(constraint.name, k, selection.reference)
        bound = -constraint.number
    return bool(ends.low < bound < ends.high)


def _not_met(selection: Selection) -> Iterator[str]:
    """Which constraints cannot be met, and by how much the nearest candidates miss them."""
    constraints, nearest = selection.goal.constraints, selection.nearest
    assert nearest is not None
    for i, k in selection.closest.items():
        yield f"No candidate meets {constraints[i]}: the nearest, {_miss(selection, k, [i])}."
    if len(constraints) == 1:
        return
    if not selection.closest:
        yield "Each constraint is met by some candidate, but no candidate meets all of them."
    missed = np.flatnonzero(selection.misses(nearest)).tolist()
    yield f"The nearest to all of them, {_miss(selection, nearest, missed)}."


def _miss(selection: Selection, k: int, which: list[int]) -> str:
    misses, parts = selection.misses(k), []
    for i in which:
        name = selection.goal.constraints[i].name
        by = percent(misses[i]) if name == COST else decimal(misses[i])
        value = _named_value(selection, name, k)
        parts.append(f"misses {selection.goal.constraints[i]} by {by} ({value})")
    return f"{selection.name(k)}, {' and '.join(parts)}"


def _named_value(selection: Selection, name: str, k: int) -> str:
    return f"{quantity_label(name)} {value_text(selection, name, k)}"


def _superlative(name: str) -> str:
    return f"{best_word(name)} {quantity_label(name)}"


def _arrow(name: str) -> str:
    return "↑" if higher_is_better(name) else "↓"
