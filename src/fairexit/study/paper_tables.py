"""The paper's tables with our numbers beside the printed ones: Markdown, LaTeX, CSV."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fairexit.evaluation.evaluate import PRINTED_GAPS
from fairexit.files import write_atomically
from fairexit.metrics.rates import AVERAGES
from fairexit.report.vocabulary import metric_name
from fairexit.runs import Run
from fairexit.study.collect import Pooled
from fairexit.study.paper import Printed, common_name, paper_name
from fairexit.tables import Table

COLUMNS = (*AVERAGES, *PRINTED_GAPS)
"""What the paper prints."""
DIGITS = {"eopp0": 4}
"""Others have three; Eopp0 of many classes is tiny."""
BEST = "*"


def paper_frame(pooled: Sequence[Pooled], printed: Printed | None) -> pd.DataFrame:
    """Rows in the paper's form for each method: its groups, avg and diff.

    Columns: `method` (as the study calls it), `row`, `seeds`, and for each metric `<metric>`,
    `<metric>_sd`, `<metric>_paper`, `<metric>_best` (the best mean of all methods). The gaps stand
    in the first row of a method.
    """
    by_row: dict[str, list[Pooled]] = {}
    for one in pooled:
        by_row.setdefault(one.row, []).append(one)
    rows = []
    for name, seeds in by_row.items():
        groups = seeds[0].group_names
        if printed is not None:
            groups = tuple(sorted(groups, key=printed.groups.index))
        label = paper_name(name, seeds[0].runs[0].config.model.backbone)
        label = marked(label, inactive([run for one in seeds for run in one.runs]))
        for row in (*groups, "avg", "diff"):
            cells: dict[str, object] = {"method": label, "row": row, "seeds": len(seeds)}
            for metric in COLUMNS if row == groups[0] else AVERAGES:
                key = metric if row == "avg" or metric in PRINTED_GAPS else f"{metric}/{row}"
                values = [s.values[f"{metric}_diff" if row == "diff" else key][0] for s in seeds]
                cells[metric] = np.mean(values)
                cells[f"{metric}_sd"] = np.std(values, ddof=1) if len(values) > 1 else np.nan
                if printed is not None:
                    cells[f"{metric}_paper"] = printed.value(common_name(name), row, metric)
            rows.append(cells)
    return _with_best(pd.DataFrame(rows))


def inactive(runs: Sequence[Run]) -> str:
    """A mark where a row's method did next to nothing, and in how many of its runs."""
    marks = Counter(mark for run in runs for mark in run.inactive)
    all_of = len(runs)
    texts = [m if n == all_of else f"{m} in {n} of {all_of} runs" for m, n in marks.items()]
    return ", ".join(texts)


def marked(name: str, mark: str) -> str:
    """The name with the mark, if there is one, in brackets."""
    return f"{name} ({mark})" if mark else name


def _with_best(frame: pd.DataFrame) -> pd.DataFrame:
    """Mark the best mean: highest avg, lowest diff and gaps."""
    for metric in COLUMNS:
        best = pd.Series(False, index=frame.index)
        if metric in PRINTED_GAPS:
            best |= frame[metric] == frame[metric].min()
        else:
            for row, pick in (("avg", "max"), ("diff", "min")):
                here = frame["row"] == row
                best |= here & (frame[metric] == getattr(frame.loc[here, metric], pick)())
        frame[f"{metric}_best"] = best
    return frame


def split_tables(
    pooled: Sequence[Pooled],
) -> tuple[list[Pooled], list[Pooled], list[Pooled]]:
    """Rows of the table of methods, of that with and without exits, and those of neither."""
    names = {common_name(one.row) for one in pooled}
    methods: list[Pooled] = []
    pairs: list[Pooled] = []
    for one in pooled:
        name = common_name(one.row)
        plain = name.removeprefix("ME-")
        if name in (plain, "ME-FairPrune"):
            methods.append(one)
        if plain != "FairPrune" and {plain, f"ME-{plain}"} <= names:
            pairs.append(one)
    return methods, pairs, [one for one in pooled if one not in methods + pairs]


