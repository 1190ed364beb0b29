"""Tables of verdicts, of the comparisons behind them, and of gaps by chance."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fairexit.metrics.record import main_gaps
from fairexit.report.vocabulary import metric_name
from fairexit.stats.seeds import MAX_SEEDS
from fairexit.study.outcomes import ClaimOutcome
from fairexit.study.paper import common_name
from fairexit.study.paper_tables import marked
from fairexit.study.verdicts import Chance
from fairexit.tables import Table, number


def claim_table(results: Sequence[ClaimOutcome]) -> Table:
    """The verdict on each claim, with the numbers of comparisons for and against it."""
    rows = []
    for result in results:
        done = [outcome for outcome in result.outcomes if outcome is not None]
        held = sum(outcome.verdict == "holds" for outcome in done)
        against = sum(outcome.bounds.high < 0 for outcome in done)
        counts = [str(n) for n in (len(result.outcomes), len(done), held, against)]
        rows.append([str(result.claim.number), result.claim.text, result.verdict, *counts])
    columns = ["Claim", "", "Verdict", "Comparisons", "run", "for", "against"]
    return Table("Verdicts", columns, rows, 3)


def verdict_frame(results: Sequence[ClaimOutcome], marks: Mapping[str, str]) -> pd.DataFrame:
    """Every comparison: the measured and the printed difference, and the power of the design.

    Args:
        results: the verdicts on the claims.
        marks: row -> mark, see `row_marks`.

    Columns: `claim`, `comparison`, `mark` (of the compared rows), `word` (the verdict), and, where
    the comparison was run, the fields of `Outcome`; `enough` is whether this design detects the
    printed difference in 80 of 100 studies.
    """
    rows = []
    # A mark that is true of some runs only is mentioned in the note instead.
    unqualified = {common_name(row): mark for row, mark in marks.items() if " in " not in mark}
    for result in results:
        for comparison, o in zip(result.claim.comparisons, result.outcomes, strict=True):
            row: dict[str, object] = {"claim": result.claim.number, "comparison": str(comparison)}
            sides = [side.row for side in (comparison.a, comparison.b) if side is not None]
            shown = [unqualified[side] for side in sides if side in unqualified]
            row["mark"] = ", ".join(dict.fromkeys(shown))
            if o is None:
                rows.append(row | {"word": "not run"})
                continue
            seeds, images = o.needed or (None, None)
            effect = 0 if o.paper is None else comparison.sign * o.paper + comparison.margin
            rows.append(
                row
                | {"word": o.verdict, "seeds": o.seeds, "a": o.a, "b": o.b}
                | {"difference": o.difference, "low": o.low, "high": o.high}
                | {"paper": np.nan if o.paper is None else o.paper, "smallest": o.smallest}
                | {"enough": effect >= o.smallest, "seeds_needed": seeds, "images_needed": images}
            )
    return pd.DataFrame(rows)


def outcome_table(frame: pd.DataFrame) -> Table:
    """The frame of `verdict_frame` as a table to read."""
    rows = []
    for row in frame.to_dict("records"):
        cells = [str(row["claim"]), marked(row["comparison"], row["mark"]), row["word"]]
        if row["word"] == "not run":
            rows.append([*cells, *[""] * 8])
            continue
        values = [f"{row['seeds']:.0f}", number(row["a"]), number(row["b"])]
        values += [f"{row['difference']:+.3f}", f"{row['low']:+.3f}, {row['high']:+.3f}"]
        values += ["" if np.isnan(row["paper"]) else f"{row['paper']:+.3f}"]
        rows.append([*cells, *values, number(row["smallest"]), _would_decide(row)])
    columns = ["Claim", "Comparison", "Verdict", "seeds", "a", "b", "a - b", "95 % interval"]
    columns += ["paper", "Smallest difference shown", "Would decide the paper's"]
    return Table("Comparisons, paired over seeds and test images", columns, rows, 3)


def _would_decide(row: dict[str, Any]) -> str:
    """The seeds and images that would decide the printed difference, in words."""
    if row["word"] != "not decided" or np.isnan(row["paper"]):
        return ""
    if np.isnan(row["images_needed"]):
        return "nothing: within the margin, or the other way"
    if row["enough"]:
        return "this design; ours lies elsewhere"
    images = f"{row['images_needed']:.0f} images"
    if np.isnan(row["seeds_needed"]):
        return f"{images}, for these networks alone"
    most = ">= " * (row["seeds_needed"] >= MAX_SEEDS)
    return f"{most}{row['seeds_needed']:.0f} seeds, {images}"


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
