"""Entanglement by depth as a table and as a figure (the paper's Fig. S1)."""

from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fairexit.evaluation.entanglement import MEAN, Entanglement
from fairexit.report.figures import COLOURS
from fairexit.tables import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def settings_text(entanglement: Entanglement) -> str:
    """The settings that the numbers depend on, in one line."""
    s = entanglement.settings
    return f"{s['split']} split; {s['features']}; {s['scale']}; {s['unit']}"


def entanglement_table(entanglement: Entanglement) -> Table:
    """SNNL by position with its change in nats, one row for each label and temperature."""
    rows = []
    names = [name for name in entanglement.rows["position"].unique() if name != MEAN]
    for (of, temperature), part in entanglement.rows.groupby(["of", "temperature"], sort=False):
        at = part.set_index("position")
        cells = [f"{at['snnl'][names[0]]:.4f}"]
        cells += [f"{at['snnl'][n]:.4f} ({at['change'][n]:+.4f})" for n in names[1:]]
        mean = at.loc[MEAN]
        cells.append(
            f"{mean['change']:+.4f} [{mean['change_low']:+.4f}, {mean['change_high']:+.4f}]"
        )
        cells += [f"{mean['independent_change']:+.4f}", f"{mean['independent']:.4f}"]
        rows.append([str(of), f"{temperature:g}", f"{mean['entropy']:.4f}", *cells])
    columns = ["SNNL of", "T", "Entropy", *map(_position, names), "Change per position"]
    columns += ["Change if independent", "SNNL if independent"]
    settings = f"{settings_text(entanglement)}; 95 % over {entanglement.interval}"
    title = f"{entanglement.name}: entanglement in nats ({settings})"
    return Table(title, columns, rows, 2)


def entanglement_figure(entanglement: Entanglement) -> "Figure":
    """SNNL over depth with 95 % bands, one panel per label and one line per temperature.

    Dashed lines show what independence of features and label would give.
    """
    from matplotlib.figure import Figure

    labels = list(entanglement.rows["of"].unique())
    figure = Figure(figsize=(4.8 * len(labels), 4.4), layout="constrained")
    panels = figure.subplots(1, len(labels), squeeze=False)[0]
    for panel, of in zip(panels, labels, strict=True):
        part = entanglement.rows[
            (entanglement.rows["of"] == of) & (entanglement.rows["position"] != MEAN)
        ]
        _panel(panel, part)
        panel.set_title(f"SNNL of {of}", fontsize=10)
    panels[0].set_ylabel("nats (lower: less entangled)")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    below = f"{settings_text(entanglement)}; bands 95 % over {entanglement.interval}"
    figure.suptitle(f"{entanglement.name}\n{below}", fontsize=8.5)
    return figure


def _panel(panel: "Axes", part: pd.DataFrame) -> None:
    names = list(part["position"].unique())
    x = np.arange(len(names))
    for colour, marker, (temperature, line) in zip(
        cycle(COLOURS), cycle("osD^v"), part.groupby("temperature", sort=False), strict=False
    ):
        panel.fill_between(x, line["snnl_low"], line["snnl_high"], color=colour, alpha=0.2, lw=0)
        panel.plot(
            x, line["snnl"], color=colour, marker=marker, markersize=4, label=f"T = {temperature:g}"
        )
        panel.plot(x, line["independent"], color=colour, ls="--", lw=1)
    panel.plot([], color="grey", ls="--", lw=1, label="same T, labels permuted: independence")
    entropy = part["entropy"].iloc[0]
    panel.axhline(entropy, color="grey", ls=":", lw=1, label="entropy of the label")
    panel.set_xticks(x, [_position(name) for name in names])
    panel.spines[["top", "right"]].set_visible(False)


def _position(name: str) -> str:
    return "final" if name == "f" else f"stage {name}"
