"""Which rows Figures 2a and 2b show, and what must be drawn for them."""

from collections.abc import Sequence

from fairexit.errors import UserError, nearest, option, short
from fairexit.predictions.confidence import MAX_PROBABILITY
from fairexit.study.collect import Pooled
from fairexit.study.comparisons import FINAL, Side
from fairexit.study.paper import common_name
from fairexit.study.plan import Study

SHOWN = ("ME-FairPrune", "ME-ERM")
"""Rows that are shown by default; the first that was run, else the first row with exits."""

STEPS = 4
"""Points of Figure 2a from one power of ten of 1 - theta to the next."""

THETAS = tuple(round(1 - 10 ** (-k / STEPS), 6) for k in range(1, 4 * STEPS + 1))
"""Thetas of Figure 2a, from 0.437659 to 0.9999 at equal distances on the scale of 1 - theta."""


def check_figure_rows(study: Study, rows: Sequence[str]) -> None:
    """Raise a UserError for a row that the study does not have, or that has a single exit."""
    for row in rows:
        runs = [run for run in study.runs if run.row == row]
        if not runs:
            raise UserError(
                f"{option('figure_row')} is '{short(row)}', which is not a row of the study; "
                f"{nearest(row, study.rows)}"
            )
        if all(run.config.model.exits == "none" for run in runs):
            raise UserError(
                f"{option('figure_row')} is '{short(row)}', which has a single exit, so that it "
                "has no figure over theta"
            )


def figure_rows(pooled: Sequence[Pooled], rows: Sequence[str] = ()) -> list[str]:
    """The rows with exits that are shown: those that are named, or one by default."""
    several = list(dict.fromkeys(cell.row for cell in pooled if len(cell.exit_names) > 1))
    if rows:
        return [row for row in several if row in rows]
    names = {common_name(row): row for row in reversed(several)}
    shown = [names[name] for name in SHOWN if name in names]
    return (shown or several)[:1]


def figure_sides(pooled: Sequence[Pooled], rows: Sequence[str] = ()) -> list[Side]:
    """What Figures 2a and 2b compare: each theta, each exit and the policy of their rows."""
    sides = []
    for row in figure_rows(pooled, rows):
        exits = cells_of(pooled, row)[0].exit_names
        rules: list[str | float] = [*THETAS, *exits[:-1], FINAL]
        sides += [Side(row), *(Side(row, rule) for rule in rules)]
    return sides


def cells_of(pooled: Sequence[Pooled], row: str) -> list[Pooled]:
    """The seeds of one row."""
    return [cell for cell in pooled if cell.row == row]


def measure_of(cells: Sequence[Pooled]) -> str:
    """The confidence measures of the policies, as a clause; "" for the largest probability."""
    names = sorted({p.confidence_measure for cell in cells for p in cell.policies})
    return "" if names == [MAX_PROBABILITY] else f" ({', '.join(names)})"
