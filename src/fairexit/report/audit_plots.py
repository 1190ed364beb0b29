"""Matplotlib figures of an audit for a notebook or a document."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.gap_results import TOO_FEW
from fairexit.auditing.results import AttributeAudit, AuditResults
from fairexit.auditing.section_results import Curve, ExitUsage
from fairexit.report.figures import COLOURS
from fairexit.report.vocabulary import label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RATES = ("tpr", "fpr")
BARS = 0.8
"""Width of all bars of a class or an exit, as a share of the distance between ticks."""


def plot_audit(audit: AuditResults) -> "dict[str, Figure]":
    """Every figure of an audit by name, such as "classes by sex"."""
    figures = {}
    for attribute in audit.attributes:
        figures[f"classes by {attribute.attribute}"] = plot_classes(attribute)
        if attribute.curve is not None:
            figures[f"threshold by {attribute.attribute}"] = plot_thresholds(attribute.curve)
        if attribute.exit_usage is not None:
            figures[f"exits by {attribute.attribute}"] = plot_exits(attribute.exit_usage)
    return figures


def plot_classes(attribute: AttributeAudit) -> "Figure":
    """The gap of each class with its 95 % interval; a line marks the mean under chance alone.

    A class with too few samples to be compared is marked as such.
    """
    figure, axes = _figure(f"Gaps by {attribute.attribute}, class by class")
    names = list(dict.fromkeys(gap.name for gap in attribute.classes))
    for i, rate in enumerate(RATES):
        gaps = [g for g in attribute.classes if g.rate == rate and g.verdict != TOO_FEW]
        estimates = [g.estimate for g in gaps]
        width = BARS / len(RATES)
        x = _bar_positions([names.index(g.name) for g in gaps], i, len(RATES))
        axes.bar(x, [e.value for e in estimates], width, color=COLOURS[i], label=label(rate))
        # Lines from low to high, because a corrected interval need not contain the value.
        low, high = [e.low for e in estimates], [e.high for e in estimates]
        axes.vlines(x, low, high, color="black", lw=1)
        axes.hlines(
            [g.null_mean for g in gaps], x - width / 2, x + width / 2,
            color="black", ls=":", label="" if i else "mean under chance",
        )  # fmt: skip
    compared = {gap.name for gap in attribute.classes if gap.verdict != TOO_FEW}
    labels = [name if name in compared else f"{name}\n({TOO_FEW})" for name in names]
    axes.set_xticks(range(len(names)), labels)
    axes.set_ylabel("gap between groups")
    _finish(axes)
    return figure


def plot_thresholds(curve: Curve) -> "Figure":
    """Metrics and cost over the threshold; a line marks the threshold in use."""
    figure, axes = _figure("Metrics over the threshold")
    series = {label(key): values for key, values in curve.metrics.items()}
    if len(curve.cost):
        series["cost"] = curve.cost
    for i, (name, values) in enumerate(series.items()):
        axes.plot(curve.thetas, values, color=_colour(i), label=name)
    if not np.isnan(curve.used):
        axes.axvline(curve.used, color="grey", ls=":", label=f"threshold in use, {curve.used:g}")
    axes.set_xlabel("threshold")
    _finish(axes)
    return figure


def plot_exits(usage: ExitUsage) -> "Figure":
    """The share of each group that leaves at each exit, with 95 % intervals."""
    figure, axes = _figure("Exits by group")
    groups = list(dict.fromkeys(row.group for row in usage.rows))
    exits = list(dict.fromkeys(row.exit for row in usage.rows))
    for i, group in enumerate(groups):
        rows = [row for row in usage.rows if row.group == group]
        x = _bar_positions([exits.index(row.exit) for row in rows], i, len(groups))
        shares = [row.share.value for row in rows]
        axes.bar(x, shares, BARS / len(groups), color=_colour(i), label=group)
        low, high = [row.share.low for row in rows], [row.share.high for row in rows]
        axes.vlines(x, low, high, color="black", lw=1)
    axes.set_xticks(range(len(exits)), ["final" if e == "f" else f"exit {e}" for e in exits])
    axes.set_ylabel("share of the group")
    axes.yaxis.set_major_formatter("{x:.0%}")
    _finish(axes)
    return figure


def _colour(i: int) -> str:
    return COLOURS[i % len(COLOURS)]


def _bar_positions(ticks: Sequence[int], i: int, bars: int) -> NDArray[np.float64]:
    """Position of the i-th of several adjacent bars at each tick."""
    return np.asarray(ticks, float) + BARS * ((i + 0.5) / bars - 0.5)


def _figure(title: str) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    figure.suptitle(title, fontsize=11)
    return figure, figure.subplots()


def _finish(axes: "Axes") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    # Above the axes, where it hides nothing.
    axes.legend(fontsize=8, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
