"""Tables of verdicts, of the comparisons behind them, and of gaps by chance."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from fairexit.metrics.record import METRICS, main_gaps
from fairexit.report.vocabulary import metric_heading, metric_name
from fairexit.study.chance import Chance
from fairexit.study.claims import GAP
from fairexit.study.comparisons import Comparison
from fairexit.study.outcomes import ClaimOutcome, Outcome
from fairexit.study.paper_tables import marked
from fairexit.tables import Table, number

SEPARATOR = "; "
LAST = ("Interval", "p", "Smallest shown", "paper", "Would decide the paper's")
"""The last columns of a table of comparisons."""
NUMBERS = ("seeds", "a", "b", "difference", "low", "high", "smallest", "paper", "independent")
"""Columns of `verdict_frame` that are absent where no comparison was run."""


def claim_table(results: Sequence[ClaimOutcome]) -> Table:
    """The word on each claim, its primary comparison, and the power of the design."""
    rows = []
    for result in results:
        primary = [o for o in result.primary if o is not None]
        condition = [] if result.condition is None else [result.condition]
        verdict = marked(result.verdict, ", ".join(map(_label, result.forms)))
        measured = [f"{_heading(o.comparison.metric)} {_interval(o)}" for o in primary]
        asked = [f"{_heading(o.comparison.metric)} {_interval(o)}" for o in condition]
        cells = [
            SEPARATOR.join(measured),
            SEPARATOR.join(asked),
            SEPARATOR.join(number(o.smallest) for o in primary),
            SEPARATOR.join(filter(None, map(_papers, primary))),
            SEPARATOR.join(filter(None, map(_would_decide, primary))),
        ]
        rows.append([str(result.claim.number), result.claim.text, verdict, *cells])
    columns = ["Claim", "Text", "Verdict", "Primary comparison", "Condition", "Smallest shown"]
    return Table("Verdicts", [*columns, "The paper's", "Would decide the paper's"], rows, 8)


def verdict_frame(results: Sequence[ClaimOutcome], marks: Mapping[str, str]) -> pd.DataFrame:
    """Every comparison: the measured and the printed difference, and the power of the design.

    Args:
        results: the verdicts on the claims.
        marks: row -> mark, see `row_marks`.

    Columns: `claim`, `role` (primary, condition or secondary), `metric`, `comparison`, `mark` (of
    the compared rows), and, where the comparison was run, the fields of `Outcome`: `lies` (where
    the interval lies: for, against, open), `seeds`, `a`, `b`, `difference`, `low`, `high`, `level`,
    `p_value` (corrected for secondary comparisons), `smallest`, `paper`, `power`,
    `leaves_out_paper`, `independent`, `seeds_needed`, `images_needed`, `folds_needed`,
    `would_decide`.
    """
    # A mark that is true of some runs only is mentioned in the note instead.
    unqualified = {row: mark for row, mark in marks.items() if " in " not in mark}
    rows = []
    for result in results:
        for role, comparison, o in _listed(result):
            part = o.comparison if o else comparison
            shown = [unqualified[row] for row in part.rows if row in unqualified]
            row: dict[str, object] = {"claim": result.claim.number, "role": role}
            row |= {"metric": part.metric, "comparison": part.relation}
            row |= {"mark": ", ".join(dict.fromkeys(shown))}
            rows.append(row | ({"lies": "not run"} if o is None else _record(o)))
    return pd.DataFrame(rows)


def _listed(result: ClaimOutcome) -> Iterator[tuple[str, Comparison, Outcome | None]]:
    """Role, comparison and outcome of each comparison of a claim."""
    for comparison, o in zip(result.claim.primary, result.primary, strict=True):
        yield "primary", comparison, o
    if result.claim.condition is not None:
        yield "condition", result.claim.condition, result.condition
    for comparison, o in zip(result.claim.comparisons, result.outcomes, strict=True):
        yield "secondary", comparison, o


def _record(o: Outcome) -> dict[str, object]:
    record: dict[str, object] = {"lies": o.direction}
    names = ("seeds", "a", "b", "difference", "low", "high", "level", "p_value", "smallest")
    record |= {name: getattr(o, name) for name in (*names, "paper", "power", "leaves_out_paper")}
    record |= {"independent": o.independent}
    if o.decides is not None:
        record |= {"seeds_needed": o.decides.seeds, "images_needed": o.decides.images}
        record |= {"folds_needed": o.decides.folds}
    return record | {"would_decide": _would_decide(o)}


def outcome_table(frame: pd.DataFrame, title: str) -> Table:
    """Comparisons of rows, a part of the frame of `verdict_frame`, as a table to read."""
    rows = []
    for row in _records(frame):
        comparison = f"{_heading(row['metric'])}: {row['comparison']}"
        cells = [str(row["claim"]), marked(comparison, row["mark"])]
        values = [_known(row["a"]), _known(row["b"]), _known(row["difference"], "+")]
        rows.append([*cells, *_with_interval(row, values)])
    columns = ["Claim", "Comparison", "Lies", "Seeds", "a", "b", "a - b", *LAST]
    return Table(title, columns, rows, 3)


def depth_table(frame: pd.DataFrame, title: str) -> Table:
    """The changes of entanglement with depth, a part of the frame of `verdict_frame`."""
    rows = []
    for row in _records(frame):
        comparison = f"{row['metric']}: {row['comparison']}"
        cells = [str(row["claim"]), marked(comparison, row["mark"])]
        values = [_known(row["difference"], "+", 4), _known(row["independent"], "+", 4)]
        rows.append([*cells, *_with_interval(row, values, 4)])
    columns = ["Claim", "Comparison", "Lies", "Seeds", "Change", "Change if independent", *LAST]
    return Table(title, columns, rows, 3)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of the frame with all columns of numbers."""
    return [dict.fromkeys(NUMBERS, math.nan) | row for row in frame.to_dict("records")]


