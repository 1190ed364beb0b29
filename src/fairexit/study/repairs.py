"""Every row of a study on planted data against plain training: does it repair the cause?"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from fairexit.metrics.counts import Margins
from fairexit.metrics.rates import Values, group_accuracy
from fairexit.stats.resampling import Measure
from fairexit.study.against import cells_by_row, exit_probes, exits_of, plain_rows
from fairexit.study.collect import POLICY, Pooled
from fairexit.study.comparisons import Side
from fairexit.study.drawn import Drawn
from fairexit.study.folder import dataset_info
from fairexit.study.left_out import collapse_mark
from fairexit.study.outcomes import clipped_ends
from fairexit.study.paper_tables import row_mark
from fairexit.study.repair_rule import MEASURES, PRIMARY, Baseline, Change, Repair, with_words


def planted_cause(pooled: Sequence[Pooled]) -> dict[str, Any] | None:
    """The recipe of the cause that was planted into the runs' attribute.

    None where the data are not planted, are not at hand, or another attribute was studied.
    """
    info = dataset_info(pooled[0].runs[0].config.data.path) or {}
    recipe: dict[str, Any] | None = info.get("planted")
    return recipe if recipe and recipe["attribute"] == pooled[0].group else None


def readable_from_class(pooled: Sequence[Pooled]) -> float:
    """Balanced accuracy with which the class alone tells the group on validation.

    NaN where the data have no validation split of their own.
    """
    info = dataset_info(pooled[0].runs[0].config.data.path) or {}
    cells = info.get("cells", {}).get("val", {})
    shares = [
        {label: n / sum(classes.values()) for label, n in classes.items()}
        for classes in cells.values()
    ]
    labels = {label for classes in shares for label in classes}
    best = [max(classes.get(label, 0.0) for classes in shares) for label in labels]
    return sum(best) / len(shares) if shares else math.nan


def further_draws(pooled: Sequence[Pooled]) -> tuple[list[Side], dict[str, Measure]]:
    """The sides and measures, besides those of every study, that `repairs` compares."""
    rows = cells_by_row(pooled)
    sides = [
        side_of(row, exit) for row in plain_rows(rows).values() for exit in rows[row][0].exit_names
    ]
    groups = pooled[0].group_names
    return sides, {accuracy_of(group): partial(_accuracy, k) for k, group in enumerate(groups)}


def side_of(row: str, exit: str = POLICY) -> Side:
    """A row of the study, or one of its exits, as a side of comparisons."""
    return Side(row, exit)


def accuracy_of(group: str) -> str:
    """The name of a group's accuracy among the measures."""
    return f"accuracy/{group}"


def _accuracy(group: int, margins: Margins) -> Values:
    by_group: Values = group_accuracy(margins)[..., group]
    return by_group


def repairs(pooled: Sequence[Pooled], drawn: Drawn) -> list[Repair]:
    """Every row against plain training, under its policy, and plain exits one by one.

    Args:
        pooled: the cells of one dataset, into whose attribute a cause was planted.
        drawn: the draws of these cells, with those of `further_draws`.
    Returns:
        The rows under their policies, then single exits; p-values of each of these two families
        are corrected together. Rows without a baseline are left out.
    """
    rows = cells_by_row(pooled)
    known = {baseline.row: baseline for baseline in baselines(pooled, drawn)}
    at_policy: list[Repair] = []
    by_exit: list[Repair] = []
    for name, baseline in _pairs(rows):
        cells = rows[name]
        names = cells[0].exit_names if name in known else ()
        for exit in (POLICY, *names):
            if drawn.seeds([side_of(name, exit), side_of(baseline)]):
                repair = _repair(cells, exit, known[baseline], drawn)
                (at_policy if exit == POLICY else by_exit).append(repair)
    return [*with_words(at_policy), *with_words(by_exit)]


def _pairs(rows: Mapping[str, Sequence[Pooled]]) -> Iterator[tuple[str, str]]:
    """Each row that has a baseline, with the baseline's name."""
    plain = plain_rows(rows)
    for name, cells in rows.items():
        baseline = plain.get(exits_of(cells))
        if baseline == name:
            baseline = plain.get("none")
        if baseline not in (None, name):
            yield name, str(baseline)


def baselines(pooled: Sequence[Pooled], drawn: Drawn) -> list[Baseline]:
    """The rows of plain training, the first of each setting of exits, with their primary gaps."""
    parts = []
    for row in plain_rows(cells_by_row(pooled)).values():
        side = side_of(row)
        interval = drawn.contrast(PRIMARY, {side: 1.0}).interval()
        low, high = clipped_ends(interval)
        number = len(drawn.seeds([side]))
        parts.append(Baseline(row, number, float(interval.point), max(low, 0.0), high))
    return parts


def _repair(cells: Sequence[Pooled], exit: str, baseline: Baseline, drawn: Drawn) -> Repair:
    """A row or exit against its baseline, without a word and with an uncorrected p-value."""
    side, other = side_of(cells[0].row, exit), side_of(baseline.row)
    seeds = drawn.seeds([side, other])
    weights = {side: 1.0, other: -1.0}
    measures = (*MEASURES, *map(accuracy_of, cells[0].group_names))
    changes = {}
    for measure in measures:
        interval = drawn.contrast(measure, weights).interval()
        value = drawn.mean(measure, [side], seeds)
        changes[measure] = Change(value, float(interval.point), *clipped_ends(interval))
    p_value = drawn.contrast(PRIMARY, weights).p_value() if len(seeds) > 1 else math.nan
    probes = [float(np.mean(values)) for values in exit_probes(cells).values()]
    if exit != POLICY:
        probes = [probes[cells[0].exit_names.index(exit)]]
    without_effect = all(run.inactive for cell in cells for run in cell.runs)
    return Repair(
        row=cells[0].row,
        exit=exit,
        baseline=baseline,
        seeds=len(seeds),
        mark=row_mark(cells),
        changes=changes,
        p_value=p_value,
        probes=(probes[0], probes[-1]),
        decides=not without_effect and not collapse_mark(cells),
    )
