"""The record of a pruning: its description, and the path as tables and a figure."""

import csv
import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fairexit.files import replacing, write_atomically, write_json
from fairexit.metrics.record import METRICS, main_metrics
from fairexit.pruning.trace import Step
from fairexit.runs import Run
from fairexit.tables import Table, number

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
PANELS = 3
"""Panels beside each other in the figure of the path."""


def plain_steps(steps: list[Step]) -> list[dict[str, Any]]:
    """Steps as rows of plain values, for JSON and CSV."""
    rows = []
    for step in steps:
        row = asdict(step)
        measured = row.pop("measured")
        final = {f"final_{name}": value for name, value in measured["final"].items()}
        others = {key: measured[key] for key in ("theta", "main_answer_share")}
        rows.append(row | measured["policy"] | others | final)
    return rows


def write_record(run: Run, record: dict[str, Any]) -> None:
    """Write the path as CSV and SVG, and the whole record as pruning.json, which comes last."""
    rows = record["path"]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(run.path / "pruning.csv", stream.getvalue())
    with replacing(run.path / "pruning.svg") as file:
        draw_path(record, file)
    write_json(run.pruning, record)


def path_table(record: dict[str, Any]) -> Table:
    """The path: the edited share and the metrics on validation; the chosen step is marked."""
    rows, names = [], main_metrics()
    for i, row in enumerate(record["path"]):
        beta = "" if row["beta"] is None else f"{row['beta']:g}"
        theta = "-" if row["theta"] is None else f"{row['theta']:g}"
        keys = (*names, *(f"final_{name}" for name in names))
        numbers = [number(row[key], 4) for key in keys]
        mark = "*" if i == record["chosen"] else ""
        rows.append([f"{row['number']}{mark}", beta, f"{row['fraction']:.1%}", theta, *numbers])
    labels = [METRICS[name].label for name in names]
    columns = [
        "Step",
        "Beta",
        record["edited"].capitalize(),
        "Threshold",
        *labels,
        *(f"Final {label}" for label in labels),
    ]
    title = f"Path on validation; * marks the chosen step: {record['reason']}"
    return Table(title, columns, rows)


def blocks_table(record: dict[str, Any]) -> Table:
    """Units and edited units of each layer or stage, and of all together."""
    blocks, edited = record["blocks"], record["edited"].capitalize()
    total = {key: sum(block[key] for block in blocks) for key in ("units", "edited")}
    rows = []
    for block in [*blocks, {"name": "all"} | total]:
        size, number_edited = block["units"], block["edited"]
        share = f"{number_edited / size:.1%}"
        rows.append([block["name"], f"{size:,}", f"{number_edited:,}", share])
    units = "Stage" if blocks[0]["name"].startswith("stage ") else "Parameter"
    return Table(f"{edited} by {units.lower()}", [units, "Number", edited, "Share"], rows)


def notes(record: dict[str, Any]) -> list[str]:
    """Notes for a reader, one line each: the groups, the path's end, and limits of the method."""
    unprivileged, privileged = (" and ".join(record[k]) for k in ("unprivileged", "privileged"))
    lines = [f"{record['group']}: {privileged} privileged, {unprivileged} not"]
    if record["ended"]:
        lines.append(f"the path ended: {record['ended']}")
    if record["settings"]["beta"] is not None and not record["exact_hessian"]:
        lines.append("smooth layers: the Gauss-Newton diagonal only approximates the Hessian's")
    if record["left_out"] and record["settings"]["method"] != "scp":
        lines.append(f"not pruned, as their layers are of other kinds: {record['left_out']}")
    return lines


def draw_path(record: dict[str, Any], file: Path) -> None:
    """The main metrics over the edited share as an SVG, a line for each beta."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    start, chosen = record["path"][0], record["path"][record["chosen"]]
    trails: dict[int, list[dict[str, Any]]] = {}
    for row in record["path"][1:]:
        trails.setdefault(row["trail"], [start]).append(row)
    names = main_metrics()
    lines = -(-len(names) // PANELS)
    figure = Figure(figsize=(3 * PANELS, 3 * lines), layout="constrained")
    panels = figure.subplots(lines, PANELS, squeeze=False).ravel()
    for axes in panels[len(names) :]:
        axes.remove()
    for axes, key in zip(panels, names, strict=False):
        for trail, rows in trails.items():
            colour = COLOURS[trail % len(COLOURS)]
            shares, beta = [row["fraction"] for row in rows], rows[-1]["beta"]
            label = "" if beta is None else f"beta {beta:g}"
            axes.plot(shares, [row[key] for row in rows], "o-", color=colour, label=label)
        axes.plot(chosen["fraction"], chosen[key], "o", ms=12, mfc="none", mec="black")
        axes.set(xlabel=f"share of {record['edited']}", title=f"{METRICS[key].label} on validation")
    if len(trails) > 1:
        axes.legend()
    # Without a fixed salt and date, the same path would not give the same bytes.
    with mpl.rc_context({"svg.hashsalt": "fairexit"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
