"""Figures 2a, 2b and S1 of the paper as PNG and SVG; equal numbers give identical files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fairexit.evaluation.entanglement import mean_over_runs
from fairexit.evaluation.theta import exit_name
from fairexit.metrics.record import METRICS, main_gaps, main_metrics
from fairexit.report.entanglement import entanglement_figure
from fairexit.report.figures import COLOURS, save_figure
from fairexit.report.vocabulary import metric_name, percent
from fairexit.stats.resampling import named_measures
from fairexit.study.collect import POLICY, Pooled
from fairexit.study.comparisons import FINAL, Side
from fairexit.study.depth import measured
from fairexit.study.drawn import Drawn, draw_sides
from fairexit.study.figure_rows import THETAS, cells_of, figure_rows, figure_sides, measure_of
from fairexit.study.figure_text import caption

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TICKS = (0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 0.9999)
"""Thetas that the axis of Figure 2a names."""
GAP_TO_FINAL = 0.6
"""Distance between the last theta and the final exit on that axis."""


class Line(NamedTuple):
    """A metric at K points: its value and the ends of its interval, each (K,)."""

    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def write_figures(
    pooled: Sequence[Pooled],
    *,
    folder: Path,
    title: str,
    rows: Sequence[str] = (),
) -> list[Path]:
    """Write the figures of one dataset, as far as their rows were run.

    Args:
        pooled: the cells of the dataset.
        folder: folder of the files.
        title: name of the dataset.
        rows: rows of Figures 2a and 2b; by default the first that the paper shows.
    Returns:
        The files.
    """
    figures, shown = {}, figure_rows(pooled, rows)
    if shown:
        # Draws of their own, so that the verdicts do not depend on the rows that are shown.
        drawn = draw_sides(pooled, figure_sides(pooled, rows), named_measures(main_metrics()))
    for row in shown:
        cells = cells_of(pooled, row)
        figures[f"figure2a-{row}"] = theta_figure(cells, drawn, title)
        figures[f"figure2b-{row}"] = exit_figure(cells, drawn, title)
    for row in dict.fromkeys(cell.row for cell in pooled):
        if entangled := measured(cells_of(pooled, row)):
            figures[f"figureS1-{row}"] = entanglement_figure(mean_over_runs(entangled))
    return [file for name, figure in figures.items() for file in save_figure(figure, folder / name)]


def theta_figure(cells: Sequence[Pooled], drawn: Drawn, title: str) -> "Figure":
    """Accuracy and fairness over theta, and of the final exit (Fig. 2a), with intervals.

    Args:
        cells: the seeds of one row.
        drawn: draws of the sides of the figure, see `figure_sides`.
        title: name of the dataset.
    """
    row = cells[0].row
    figure, panels = _panels(f"{title}: {row} over theta", caption(cells, over_theta=True))
    x = _position(THETAS)
    final = x[-1] + GAP_TO_FINAL
    for panel, names in zip(panels, _panel_metrics(), strict=True):
        for colour, key in zip(COLOURS, names, strict=False):
            line = _line(drawn, key, [Side(row, theta) for theta in THETAS])
            panel.plot(x, line.value, color=colour, label=metric_name(key))
            panel.fill_between(x, line.low, line.high, color=colour, alpha=0.18, lw=0)
            for edge in (line.low, line.high):  # which band is which where they overlap
                panel.plot(x, edge, color=colour, alpha=0.6, lw=0.6)
            end = _line(drawn, key, [Side(row, FINAL)])
            panel.vlines(final, end.low, end.high, color=colour, alpha=0.5)
            panel.plot([final], end.value, "o", color=colour, markersize=4)
        _mark_policies(panel, cells)
        shown = [tick for tick in TICKS if THETAS[0] <= tick <= THETAS[-1]]
        labels = [*(f"{tick:g}" for tick in shown), "final\nexit"]
        panel.set_xticks([*_position(shown), final], labels)
        panel.set_xlabel(f"threshold theta{measure_of(cells)}, logarithmic in 1 - theta")
        _finish(panel)
    return figure


def exit_figure(cells: Sequence[Pooled], drawn: Drawn, title: str) -> "Figure":
    """Each exit alone, and the policy (Fig. 2b), with intervals; arguments as for 2a."""
    row, names = cells[0].row, cells[0].exit_names
    figure, panels = _panels(f"{title}: {row} by exit", caption(cells, over_theta=False))
    sides = [Side(row, FINAL if name == names[-1] else name) for name in names]
    sides.append(Side(row, POLICY))
    labels = [
        f"{exit_name(name).replace(' exit', '')}\n{percent(share)}"
        for name, share in zip(names, _shares(cells), strict=True)
    ]
    positions = np.arange(len(sides))
    for panel, keys in zip(panels, _panel_metrics(), strict=True):
        for i, key in enumerate(keys):
            line = _line(drawn, key, sides)
            x = positions + 0.14 * (i - (len(keys) - 1) / 2)
            panel.vlines(x, line.low, line.high, color=COLOURS[i], alpha=0.5, lw=2)
            panel.plot(x, line.value, "o", color=COLOURS[i], label=metric_name(key), markersize=5)
        panel.axvline(len(names) - 0.5, color="0.8", lw=0.8)
        panel.set_xticks(positions, [*labels, "policy"])
        panel.set_xlabel("exit, and the share of images that leave there under the policy")
        _finish(panel)
    return figure


def _line(drawn: Drawn, metric: str, sides: Sequence[Side]) -> Line:
    """A metric of some sides, mean over seeds, with 95 % intervals over images and seeds.

    The interval of a gap ends at 0: what seeds add to it would reach beyond.
    """
    intervals = [drawn.contrast(metric, {side: 1.0}).interval() for side in sides]
    columns = zip(*((i.point, i.low, i.high) for i in intervals), strict=True)
    value, low, high = (np.array(column, float) for column in columns)
    return Line(value, low.clip(0) if METRICS[metric].compares_groups else low, high)


def _position(thetas: ArrayLike) -> NDArray[np.float64]:
    """Where thetas lie on the axis: equal distances from 0.9 to 0.99 and from 0.99 to 0.999."""
    return -np.log10(1 - np.asarray(thetas, float))


def _mark_policies(panel: "Axes", cells: Sequence[Pooled]) -> None:
    """A mark at the lower edge for each theta of the runs' policies, its area by their number."""
    policies = [policy for cell in cells for policy in cell.policies]
    thetas = [p.theta for p in policies if isinstance(p.theta, float)]
    values, runs = np.unique(np.clip(thetas, THETAS[0], THETAS[-1]), return_counts=True)
    panel.scatter(
        _position(values),
        np.zeros(len(values)),
        s=100 * runs / len(policies),
        c="black",
        marker="^",
        transform=panel.get_xaxis_transform(),
        clip_on=False,
        zorder=3,
    )


