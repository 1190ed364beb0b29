"""Tables that say whether methods repair a planted cause: Markdown, LaTeX and CSV."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from fairexit.csv_files import write_csv
from fairexit.files import write_atomically
from fairexit.latex import latex
from fairexit.report.vocabulary import metric_heading, metric_name, p_value
from fairexit.study.against import cells_by_row
from fairexit.study.cifar10s import agreement, orders, ranking_table
from fairexit.study.claims import MARGINS
from fairexit.study.collect import POLICY, Pooled
from fairexit.study.drawn import Drawn
from fairexit.study.paper_tables import marked
from fairexit.study.repair_rule import DECIDED, NEGLIGIBLE, PRIMARY, Baseline, Change, Repair
from fairexit.study.repairs import accuracy_of, baselines, readable_from_class, repairs
from fairexit.tables import Table, number

RULE = (
    f"The word rests on {metric_name(PRIMARY)}, chosen before the runs, and on macro F1, each "
    "against plain training with the same exits (plain training with exits: against that "
    "without). 'repairs': the interval of the gap's change lies wholly below 0, also after Holm's "
    f"correction over the rows of its table, and F1 is at most {MARGINS['f1']:g} lower. 'harms': "
    "the interval lies wholly above 0, likewise. 'does not': F1 is shown to be lost beyond "
    f"{MARGINS['f1']:g}, or the interval leaves out that {100 * NEGLIGIBLE:g} % of the gap of "
    "plain training is closed (harm may still be possible). 'not decided': anything else, one "
    "seed, a network that answers one class, a method without effect, and a gap of plain training "
    f"that is less than {DECIDED:g} times the distance to the lower end of its interval. Intervals "
    "are of 95 %, over images and seeds; with one seed over images alone. p: corrected by Holm's "
    "method. Closed: the share of the gap of plain training that is gone, of which 'repairs' does "
    "not say how large it is."
)
CAUTIONS = {
    "prevalence": "",
    "representation": "",
    "presentation": (
        "The pictures of one group are worse in test too, so that no training closes the gap "
        "wholly: look at the accuracy of the other group, from which nothing should be taken."
    ),
    "annotation": (
        "No method that trusts the labels can repair wrong ones: doubt one that seems to."
    ),
}
"""Cause -> what a reader must know of it."""


def write_repairs(
    pooled: Sequence[Pooled], drawn: Drawn, planted: Mapping[str, Any], *, folder: Path, note: str
) -> list[tuple[Table, str]]:
    """Write `repairs.md`, `.csv` and `.tex`.

    Args:
        pooled: the cells of one dataset.
        drawn: their draws, with those of `further_draws`.
        planted: the recipe of the planted cause.
        folder: folder of the files; its name is the dataset's.
        note: text under the first table: seeds, images, budget.
    Returns:
        The table to show, with the note under it.
    """
    results, guess = repairs(pooled, drawn), 1 / len(pooled[0].group_names)
    plain, cause = baselines(pooled, drawn), planted["cause"]
    head = heading(planted, plain, guess, readable_from_class(pooled))
    compared = {*(result.row for result in results), *(baseline.row for baseline in plain)}
    if rest := [row for row in cells_by_row(pooled) if row not in compared]:
        why = "plain training with the same exits was not run"
        head += f" Not compared, as {why}: {', '.join(rest)}."
    tables = _tables(results, pooled[0].group_names, cause, f"{RULE} {note}")
    if cause == "prevalence" and (pairs := orders(pooled, drawn)):
        tables.append((ranking_table(pooled, drawn), agreement(pairs)))
    parts = [f"# {folder.name}: does a method repair {cause}?\n\n{head}\n"]
    parts += [f"## {t.title}\n\n{t.to_markdown()}" + f"\n{n}\n" * bool(n) for t, n in tables]
    write_atomically(folder / "repairs.md", "\n".join(parts))
    if results:
        write_csv(folder / "repairs.csv", repair_frame(results, guess))
    labels = [f"tab:{folder.name}-repairs-{k}" for k, _ in enumerate(tables, start=1)]
    named = [replace(table, title=f"{folder.name}: {table.title}") for table, _ in tables]
    notes = [[head, text] if text else [head] for _, text in tables]
    texts = [latex(*parts) for parts in zip(named, labels, notes, strict=True)]
    write_atomically(folder / "repairs.tex", "\n".join(texts))
    return [(tables[0][0], head)]


def _tables(
    results: Sequence[Repair], groups: Sequence[str], cause: str, note: str
) -> list[tuple[Table, str]]:
    """The tables of rows under their policies and of single exits, with the notes under them."""
    rows = [result for result in results if result.exit == POLICY]
    exits = [result for result in results if result.exit != POLICY]
    tables = [(word_table(rows, f"Does it repair {cause}?"), note)]
    tables.append((gap_table(rows, groups, "Other gaps, and the accuracy of each group"), ""))
    if exits:
        title = "Exits without a method, one by one"
        tables.append((word_table(exits, title), ""))
        tables.append((gap_table(exits, groups, f"{title}: other gaps"), ""))
    return tables


def heading(
    planted: Mapping[str, Any], plain: Sequence[Baseline], guess: float, readable: float
) -> str:
    """What was planted, whether plain training has a gap, and how readings are to be read.

    Args:
        planted: the recipe of the planted cause.
        plain: the rows of plain training.
        guess: balanced accuracy of guessing the group.
        readable: balanced accuracy of telling it from the class, NaN where it is not known.
    """
    cause, attribute, affected = (planted[key] for key in ("cause", "attribute", "affected"))
    strength = f"{planted['strength']:g}"
    sentences = [f"Planted cause: {cause} of strength {strength} ({attribute} '{affected}')."]
    for baseline in plain:
        text = (
            f"{metric_name(PRIMARY)} of {baseline.row} is {baseline.gap:.3f} "
            f"({baseline.low:.3f}, {baseline.high:.3f})"
        )
        if baseline.decided:
            sentences.append(f"{text}: decided.")
        else:
            why = " with one seed" * (baseline.seeds == 1)
            sentences.append(
                f"**{text}: not decided{why}, so that nothing can be shown to repair it here.**"
            )
    reading = (
        f"Attribute read: balanced accuracy on validation of a linear classifier of the features "
        f"of the first and the last exit that can answer; guessing has {guess:.3f}"
    )
    if not math.isnan(readable):
        reading += f", and whoever knows the class alone {readable:.3f}"
    sentences.append(f"{reading}.")
    return " ".join([*sentences, CAUTIONS[cause]]).strip()


def word_table(results: Sequence[Repair], title: str) -> Table:
    """What decides: F1, the primary gap, the word; and how well the attribute is read."""
    rows = []
    for r in results:
        accuracy, f1, gap = (r.changes[name] for name in ("accuracy", "f1", PRIMARY))
        closed = "-" if math.isnan(r.closed) else f"{100 * r.closed:.0f} %"
        numbers = [cell for change in (accuracy, f1, gap) for cell in _cells(change)]
        end = [closed, p_value(r.p_value), _probe_text(r.probes)]
        rows.append([_name(r), r.word, r.baseline.row, str(r.seeds), *numbers, *end])
    columns = ["Method", "Word", "Against", "Seeds"]
    for name in ("accuracy", "f1", PRIMARY):
        columns += [metric_heading(name), f"{metric_name(name)}, change"]
    columns += ["Closed", "p", "Attribute read"]
    return Table(title, columns, rows, 3)


def gap_table(results: Sequence[Repair], groups: Sequence[str], title: str) -> Table:
    """The gaps that decide nothing, and the accuracy of each group."""
    names = {name: metric_name(name) for name in ("eopp1", "eodd_weighted", "eodd")}
    names |= {accuracy_of(group): f"Accuracy, {group}" for group in groups}
    columns = ["Method"]
    for label in names.values():
        columns += [label, f"{label}, change"]
    rows = []
    for result in results:
        cells = [cell for name in names for cell in _cells(result.changes[name])]
        rows.append([_name(result), *cells])
    return Table(title, columns, rows)


def repair_frame(results: Sequence[Repair], guess: float) -> pd.DataFrame:
    """A row for each comparison.

    Args:
        results: the comparisons.
        guess: balanced accuracy of guessing the group.

    Columns: `row`, `exit` ("policy", or an exit's name), `mark`, `word`, `against`, `seeds`, for
    each measure its value, `<measure>_change`, `_low` and `_high`, then `closed` (share of the
    baseline's primary gap), `p_value` (corrected), `probe_first`, `probe_last`, `probe_guess`, and
    the baseline's primary gap, `against_gap`, `_low`, `_high`, `_decided`.
    """
    records = []
    for r in results:
        record: dict[str, Any] = {"row": r.row, "exit": r.exit, "mark": r.mark, "word": r.word}
        record |= {"against": r.baseline.row, "seeds": r.seeds}
        for name, c in r.changes.items():
            record |= {name: c.value, f"{name}_change": c.change}
            record |= {f"{name}_low": c.low, f"{name}_high": c.high}
        record |= {"closed": r.closed, "p_value": r.p_value}
        record |= {"probe_first": r.probes[0], "probe_last": r.probes[1], "probe_guess": guess}
        record |= {"against_gap": r.baseline.gap, "against_gap_low": r.baseline.low}
        record |= {"against_gap_high": r.baseline.high, "against_gap_decided": r.baseline.decided}
        records.append(record)
    return pd.DataFrame(records)


def _name(result: Repair) -> str:
    at = "" if result.exit == POLICY else f" at exit {result.exit}"
    return marked(result.row + at, result.mark)


def _probe_text(probes: tuple[float, float]) -> str:
    """The readings of the first and last exit; a single one for a single exit."""
    texts = dict.fromkeys(number(probe) for probe in probes)
    return " to ".join(texts)


def _cells(change: Change) -> list[str]:
    """The value, and its change with the interval."""
    if math.isnan(change.change):
        return [number(change.value), ""]
    return [
        number(change.value),
        f"{change.change:+.3f} ({change.low:+.3f}, {change.high:+.3f})",
    ]
