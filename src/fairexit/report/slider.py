"""Data for the slider of a page: accuracy, fairness, exit shares and cost at each threshold."""

import json
import math
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from fairexit.auditing.results import plain
from fairexit.auditing.section_results import Curve
from fairexit.evaluation.theta import exit_name
from fairexit.metrics.record import METRICS, main_metrics
from fairexit.report import vocabulary


def plots() -> dict[str, tuple[str, dict[str, int]]]:
    """The plots over the threshold: name -> heading and, for each metric, number of its colour."""
    names = main_metrics()
    compared = [name for name in names if METRICS[name].compares_groups]
    return {
        "accuracy": (
            "Accuracy",
            {n: i for i, n in enumerate(n for n in names if n not in compared)},
        ),
        "gaps": ("Gaps between the groups", {name: i for i, name in enumerate(compared)}),
    }


def slider_data(curve: Curve) -> dict[str, Any]:
    """Data for the slider: the thresholds, the one in use, and each series with its values.

    Returns:
        `thetas` as texts; `at`, the initial position; `used`, the position of the threshold in use
        (None if there is none), and `in_use`, the same as text; `series` in the order of the plots;
        `json`, all of these in a form that is safe inside HTML.
    """
    known = math.isfinite(curve.used)
    used = int(np.abs(curve.thetas - curve.used).argmin()) if known else None
    series = [
        _series(key, vocabulary.metric_name(key), plot, curve.metrics[key], announced=True)
        for plot, (_, keys) in plots().items()
        for key in keys
        if key in curve.metrics
    ]
    for number, (exit, values) in enumerate(curve.shares.items()):
        name = vocabulary.capital(exit_name(exit))
        series.append(_series(f"exit{number}", name, "exits", values, share=True))
    if len(curve.cost):
        series.append(_series("cost", "Mean cost", "cost", curve.cost, share=True, announced=True))
    data = {"thetas": [f"{t:.5g}" for t in curve.thetas], "used": used, "series": series}
    at = len(curve.thetas) // 2 if used is None else used
    text = json.dumps(data).replace("<", "\\u003c")
    return {**data, "at": at, "in_use": f"{curve.used:g}", "json": Markup(text)}


def _series(
    key: str,
    name: str,
    plot: str,
    values: NDArray[np.float64],
    *,
    share: bool = False,
    announced: bool = False,
) -> dict[str, Any]:
    """One series of the slider; `announced` if the text under the slider names its value."""
    numbers = plain(np.round(values, 5))
    return {
        "key": key,
        "name": name,
        "plot": plot,
        "values": numbers,
        "share": share,
        "announced": announced,
    }


SLIDER_HELPERS = {"slider_data": slider_data, "plots_of": plots}
"""Functions that the template `slider.html` uses."""