def _with_interval(row: Mapping[str, Any], values: Sequence[str], digits: int = 3) -> list[str]:
    """The cells from where the interval lies, with the values before the interval."""
    if row["lies"] == "not run":
        return ["not run", *[""] * (1 + len(values) + len(LAST))]
    low, high = (_known(row[end], "+", digits) for end in ("low", "high"))
    last = [f"{low}, {high} ({100 * row['level']:g} %)", _p_text(row["p_value"])]
    last += [_known(row["smallest"], "", digits), _known(row["paper"], "+", digits)]
    return [row["lies"], f"{row['seeds']:.0f}", *values, *last, row["would_decide"]]


def chance_table(chances: Sequence[Chance], marks: Mapping[str, str]) -> Table:
    """The main gaps of each row, and what they are by chance alone."""
    by_row: dict[str, dict[str, Chance]] = {}
    for gap in chances:
        by_row.setdefault(gap.row, {})[gap.metric] = gap
    names = main_gaps()
    columns = ["Row"]
    for name in names:
        columns += [metric_heading(name), "by chance", "95 % of chance below"]
    rows = []
    for row, gaps in by_row.items():
        cells = [(gaps[m].value, gaps[m].null_mean, gaps[m].null_quantile) for m in names]
        rows.append(
            [marked(row, marks.get(row, "")), *(number(value) for cell in cells for value in cell)]
        )
    return Table("Gaps beside what chance alone gives one network, means over seeds", columns, rows)


def _label(metric: str) -> str:
    return metric_name(metric) if metric in METRICS else {GAP: "F1 gap"}[metric]


def _heading(metric: str) -> str:
    """The label with an arrow that says whether higher or lower is better."""
    return metric_heading(metric) if metric in METRICS else _label(metric)


def _interval(o: Outcome) -> str:
    return f"{o.difference:+.3f} ({o.low:+.3f}, {o.high:+.3f})"


def _papers(o: Outcome) -> str:
    """The printed difference, whether it would be shown, and whether the interval holds it."""
    if o.paper is None:
        return ""
    text = f"{_label(o.comparison.metric)} {o.paper:+.3f}"
    if o.power is None:
        text += ", not on the claimed side"
    else:
        text += f", shown in {100 * o.power:.0f} of 100 studies"
    if o.leaves_out_paper:
        holds_zero = o.low <= 0 <= o.high
        text += ", left out by the interval" + ", which holds 0" * holds_zero
    return text


def _would_decide(o: Outcome) -> str:
    """What would show the printed difference, where the interval is open."""
    if o.direction != "open" or o.paper is None:
        return ""
    if o.decides is None:
        return "nothing: the paper's is not on the claimed side"
    if o.enough and o.seeds > 1:
        return "this design; ours lies elsewhere"
    return str(o.decides) + ", for these networks alone" * (o.seeds == 1)


def _known(value: Any, sign: str = "", digits: int = 3) -> str:
    return "" if value is None or math.isnan(value) else f"{value:{sign}.{digits}f}"


def _p_text(p: float) -> str:
    if math.isnan(p):
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
