"""The policy of a chosen operating point, with the reason for it."""

from fairexit.evaluation.comparable import Comparable
from fairexit.evaluation.goal import Constraint, higher_is_better, quantity_label
from fairexit.evaluation.operating_points import NO_EXIT
from fairexit.evaluation.policy import CHOSEN_POINT, Policy
from fairexit.evaluation.selection import Selection
from fairexit.predictions.confidence import MAX_PROBABILITY


def chosen_policy(selection: Selection, confidence_measure: str = MAX_PROBABILITY) -> Policy:
    """The policy that the chosen run gets.

    Args:
        selection: a choice that found an allowed candidate.
        confidence_measure: what was compared with theta.
    """
    points, chosen = selection.points, selection.chosen
    if chosen is None:
        raise ValueError("no candidate is allowed")
    data: Comparable = selection.data
    model = data.models[points.model[chosen]]
    by_theta = points.exit[chosen] == NO_EXIT
    # The largest probability of every sample reaches the theta of a single exit.
    return Policy(
        points.policy_theta(chosen, model.num_exits),
        selection.fallback if by_theta else "final",
        CHOSEN_POINT,
        split="val",
        group=data.group,
        reason=reason(selection),
        confidence_measure=confidence_measure if by_theta else MAX_PROBABILITY,
        temperatures=model.temperatures,
        compared=tuple(each.name for each in data.models),
    )


def reason(selection: Selection) -> str:
    """Why the point was chosen, as a clause."""
    goal, points, ties = selection.goal, selection.points, selection.ties
    assert ties is not None
    assert selection.best is not None
    assert selection.chosen is not None
    runs = len(selection.data.models)
    of_runs = "1 run" if runs == 1 else f"{runs:,} runs"
    value = points.values[goal.objective][selection.best]
    superlative = f"the {best_word(goal.objective)} {quantity_label(goal.objective)}, {value:.4f}"
    cost = points.values["cost"][selection.chosen]
    pairs = zip(goal.constraints, selection.bounds, strict=True)
    conditions = " and ".join(constraint_text(*pair) for pair in pairs)
    met = f"{selection.num_allowed:,} of {len(points):,} candidates of {of_runs} " + (
        f"meet {conditions}" if conditions else "are usable"
    )
    best, chosen = selection.name(selection.best), selection.name(selection.chosen)
    if ties.number == 1:
        return f"{met}; {chosen} has {superlative}, and every other one is shown to be worse"
    others = f"{ties.number - 1:,} other{'s' * (ties.number > 2)} cannot be told apart"
    subject = "it" if best == chosen else chosen
    return (
        f"{met}; {best} has {superlative}; {others} from it, and {subject} is the cheapest of "
        f"these on the front, at {cost:.4f} of the full network's multiply-adds"
    )


def best_word(name: str) -> str:
    """How the best value of a quantity is called."""
    return "highest" if higher_is_better(name) else "lowest"


def constraint_text(constraint: Constraint, bound: float) -> str:
    """A constraint, with its bound where it depends on the best value."""
    return f"{constraint} (that is {bound:.4f})" if constraint.relative else str(constraint)
