"""Prediction sets and referral as a table and a sentence."""

from collections.abc import Sequence

from fairexit.evaluation.referral import Referral
from fairexit.evaluation.sets import PredictionSets
from fairexit.report.vocabulary import percent
from fairexit.tables import Table


def referral_table(referrals: Sequence[Referral]) -> Table:
    """Prediction sets and referral by group and exit."""
    columns = [
        "Group", "Exit", "Images", "Set holds the truth", "Classes in a set", "Referred",
        "Errors of all", "Errors of those kept",
    ]  # fmt: skip
    rows = [
        [
            row.group or "all",
            {"": "all", "f": "final"}.get(row.exit, row.exit),
            f"{row.images:,}",
            percent(row.covered),
            f"{row.size:.2f}",
            percent(row.referred),
            percent(row.error),
            percent(row.kept_error),
        ]
        for row in referrals
    ]
    return Table("Prediction sets, and what is referred", columns, rows, 2)


def sets_text(sets: PredictionSets) -> str:
    """What the sets hold, and from which numbers, as a sentence."""
    groups = ", ".join(
        f"{g.name} {'none' if g.cut is None else f'{1 - g.cut:.4f}'} ({g.clusters:,} clusters)"
        for g in sets.groups
    )
    return (
        f"A set holds each class whose probability is at least {max(0.0, 1 - sets.cut):.4f}, so "
        f"that it holds the true one with probability {percent(sets.coverage)} in every group of "
        f"{sets.attribute}. Each group alone would need: {groups}. Who has not exactly one class "
        "in the set is referred."
    )
