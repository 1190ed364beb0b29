"""Each row of a study against a baseline row, by default plain training with the same exits."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from fairexit.metrics.record import main_metrics
from fairexit.report.vocabulary import metric_heading
from fairexit.runs import Run
from fairexit.study.collect import Pooled
from fairexit.study.comparisons import Side
from fairexit.study.drawn import Drawn
from fairexit.study.folder import read_log
from fairexit.study.outcomes import clipped_ends
from fairexit.study.paper_tables import inactive, marked
from fairexit.tables import Table, number
from fairexit.training.log import kept_epoch


def against_others(
    pooled: Sequence[Pooled], named: Mapping[str, str], drawn: Drawn
) -> pd.DataFrame:
    """Paired differences of every row from its baseline, and how well the attribute is read.

    The baseline is the named one, else the first row of ERM without pruning and with the same
    exits; a row without a baseline has no differences. Differences are means over the seeds that
    both rows have, on the same test images, with 95 % intervals over clusters and, from two seeds
    on, over seeds; the variance over seeds is pooled over all rows.

    Args:
        pooled: the cells of one dataset.
        named: row -> its baseline.
        drawn: the draws of these cells.

    Columns: `row`, `mark` (see `inactive`, and why the row decides nothing), `against` (the
    baseline, "" for none), `seeds`, `penalty` (norm of the penalty's gradient as a share of the
    target's), `probe_first`,
    `probe_final` (balanced accuracy of a linear classifier that predicts the attribute from the
    features of the first and of the final exit, on validation), their `_sd`, and for each main
    metric the difference, `<metric>_low` and `<metric>_high`.
    """
    rows = cells_by_row(pooled)
    plain = plain_rows(rows)
    records = []
    for name, seeds in rows.items():
        baseline = named.get(name) or plain.get(exits_of(seeds), name)
        marks = [inactive([run for cell in seeds for run in cell.runs])]
        marks.append(drawn.left_out.get(name, ""))
        compared = baseline != name and baseline in rows
        record: dict[str, object] = {"row": name, "mark": ", ".join(filter(None, marks))}
        record |= {"against": baseline if compared else "", "seeds": len(seeds)}
        record |= _penalty_and_probes(seeds)
        if compared:
            record |= _differences(name, baseline, drawn)
        records.append(record)
    return pd.DataFrame(records)


def against_table(frame: pd.DataFrame) -> Table:
    """The frame of `against_others` as a table to read."""
    rows = []
    for row in frame.to_dict("records"):
        probes = [
            _spread(row[f"probe_{end}"], row[f"probe_{end}_sd"]) for end in ("first", "final")
        ]
        ratio = "" if np.isnan(row["penalty"]) else f"{100 * row['penalty']:.2g} %"
        differences = [
            ""
            if np.isnan(row.get(metric, np.nan))
            else f"{row[metric]:+.3f} ({row[f'{metric}_low']:+.3f}, {row[f'{metric}_high']:+.3f})"
            for metric in main_metrics()
        ]
        rows.append([marked(row["row"], row["mark"]), row["against"], ratio, *probes, *differences])
    columns = ["Row", "against", "Penalty / target"]
    columns += ["Attribute read, first exit", "Attribute read, final exit"]
    title = "Row against row, paired over seeds and test images (95 % intervals)"
    return Table(title, [*columns, *map(metric_heading, main_metrics())], rows, 2)


def kept_row(run: Run) -> dict[str, float]:
    """The log's row of the epoch whose weights were kept; empty where there is no such row."""
    rows = read_log(run).to_dict("records")
    epoch = kept_epoch(rows, run.config.train.select)
    return rows[epoch - 1] if epoch else {}


def cells_by_row(pooled: Sequence[Pooled]) -> dict[str, list[Pooled]]:
    """Row -> its cells, one for each seed."""
    rows: dict[str, list[Pooled]] = {}
    for cell in pooled:
        rows.setdefault(cell.row, []).append(cell)
    return rows


def plain_rows(rows: Mapping[str, Sequence[Pooled]]) -> dict[str, str]:
    """Exits as the settings have them -> the first row of plain training with these exits."""
    plain: dict[str, str] = {}
    for name, cells in rows.items():
        config = cells[0].runs[0].config
        if config.method["name"] == "erm" and config.prune is None:
            plain.setdefault(exits_of(cells), name)
    return plain


def exits_of(cells: Sequence[Pooled]) -> str:
    """The setting `model.exits` of a row."""
    return str(cells[0].runs[0].config.model.exits)


def exit_probes(cells: Sequence[Pooled]) -> dict[str, list[float]]:
    """Exit -> how well the attribute is read from its features on validation, one for each seed.

    Balanced accuracies at the kept epoch, mean over folds; NaN where a run has no log.
    """
    epochs = [[kept_row(run) for run in cell.runs] for cell in cells]
    return {
        exit: [
            float(np.mean([epoch.get(f"val_probe{exit}", np.nan) for epoch in folds]))
            for folds in epochs
        ]
        for exit in cells[0].exit_names
    }


def _penalty_and_probes(seeds: Sequence[Pooled]) -> dict[str, float]:
    """The penalty's share of the gradient, and the probes; folds are averaged within a seed."""
    ratios = [run.description.get("penalty_ratio") for cell in seeds for run in cell.runs]
    known = [ratio for ratio in ratios if ratio is not None]
    record = {"penalty": float(np.mean(known)) if known else np.nan}
    by_exit = [*exit_probes(seeds).values()]
    for end, probes in (("first", by_exit[0]), ("final", by_exit[-1])):
        record[f"probe_{end}"] = float(np.mean(probes))
        record[f"probe_{end}_sd"] = float(np.std(probes, ddof=1)) if len(probes) > 1 else np.nan
    return record


def _differences(row: str, baseline: str, drawn: Drawn) -> dict[str, float]:
    """Metric -> mean difference over the common seeds, with the ends of its interval."""
    weights = {Side(row): 1.0, Side(baseline): -1.0}
    record: dict[str, float] = {}
    for metric in main_metrics() if drawn.seeds(weights) else ():
        interval = drawn.contrast(metric, weights).interval()
        record[metric] = float(interval.point)
        record[f"{metric}_low"], record[f"{metric}_high"] = clipped_ends(interval)
    return record


def _spread(mean: float, deviation: float) -> str:
    if np.isnan(mean):
        return ""
    return number(mean) + ("" if np.isnan(deviation) else f" ± {number(deviation)}")
