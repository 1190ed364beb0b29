"""Interactive figures of an audit, for a notebook."""

from typing import TYPE_CHECKING

from fairexit.auditing.results import TOO_FEW, AttributeAudit, AuditResults, Curve, Leaving
from fairexit.report.figures import COLOURS
from fairexit.report.vocabulary import label

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

RATES = {"tpr": "true positive rate", "fpr": "false positive rate"}


def plot_audit(audit: AuditResults) -> "dict[str, Figure]":
    """Every figure of an audit by name, such as "classes by sex"."""
    figures = {}
    for attribute in audit.attributes:
        figures[f"classes by {attribute.attribute}"] = plot_classes(attribute)
        if attribute.curve is not None:
            figures[f"theta by {attribute.attribute}"] = plot_theta(attribute.curve)
        if attribute.leaving is not None:
            figures[f"exits by {attribute.attribute}"] = plot_exits(attribute.leaving)
    return figures


def plot_classes(attribute: AttributeAudit) -> "Figure":
    """The gap of each class with its interval, beside what chance gives on average."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for colour, (rate, name) in zip(COLOURS, RATES.items(), strict=False):
        gaps = [c for c in attribute.classes if c.rate == rate and c.verdict != TOO_FEW]
        values = [c.estimate.value for c in gaps]
        figure.add_bar(
            x=[c.name for c in gaps],
            y=values,
            name=name,
            marker_color=colour,
            error_y={
                "array": [c.estimate.high - c.estimate.value for c in gaps],
                "arrayminus": [c.estimate.value - c.estimate.low for c in gaps],
            },
            hovertext=[f"{c.highest} above {c.lowest}: {c.verdict}" for c in gaps],
        )
        figure.add_scatter(
            x=[c.name for c in gaps],
            y=[c.null_mean for c in gaps],
            name=f"chance, {name}",
            mode="markers",
            marker={"symbol": "line-ew-open", "size": 18, "color": colour},
        )
    title = f"Gaps by {attribute.attribute}, class by class"
    figure.update_layout(title=title, template="plotly_white", yaxis_title="gap")
    return figure


def plot_theta(curve: Curve) -> "Figure":
    """Metrics and cost over theta, the theta in use marked."""
    import plotly.graph_objects as go

    figure = go.Figure()
    series = {label(key): values for key, values in curve.metrics.items()}
    if len(curve.cost):
        series["cost"] = curve.cost
    for colour, (name, values) in zip(COLOURS, series.items(), strict=False):
        figure.add_scatter(x=curve.thetas, y=values, name=name, line={"color": colour})
    if curve.used == curve.used:
        figure.add_vline(x=curve.used, line_dash="dot", annotation_text=f"theta {curve.used:g}")
    figure.update_layout(title="Metrics over theta", template="plotly_white", xaxis_title="theta")
    return figure


def plot_exits(leaving: Leaving) -> "Figure":
    """Which share of each group leaves where."""
    import plotly.graph_objects as go

    figure = go.Figure()
    groups = list(dict.fromkeys(row.group for row in leaving.rows))
    for i, group in enumerate(groups):
        rows = [row for row in leaving.rows if row.group == group]
        names = ["final" if row.exit == "f" else f"exit {row.exit}" for row in rows]
        shares = [row.share.value for row in rows]
        figure.add_bar(x=names, y=shares, name=group, marker_color=COLOURS[i % len(COLOURS)])
    figure.update_layout(title="Where each group leaves", template="plotly_white")
    figure.update_yaxes(tickformat=".0%")
    return figure
