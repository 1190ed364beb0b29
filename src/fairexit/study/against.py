"""Each row of a study beside another one, by default plain training with the same exits."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from fairexit.metrics.record import main_metrics
from fairexit.report.vocabulary import metric_name
from fairexit.runs import Run
from fairexit.stats.paired import draw_pairs
from fairexit.study.collect import POLICY, Pooled
from fairexit.study.folder import read_log
from fairexit.study.paper_tables import inactive, marked
from fairexit.study.verdicts import DRAWS, GAP_DRAWS
from fairexit.tables import Table, number
from fairexit.training.log import kept_epoch


def against_others(pooled: Sequence[Pooled], named: Mapping[str, str]) -> pd.DataFrame:
    """Every row beside another: how well the attribute is read, and paired differences.

    The other row is the named one, else the first of ERM without pruning and with the same exits; a
    row that has none has no differences. They are means over the seeds that both rows have, on the
    same test images, with 95 % intervals over clusters and, from two seeds on, over seeds.

    Args:
        pooled: of one dataset.
        named: row -> the row to compare it with.

    Columns: `row`, `mark` (where its method did next to nothing), `against` ("": none), `seeds`,
    `penalty` (norm of the penalty's gradient as a share of the target's), `probe_first`,
    `probe_final` (balanced accuracy with which a linear reader finds the attribute in the features
    of the first and of the final exit, on validation), their `_sd`, and for each main metric the
    difference, `<metric>_low` and `<metric>_high`.
    """
    rows: dict[str, list[Pooled]] = {}
    for one in pooled:
        rows.setdefault(one.row, []).append(one)
    plain: dict[str, str] = {}
    for name, seeds in rows.items():
        if _is_plain(seeds[0]):
            plain.setdefault(_exits(seeds[0]), name)
    found = []
    for name, seeds in rows.items():
        base = named.get(name) or plain.get(_exits(seeds[0]), name)
        mark = inactive([run for one in seeds for run in one.runs])
        cells: dict[str, object] = {"row": name, "mark": mark}
        compared = base != name and base in rows
        cells |= {"against": base if compared else ""}
        cells |= {"seeds": len(seeds), **_readable(seeds)}
        if compared:
            cells |= _differences(seeds, rows[base])
        found.append(cells)
    return pd.DataFrame(found)


def against_table(frame: pd.DataFrame) -> Table:
    """The same to read."""
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
    columns = ["Method", "against", "Penalty / target", "Attribute read, first exit", "final exit"]
    title = "Row against row, paired over seeds and test images (95 % intervals)"
    return Table(title, [*columns, *map(metric_name, main_metrics())], rows, 2)


def kept_row(run: Run) -> dict[str, float]:
    """The log's row of the epoch whose weights were kept; empty where there is no such row."""
    rows = read_log(run).to_dict("records")
    kept = kept_epoch(rows, run.config.train.select)
    return rows[kept - 1] if kept else {}


def _exits(one: Pooled) -> str:
    return str(one.runs[0].config.model.exits)


def _is_plain(one: Pooled) -> bool:
    config = one.runs[0].config
    return config.method["name"] == "erm" and config.prune is None


def _readable(seeds: Sequence[Pooled]) -> dict[str, float]:
    """Penalty's share and probe of a row; folds of one seed count as one."""
    ratios = [run.description.get("penalty_ratio") for one in seeds for run in one.runs]
    known = [ratio for ratio in ratios if ratio is not None]
    cells = {"penalty": float(np.mean(known)) if known else np.nan}
    kept = [[kept_row(run) for run in one.runs] for one in seeds]
    for end, exit in (("first", seeds[0].exit_names[0]), ("final", seeds[0].exit_names[-1])):
        probes = [np.mean([row.get(f"val_probe{exit}", np.nan) for row in rows]) for rows in kept]
        cells[f"probe_{end}"] = float(np.mean(probes))
        cells[f"probe_{end}_sd"] = float(np.std(probes, ddof=1)) if len(probes) > 1 else np.nan
    return cells


def _differences(ours: Sequence[Pooled], others: Sequence[Pooled]) -> dict[str, float]:
    by_seed = {one.seed: one for one in others}
    both = [(one, by_seed[one.seed]) for one in ours if one.seed in by_seed]
    if not both:
        return {}
    chosen = [mine for mine, _ in both] + [its for _, its in both]
    answers = np.stack([one.answers(POLICY) for one in chosen])
    drawn = draw_pairs(
        chosen[0].sample.with_answers(answers),
        metrics=main_metrics(),
        n_resamples=DRAWS,
        n_gap_resamples=GAP_DRAWS,
    )
    cells = {}
    for metric in main_metrics():
        found = drawn.difference(metric, range(len(both)), range(len(both), 2 * len(both)))
        cells[metric] = float(found.point)
        # No difference of two of these is beyond 1, whatever Student's t says of two seeds.
        cells[f"{metric}_low"] = max(float(found.low), -1.0)
        cells[f"{metric}_high"] = min(float(found.high), 1.0)
    return cells


def _spread(mean: float, deviation: float) -> str:
    if np.isnan(mean):
        return ""
    return number(mean) + ("" if np.isnan(deviation) else f" ± {number(deviation)}")
