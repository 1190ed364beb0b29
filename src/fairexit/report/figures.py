"""Interactive figures for the page."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fairexit.evaluation.assess import Assessment
from fairexit.evaluation.metrics import compute
from fairexit.evaluation.thresholds import sweep

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# Okabe and Ito's palette: told apart by colour-blind readers too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
CURVES = {"f1": "F1", "accuracy": "Accuracy", "eopp1": "Eopp1", "eodd": "Eodd"}


def theta_curve(assessment: Assessment, steps: int = 200) -> "Figure":
    """Accuracy and fairness over theta, with the theta in use marked."""
    import plotly.graph_objects as go

    lowest = 1 / len(assessment.predictions.classes)
    thetas = np.linspace(lowest, 1, steps)
    fallback = assessment.evaluation.policy.fallback
    counts, _ = sweep(assessment.predictions, assessment.group, thetas.tolist(), fallback)
    values = compute(counts, tuple(CURVES))
    figure = go.Figure()
    for colour, (key, name) in zip(COLOURS, CURVES.items(), strict=False):
        figure.add_scatter(x=thetas, y=values[key], name=name, line={"color": colour, "width": 2})
    theta = assessment.evaluation.policy.theta
    if isinstance(theta, float):
        figure.add_vline(x=theta, line_dash="dot", annotation_text=f"theta {theta:g}")
    return _styled(figure, f"{assessment.name}: metrics over theta", "theta", "value")


def exit_shares(assessment: Assessment) -> "Figure":
    """Which share of each group left at which exit."""
    import plotly.graph_objects as go

    share = assessment.evaluation.exit_share
    figure = go.Figure()
    for colour, (group, exits) in zip(COLOURS, share.items(), strict=False):
        names = [f"exit {name}" if name != "f" else "final" for name in exits]
        figure.add_bar(x=names, y=list(exits.values()), name=group, marker_color=colour)
    figure.update_yaxes(tickformat=".0%")
    return _styled(figure, f"{assessment.name}: where each group leaves", "", "share of the group")


def _styled(figure: "Figure", title: str, x: str, y: str) -> "Figure":
    figure.update_layout(
        title=title,
        xaxis_title=x,
        yaxis_title=y,
        template="plotly_white",
        height=380,
        margin={"l": 60, "r": 20, "t": 50, "b": 50},
        legend={"orientation": "h", "y": -0.25},
    )
    return figure


def to_html(figures: Sequence["Figure"]) -> list[str]:
    """Figures as HTML fragments; the first one brings the library along."""
    return [
        str(figure.to_html(full_html=False, include_plotlyjs=(i == 0), config={"responsive": True}))
        for i, figure in enumerate(figures)
    ]
