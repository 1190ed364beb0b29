"""The front of a choice as a CSV file and as a picture."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fairexit.csv_files import write_csv
from fairexit.evaluation.front import thinned
from fairexit.evaluation.goal import COST, quantity_label
from fairexit.evaluation.operating_points import NO_EXIT
from fairexit.evaluation.selection import Selection
from fairexit.report.choice_text import shown_front
from fairexit.report.figures import COLOURS, save_figure
from fairexit.report.vocabulary import capital

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_DOTS = 3_000
"""Other candidates that the picture shows behind the front; of more, as many, evenly spaced."""


def write_front(selection: Selection, folder: Path) -> list[Path]:
    """Write `front.csv`, `front.png` and `front.svg`.

    Args:
        selection: the choice.
        folder: folder of the files, which is made if it is absent.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "front.csv"
    write_csv(table, front_frame(selection))
    return [table, *save_figure(front_figure(selection), folder / "front")]


def front_frame(selection: Selection) -> pd.DataFrame:
    """A row for each point of the front, the best objective first.

    A point without intervals has empty ends; the cost never has any.
    """
    goal, points = selection.goal, selection.points
    order = np.argsort(-goal.better(goal.objective, points.values)[selection.front], kind="stable")
    rows = []
    for k in selection.front[order].tolist():
        model = selection.data.models[points.model[k]]
        by_theta = points.exit[k] == NO_EXIT
        row = {
            "run": model.name,
            "exit": "" if by_theta else model.exit_names[points.exit[k]],
            "threshold": points.theta[k],
        }
        for name in goal.quantities:
            ends = selection.value(name, k)
            row |= {name: ends.point}
            row |= {} if name == COST else {f"{name}_low": ends.low, f"{name}_high": ends.high}
        ties = selection.ties
        row |= {
            "allowed": selection.allowed[k],
            "not_told_apart": ties is not None and ties.tied[k],
            "chosen": k == selection.chosen,
        }
        rows.append(row)
    return pd.DataFrame(rows)


def front_figure(selection: Selection) -> "Figure":
    """The objective over the first constrained quantity, coloured by cost, with intervals."""
    from matplotlib.figure import Figure

    goal = selection.goal
    y = goal.objective
    x = next(name for name in goal.quantities if name != y)
    figure = Figure(figsize=(7.5, 5), layout="constrained")
    axes = figure.subplots()
    values, shown = selection.points.values, shown_front(selection)
    rest = np.setdiff1d(np.flatnonzero(selection.points.usable), selection.front)
    rest = thinned(rest, MOST_DOTS)
    axes.plot(values[x][rest], values[y][rest], ".", color="0.8", ms=3, label="other candidates")
    for k in shown:
        across, up = selection.value(x, k), selection.value(y, k)
        axes.hlines(up.point, across.low, across.high, color="0.6", lw=0.7, zorder=2)
        axes.vlines(across.point, up.low, up.high, color="0.6", lw=0.7, zorder=2)
    front = selection.front
    dots = axes.scatter(
        values[x][front],
        values[y][front],
        c=100 * values[COST][front],
        s=36,
        cmap="viridis",
        edgecolors="white",
        linewidths=0.5,
        zorder=3,
        label="the front, with 95 % intervals",
    )
    figure.colorbar(dots, label="mean cost, % of the full network's multiply-adds")
    _mark(axes, selection, x, y)
    axes.set_xlabel(f"{capital(quantity_label(x))} on validation")
    axes.set_ylabel(f"{capital(quantity_label(y))} on validation")
    axes.set_title(f"{capital(str(goal))}, by {selection.data.group}", fontsize=10)
    figure.legend(fontsize=8, loc="outside lower center", ncols=2, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _mark(axes: "Axes", selection: Selection, x: str, y: str) -> None:
    """Mark the chosen point, or the one that misses by the least, and the constraints' bounds."""
    values, word, k = selection.points.values, "chosen", selection.chosen
    if k is None:
        word, k = "not allowed, but nearest", selection.nearest
    if k is not None:
        axes.plot(
            values[x][k],
            values[y][k],
            "o",
            ms=14,
            mfc="none",
            mec=COLOURS[1],
            mew=2,
            zorder=4,
            label=f"{word}: {selection.name(k)}",
        )
    for constraint, bound in zip(selection.goal.constraints, selection.bounds, strict=True):
        line = {x: axes.axvline, y: axes.axhline}.get(constraint.name)
        if line is not None:
            line(bound, color=COLOURS[1], lw=1, ls="--", label=str(constraint))
