"""A monitor as one self-contained HTML page that loads no external resources."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fairexit.files import write_atomically
from fairexit.monitoring.results import QUIET, MonitorResults
from fairexit.report import audit_figures as figures
from fairexit.report.audit_page import LONG_TABLE, Footnotes, axis_of
from fairexit.report.cell_labels import label_cells
from fairexit.report.monitor_text import (
    METRICS_NOTE,
    TITLES,
    method_points,
    metric_tables,
    quantity_name,
    summary,
    table_points,
    verdict_text,
)
from fairexit.report.templating import render
from fairexit.report.vocabulary import mark, units_of

MAX_CURVES = 6
"""Quantities whose course is drawn in one figure."""


def write_monitor(results: MonitorResults, path: Path) -> None:
    """Write the page of a monitor."""
    write_atomically(path, render_monitor(results))


def render_monitor(results: MonitorResults) -> str:
    """The page as text; its size does not depend on the number of images."""
    helpers = {
        "Footnotes": Footnotes,
        "axis_of": axis_of,
        "long_table": LONG_TABLE,
        "isnan": math.isnan,
        "mark": mark,
        "quantity_name": quantity_name,
        "verdict_text": verdict_text,
        "quiet": QUIET,
    }
    facts = results.facts
    lead, *points = summary(results)
    page = render(
        "monitor.html",
        helpers,
        facts=facts,
        units=units_of(facts.cluster_name),
        lead=lead,
        points=points,
        questions=[
            (
                question,
                TITLES[question],
                [w for w in results.watched if w.quantity.question == question],
            )
            for question in facts.tests
        ],
        courses=list(courses(results)),
        metrics=metric_tables(results),
        metrics_note=METRICS_NOTE[0],
        tables=list(table_points(facts)),
        method=list(method_points(facts)),
    )
    return label_cells(page)


def courses(results: MonitorResults) -> Iterator[dict[str, Any]]:
    """For each question, the course of the quantities that gave the first alarms."""
    facts = results.facts
    if len(facts.looks) == 1:
        return
    for question in facts.tests:
        rows = [w for w in results.alarms if w.quantity.question == question][:MAX_CURVES]
        if rows:
            names = [quantity_name(w.quantity, facts) for w in rows]
            series = {
                name: np.array([look.value - w.base for look in w.looks])
                for name, w in zip(names, rows, strict=True)
            }
            yield {
                "title": f"{TITLES[question]}: difference from {facts.base} so far",
                "figure": figures.lines(series, {name: k for k, name in enumerate(series)}),
                "names": names,
                "ends": (facts.looks[0], facts.looks[-1]),
            }
