"""Write the results of a study's finished runs into its folder."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
from joblib import Parallel, delayed

from fairexit.csv_files import write_csv
from fairexit.errors import UserError
from fairexit.files import folder_lock, write_atomically
from fairexit.latex import latex
from fairexit.plugins import portable
from fairexit.study.against import against_others, against_table
from fairexit.study.chance import chance
from fairexit.study.claims import claims
from fairexit.study.collect import Pooled, pool, run_tables
from fairexit.study.drawn import draw_study, exit_names
from fairexit.study.figures import write_figures
from fairexit.study.folder import Folder, State
from fairexit.study.notes import left_out_note, print_note, row_marks, settings_note
from fairexit.study.outcomes import ClaimOutcome
from fairexit.study.paper import printed, row_names
from fairexit.study.paper_tables import write_tables
from fairexit.study.plan import Study
from fairexit.study.repair_tables import write_repairs
from fairexit.study.repairs import further_draws, planted_cause
from fairexit.study.verdict_tables import (
    chance_table,
    claim_table,
    depth_table,
    outcome_table,
    verdict_frame,
)
from fairexit.study.verdicts import design_of, judge
from fairexit.tables import Table

TABLES = "tables"
PARTIAL = f".{TABLES}.partial"
WAIT = 300
"""Seconds to wait while another process writes the tables."""
RULE = (
    "The word rests on the primary comparison and the condition; forms are those for which it is "
    "true. Intervals of a claim's two forms are of 97.5 % each, all others of 95 %. Smallest "
    "shown: the smallest true difference that 80 of 100 studies of this design show."
)
ARROWS = "Arrows: whether higher or lower is better."
PRIMARY = (
    "Intervals of the two forms of Eopp1 are of 97.5 % each, all others of 95 %. Lies: where the "
    "interval lies, for the claim, against it, or open. Smallest shown: the smallest true "
    "difference that 80 of 100 studies of this design show."
)
DEPTH = (
    "SNNL: soft nearest neighbour loss; the change is its mean difference from one position to the "
    "next, in nats per position. Change if independent: the same with permuted labels, of which "
    "the features know nothing. A change near it says nothing of the label. The paper prints a "
    "change relative to the position before, which is shown here in nats of our SNNL."
)
SECONDARY = (
    "Each interval is of 95 %; p-values are corrected together for each claim by Holm's method. "
    "These comparisons give no word. The printed difference is empty where the paper shows only a "
    "figure, or does not print the metric. With one seed an interval covers the images alone: it "
    "is valid for these networks, and gives no verdict on the method."
)


def write_results(
    study: Study, folder: Folder, figure_rows: Sequence[str] = ()
) -> list[tuple[Table, str]]:
    """Write `results.csv`, `exits.csv`, and for each dataset tables, figures and verdicts.

    Only the files of finished runs are read.

    Args:
        study: the study.
        folder: its folder.
        figure_rows: rows of Figures 2a and 2b; by default the first that the paper shows.
    Returns:
        The tables to show, each with the note under it.
    Raises:
        UserError: no run is done, or the results of one are damaged.
    """
    # A lock of its own, so that tables can be written while the study runs.
    with folder_lock(folder.path / TABLES, wait=WAIT):
        states = folder.states(study)
        if all(state.phase != "done" for state in states.values()):
            trained = sum(state.phase == "trained" for state in states.values())
            hint = f"; {trained} are trained but not evaluated in this way: run the study to do so"
            raise UserError(f"{folder.path}: no run of the study is done" + hint * bool(trained))
        write_runs(study, folder, states)
        # Written from scratch, so that no file in it is older than the runs.
        partial = folder.path / PARTIAL
        shutil.rmtree(partial, ignore_errors=True)
        workers = min(len(study.datasets), os.cpu_count() or 1)
        parts = Parallel(n_jobs=workers, backend="loky")(
            delayed(portable(_write_dataset))(
                study, folder, states, dataset, figure_rows=figure_rows
            )
            for dataset in study.datasets
        )
        shutil.rmtree(folder.path / TABLES, ignore_errors=True)
        partial.rename(folder.path / TABLES)
    return [table for part in parts for table in part]


def write_runs(study: Study, folder: Folder, states: Mapping[str, State]) -> None:
    """Write `results.csv`, a row for each run, and `exits.csv`."""
    for name, frame in zip(("results", "exits"), run_tables(study, folder, states), strict=True):
        write_csv(folder.path / f"{name}.csv", frame)


def _write_dataset(
    study: Study,
    folder: Folder,
    states: Mapping[str, State],
    dataset: str,
    *,
    figure_rows: Sequence[str],
) -> list[tuple[Table, str]]:
    out = folder.path / PARTIAL / dataset
    pooled = pool(study, folder, states, dataset)
    if not pooled:
        return []
    data = pooled[0].runs[0].description["data"]["name"]
    paper = printed(data, pooled[0].group)
    note = print_note(pooled[0], paper) + settings_note(study, pooled)
    tables = write_tables(pooled, paper, folder=out, title=dataset, note=note)
    write_figures(pooled, folder=out, title=dataset, rows=figure_rows)
    names = row_names(study.rows)
    listed = claims(paper, data, exit_names(pooled), names)
    planted = planted_cause(pooled)
    sides, measures = further_draws(pooled) if planted else ((), {})
    drawn = draw_study(pooled, listed, paper, further_sides=sides, further_measures=measures)
    note = left_out_note(drawn) + note
    against = against_others(pooled, study.against, drawn)
    write_csv(out / "against.csv", against)
    table = against_table(against)
    text = f"# {dataset}: {table.title}\n\n{table.to_markdown()}\n{ARROWS} {note}"
    write_atomically(out / "against.md", text)
    _write_latex(out, "against", table, [ARROWS, note])
    if planted:
        tables += write_repairs(pooled, drawn, planted, folder=out, note=note)
    design = design_of(pooled)
    results = judge(pooled, listed, drawn, paper=paper, design=design, names=names)
    verdicts = _write_verdicts(results, pooled, out, title=dataset, note=note)
    remark = f"{left_out_note(drawn)}Comparisons: {TABLES}/{dataset}/verdicts.md"
    return [*tables, (table, ""), (verdicts, remark)]


def _write_verdicts(
    results: Sequence[ClaimOutcome], pooled: Sequence[Pooled], out: Path, *, title: str, note: str
) -> Table:
    """Write the verdicts, their comparisons and the gaps by chance.

    Returns:
        The table of the verdicts.
    """
    chances, marks = chance(pooled), row_marks(pooled)
    frame = verdict_frame(results, marks)
    write_csv(out / "verdicts.csv", frame)
    write_csv(out / "chance.csv", pd.DataFrame([asdict(row) for row in chances]))
    words = claim_table(results)
    columns = ["claim", "text", *words.columns[2:]]
    write_csv(out / "claims.csv", pd.DataFrame(words.rows, columns=columns))
    sixth = frame["claim"] == 6
    first = frame["role"] != "secondary"
    parts = {
        "primary": (
            outcome_table(frame[first], "Primary comparisons and conditions"),
            f"{ARROWS} {PRIMARY}",
        ),
        "secondary": (
            outcome_table(frame[~first & ~sixth], "Secondary comparisons"),
            f"{ARROWS} {SECONDARY}",
        ),
        "entanglement": (depth_table(frame[sixth], "Entanglement by depth"), DEPTH),
        "chance": (chance_table(chances, marks), ARROWS),
    }
    texts = [f"# {title}: the paper's claims\n\n{words.to_markdown()}\n{ARROWS} {RULE} {note}"]
    _write_latex(out, "claims", words, [f"{ARROWS} {RULE}", note])
    for name, (table, text) in parts.items():
        if not table.rows:  # no entanglement was measured
            continue
        texts.append(f"## {table.title}\n\n{table.to_markdown()}\n{text}\n")
        _write_latex(out, name, table, [text, note])
    write_atomically(out / "verdicts.md", "\n".join(texts))
    return words


def _write_latex(out: Path, name: str, table: Table, notes: Sequence[str]) -> None:
    """Write a table of a dataset as LaTeX, its caption beginning with the dataset's name."""
    captioned = replace(table, title=f"{out.name}: {table.title}")
    write_atomically(out / f"{name}.tex", latex(captioned, f"tab:{out.name}-{name}", notes))