def write_tables(
    pooled: Sequence[Pooled], printed: Printed | None, *, folder: Path, title: str, note: str
) -> list[tuple[Table, str]]:
    """Write the tables of a dataset as Markdown, LaTeX and CSV.

    Args:
        pooled: what was measured of one dataset.
        printed: the paper's numbers for it.
        folder: where the files go.
        title: begins the titles.
        note: goes under each table.
    Returns:
        The tables, and the notes under them.
    """
    names = [f"table{t}" for t in printed.tables] if printed else ["methods", "exits"]
    subjects = ("methods", "with and without exits", "other rows")
    written = []
    for name, subject, part in zip([*names, "others"], subjects, split_tables(pooled), strict=True):
        if part:
            theirs = None if name == "others" else printed
            frame = paper_frame(part, theirs)
            what = f" (paper: Table {name.removeprefix('table')})" if theirs else ""
            whole = f"{title}: {subject}{what}"
            table = markdown_table(frame, whole, part[0].group)
            text = f"# {whole}\n\n{table.to_markdown()}\n{note}\n"
            write_atomically(folder / f"{name}.md", text)
            write_atomically(folder / f"{name}.tex", latex(frame, whole, part[0].group, note))
            csv = frame.to_csv(index=False, float_format="%.6g")
            write_atomically(folder / f"{name}.csv", csv)
            written.append((table, note))
    return written


def markdown_table(frame: pd.DataFrame, title: str, group: str) -> Table:
    """The frame for Markdown and terminals; printed numbers follow ours."""
    columns = ["Method", group]
    for metric in COLUMNS:
        name = metric_name(metric)
        columns += [name, "paper"] if f"{metric}_paper" in frame else [name]
    rows = []
    for _, first, row in _lines(frame):
        pairs = [_pair(row, metric, " ± ") for metric in COLUMNS]
        cells = [cell for pair in pairs for cell in pair]
        rows.append([row["method"] if first else "", row["row"], *cells])
    return Table(title, columns, rows, 2)


def latex(frame: pd.DataFrame, title: str, group: str, note: str) -> str:
    """The frame as a LaTeX table (booktabs); best values are bold, printed ones in brackets.

    The note stands above it as a comment.
    """
    lines = [
        *(f"% {line}" for line in note.strip().splitlines()),
        "% Bold is the best mean; in brackets the printed number.",
        r"\begin{table}",
        rf"\caption{{{_tex(title)}}}",
        rf"\begin{{tabular}}{{ll{'r' * len(COLUMNS)}}}",
        r"\toprule",
        " & ".join(["Method", _tex(group), *map(metric_name, COLUMNS)]) + r" \\",
    ]
    for _, first, row in _lines(frame):
        if first:
            lines.append(r"\midrule")
        cells = [_tex(row["method"]) if first else "", _tex(row["row"])]
        for metric in COLUMNS:
            ours, *paper = _pair(row, metric, r" $\pm$ ")
            if ours.endswith(BEST):
                ours = rf"\textbf{{{ours.removesuffix(BEST).strip()}}}"
            cells.append(ours + (f" ({paper[0]})" if paper and paper[0] else ""))
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]) + "\n"


def _lines(frame: pd.DataFrame) -> Iterator[tuple[int, bool, "pd.Series[Any]"]]:
    """Each row, with whether it is its method's first."""
    first = frame["method"].ne(frame["method"].shift())
    for i, row in frame.iterrows():
        yield i, bool(first[i]), row


def _pair(row: "pd.Series[Any]", metric: str, plus: str) -> list[str]:
    """Our number, and the printed one where the frame has any."""
    digits = DIGITS.get(metric, 3)
    ours, spread = row[metric], row[f"{metric}_sd"]
    text = "" if np.isnan(ours) else f"{ours:.{digits}f}"
    text += "" if np.isnan(spread) else f"{plus}{spread:.{digits}f}"
    text += f" {BEST}" if row[f"{metric}_best"] else ""
    if f"{metric}_paper" not in row:
        return [text]
    paper = row[f"{metric}_paper"]
    return [text, "" if paper is None or np.isnan(paper) else f"{paper:.{digits}f}"]


def _tex(text: str) -> str:
    return re.sub(r"([&%$#_{}])", r"\\\1", text)