def _shares(cells: Sequence[Pooled]) -> NDArray[np.float64]:
    """Share of the images that leave at each exit under the policy, mean over seeds, (E,)."""
    exits = np.concatenate([cell.exits(POLICY) for cell in cells])
    return np.bincount(exits, minlength=len(cells[0].exit_names)) / len(exits)


def _panel_metrics() -> list[list[str]]:
    """The main metrics of accuracy, the main gaps, and the main gaps weighted by images."""
    gaps = main_gaps()
    weighted = [name for name in gaps if METRICS[name].weighted_form_of]
    parts = [
        [name for name in main_metrics() if name not in gaps],
        [name for name in gaps if name not in weighted],
        weighted,
    ]
    return [names for names in parts if names]


def _panels(title: str, text: str) -> tuple["Figure", Sequence["Axes"]]:
    from matplotlib.figure import Figure

    number = len(_panel_metrics())
    figure = Figure(figsize=(4.3 * number, 4.6), layout="constrained")
    figure.suptitle(title, fontsize=11)
    figure.supxlabel(text, fontsize=8, x=0.01, ha="left")
    return figure, np.atleast_1d(figure.subplots(1, number)).tolist()


def _finish(panel: "Axes") -> None:
    panel.tick_params(labelsize=8)
    panel.xaxis.label.set_fontsize(8)
    # Above the axes, where it covers no data.
    panel.legend(fontsize=8, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    panel.spines[["top", "right"]].set_visible(False)
