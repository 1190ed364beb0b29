"""Write the results of a study's finished runs into its folder."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from joblib import Parallel, delayed

from fairexit.csv_files import write_csv
from fairexit.errors import UserError
from fairexit.files import folder_lock, write_atomically
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
from fairexit.study.paper import printed
from fairexit.study.paper_tables import write_tables
from fairexit.study.plan import Study
from fairexit.study.repair_tables import write_repairs
from fairexit.study.repairs import further_draws, planted_cause
from fairexit.study.verdict_tables import chance_table, claim_table, outcome_table, verdict_frame
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
    listed = claims(paper, data, exit_names(pooled))
    planted = planted_cause(pooled)
    sides, measures = further_draws(pooled) if planted else ((), {})
    drawn = draw_study(pooled, listed, paper, further_sides=sides, further_measures=measures)
    note = left_out_note(drawn) + note
    against = against_others(pooled, study.against, drawn)
    write_csv(out / "against.csv", against)
    table = against_table(against)
    text = f"# {dataset}: {table.title}\n\n{table.to_markdown()}\n{note}"
    write_atomically(out / "against.md", text)
    write_atomically(out / "against.tex", table.to_latex(f"tab:{dataset}-against", note))
    if planted:
        tables += write_repairs(pooled, drawn, planted, folder=out, note=note)
    results = judge(pooled, listed, drawn, paper=paper, design=design_of(pooled))
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
    write_atomically(out / "claims.tex", words.to_latex(f"tab:{title}-claims", f"{RULE} {note}"))
    columns = ["claim", "text", *words.columns[2:]]
    write_csv(out / "claims.csv", pd.DataFrame(words.rows, columns=columns))
    parts = [f"# {title}: the paper's claims\n\n{words.to_markdown()}\n{RULE} {note}"]
    primary = outcome_table(frame, ("primary", "condition"), "Primary comparisons and conditions")
    secondary = outcome_table(frame, ("secondary",), "Secondary comparisons")
    for table, text in ((primary, ""), (secondary, SECONDARY), (chance_table(chances, marks), "")):
        parts.append(f"## {table.title}\n\n{table.to_markdown()}" + f"\n{text}\n" * bool(text))
    write_atomically(out / "verdicts.md", "\n".join(parts))
    return words
