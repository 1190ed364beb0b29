"""Tables of verdicts, of the comparisons behind them, and of gaps by chance."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from fairexit.metrics.record import METRICS, main_gaps
from fairexit.report.vocabulary import metric_name
from fairexit.study.chance import Chance
from fairexit.study.claims import GAP
from fairexit.study.comparisons import Comparison
from fairexit.study.outcomes import ClaimOutcome, Outcome
from fairexit.study.paper import common_name
from fairexit.study.paper_tables import marked
from fairexit.tables import Table, number

SEPARATOR = "; "


def claim_table(results: Sequence[ClaimOutcome]) -> Table:
    """The word on each claim, its primary comparison, and the power of the design."""
    rows = []
    for result in results:
        primary = [o for o in result.primary if o is not None]
        condition = [] if result.condition is None else [result.condition]
        verdict = marked(result.verdict, ", ".join(map(_label, result.forms)))
        measured = [f"{_label(o.comparison.metric)} {_interval(o)}" for o in primary]
        asked = [f"{_label(o.comparison.metric)} {_interval(o)}" for o in condition]
        cells = [
            SEPARATOR.join(measured),
            SEPARATOR.join(asked),
            SEPARATOR.join(number(o.smallest) for o in primary),
            SEPARATOR.join(filter(None, map(_papers, primary))),
            SEPARATOR.join(filter(None, map(_would_decide, primary))),
        ]
        rows.append([str(result.claim.number), result.claim.text, verdict, *cells])
    columns = ["Claim", "", "Verdict", "Primary comparison", "Condition", "Smallest shown"]
    return Table("Verdicts", [*columns, "The paper's", "Would decide the paper's"], rows, 8)


def verdict_frame(results: Sequence[ClaimOutcome], marks: Mapping[str, str]) -> pd.DataFrame:
    """Every comparison: the measured and the printed difference, and the power of the design.

    Args:
        results: the verdicts on the claims.
        marks: row -> mark, see `row_marks`.

    Columns: `claim`, `role` (primary, condition or secondary), `comparison`, `mark` (of the
    compared rows), and, where the comparison was run, the fields of `Outcome`: `lies` (where the
    interval lies: for, against, open), `seeds`, `a`, `b`, `difference`, `low`, `high`, `level`,
    `p_value` (corrected for secondary comparisons), `smallest`, `paper`, `power`,
    `leaves_out_paper`, `seeds_needed`, `images_needed`, `folds_needed`, `would_decide`.
    """
    # A mark that is true of some runs only is mentioned in the note instead.
    unqualified = {common_name(row): mark for row, mark in marks.items() if " in " not in mark}
    rows = []
    for result in results:
        for role, comparison, o in _listed(result):
            part = o.comparison if o else comparison
            shown = [unqualified[row] for row in part.rows if row in unqualified]
            row: dict[str, object] = {"claim": result.claim.number, "role": role}
            row |= {"comparison": str(part), "mark": ", ".join(dict.fromkeys(shown))}
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
    if o.decides is not None:
        record |= {"seeds_needed": o.decides.seeds, "images_needed": o.decides.images}
        record |= {"folds_needed": o.decides.folds}
    return record | {"would_decide": _would_decide(o)}


def outcome_table(frame: pd.DataFrame, roles: Sequence[str], title: str) -> Table:
    """The comparisons of some roles in the frame of `verdict_frame` as a table to read."""
    rows = []
    for row in frame[frame["role"].isin(roles)].to_dict("records"):
        cells = [str(row["claim"]), marked(row["comparison"], row["mark"])]
        if row["lies"] == "not run":
            rows.append([*cells, "not run", *[""] * 9])
            continue
        ends = f"{row['low']:+.3f}, {row['high']:+.3f}"
        values = [f"{row['seeds']:.0f}", _known(row["a"]), _known(row["b"])]
        values += [f"{row['difference']:+.3f}", f"{ends} ({100 * row['level']:g} %)"]
        values += [_p_text(row["p_value"]), _known(row["smallest"]), _known(row["paper"], "+")]
        rows.append([*cells, row["lies"], *values, row["would_decide"]])
    columns = ["Claim", "Comparison", "Lies", "seeds", "a", "b", "a - b", "Interval", "p"]
    return Table(title, [*columns, "Smallest shown", "paper", "Would decide the paper's"], rows, 3)


def chance_table(chances: Sequence[Chance], marks: Mapping[str, str]) -> Table:
    """The main gaps of each row, and what they are by chance alone."""
    by_row: dict[str, dict[str, Chance]] = {}
    for gap in chances:
        by_row.setdefault(gap.row, {})[gap.metric] = gap
    names = main_gaps()
    columns = ["Method"]
    for name in names:
        columns += [metric_name(name), "by chance", "95 % of chance below"]
    rows = []
    for row, gaps in by_row.items():
        cells = [(gaps[m].value, gaps[m].null_mean, gaps[m].null_quantile) for m in names]
        rows.append(
            [marked(row, marks.get(row, "")), *(number(value) for cell in cells for value in cell)]
        )
    return Table("Gaps beside what chance alone gives one network, means over seeds", columns, rows)


def _label(metric: str) -> str:
    return metric_name(metric) if metric in METRICS else {GAP: "F1 gap"}.get(metric, metric)


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


def _known(value: Any, sign: str = "") -> str:
    return "" if value is None or math.isnan(value) else f"{value:{sign}.3f}"


def _p_text(p: float) -> str:
    if math.isnan(p):
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
