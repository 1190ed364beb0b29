"""Figures 2a, 2b and S1 of the paper as PNG and SVG; equal numbers give identical files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fairexit.evaluation.entanglement import mean_over_runs
from fairexit.evaluation.thresholds import sweep
from fairexit.metrics.counts import Margins
from fairexit.metrics.record import compute, main_gaps, main_metrics
from fairexit.report.entanglement import entanglement_figure
from fairexit.report.figures import COLOURS, save_figure
from fairexit.report.vocabulary import metric_name
from fairexit.study.collect import POLICY, Pooled
from fairexit.study.depth import measured
from fairexit.study.paper import common_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = ("ME-FairPrune", "ME-ERM")
"""Rows for Figures 2a and 2b; the first that was run is shown."""
BARS = 0.76
"""Width of all bars of an exit, as a share of the distance between ticks."""
STEPS = 60
"""Number of thresholds in Figure 2a."""


def write_figures(pooled: Sequence[Pooled], folder: Path, title: str) -> list[Path]:
    """Write the figures of one dataset, as far as their rows were run.

    Args:
        pooled: the cells of the dataset.
        folder: folder of the files.
        title: begins the title of each figure.
    Returns:
        The files.
    """
    names = {common_name(cell.row) for cell in pooled}
    shown = next((name for name in SHOWN if name in names), None)
    seeds = [cell for cell in pooled if common_name(cell.row) == shown]
    figures = {}
    if seeds and len(seeds[0].exit_names) > 1:
        figures["figure2a"] = theta_figure(seeds, title)
        figures["figure2b"] = exit_figure(seeds, title)
    for row in dict.fromkeys(cell.row for cell in pooled):
        if entangled := measured([cell for cell in pooled if cell.row == row]):
            figures[f"figureS1-{row}"] = entanglement_figure(mean_over_runs(entangled))
    return [file for name, figure in figures.items() for file in save_figure(figure, folder / name)]


def theta_figure(seeds: Sequence[Pooled], title: str) -> "Figure":
    """Accuracy and fairness over theta (Fig. 2a): mean over seeds, ± one standard deviation."""
    thetas = np.linspace(1 / len(seeds[0].classes), 1, STEPS)
    lines = []
    for cell in seeds:
        folds = [
            sweep(p, cell.group, thetas.tolist(), fallback=policy.fallback)[0]
            for p, policy in zip(cell.predictions, cell.policies, strict=True)
        ]
        lines.append(compute(Margins(*(sum(parts) for parts in zip(*folds, strict=True)))))
    figure, panels = _panels(f"{title}: {seeds[0].row} over theta")
    for panel, names in zip(panels, _panel_metrics(), strict=True):
        for colour, key in zip(COLOURS, names, strict=False):
            values = np.stack([line[key] for line in lines])
            mean, sd = values.mean(0), _deviation(values)
            panel.plot(thetas, mean, color=colour, label=metric_name(key))
            panel.fill_between(thetas, mean - sd, mean + sd, color=colour, alpha=0.2, lw=0)
        _finish(panel, "theta")
    return figure


def exit_figure(seeds: Sequence[Pooled], title: str) -> "Figure":
    """Each exit alone, and the policy (Fig. 2b): mean over seeds, ± one standard deviation."""
    options = [*seeds[0].exit_names, POLICY]
    rows = [seeds[0].options[name] for name in options]
    figure, panels = _panels(f"{title}: {seeds[0].row} by exit")
    positions = np.arange(len(options))
    for panel, names in zip(panels, _panel_metrics(), strict=True):
        step = BARS / len(names)
        for i, key in enumerate(names):
            values = np.stack([cell.values[key][rows] for cell in seeds])
            left, error = positions + step * (i - (len(names) - 1) / 2), _deviation(values)
            panel.bar(
                left,
                values.mean(0),
                0.95 * step,
                yerr=error,
                color=COLOURS[i],
                label=metric_name(key),
            )
        panel.set_xticks(positions, [n if n == POLICY else f"CLF {n}" for n in options])
        _finish(panel, "")
    return figure


def _panel_metrics() -> tuple[list[str], list[str]]:
    """The main metrics of accuracy, and the main gaps."""
    names = main_metrics()
    return [n for n in names if n not in main_gaps()], main_gaps()


def _deviation(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviation over seeds (the first axis), as in the tables; 0 with a single seed."""
    return values.std(0, ddof=1) if len(values) > 1 else np.zeros_like(values[0])


def _panels(title: str) -> tuple["Figure", Sequence["Axes"]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 3.8), layout="constrained")
    figure.suptitle(title, fontsize=11)
    return figure, figure.subplots(1, len(_panel_metrics()))


def _finish(panel: "Axes", label: str) -> None:
    panel.set_xlabel(label)
    # Above the axes, where it covers no data.
    panel.legend(fontsize=8, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    panel.spines[["top", "right"]].set_visible(False)
