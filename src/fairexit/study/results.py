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
from fairexit.study.collect import Pooled, pool, run_tables
from fairexit.study.figures import write_figures
from fairexit.study.folder import Folder, State
from fairexit.study.notes import print_note, row_marks, settings_note
from fairexit.study.paper import Printed, printed
from fairexit.study.paper_tables import write_tables
from fairexit.study.plan import Study
from fairexit.study.verdict_tables import chance_table, claim_table, outcome_table, verdict_frame
from fairexit.study.verdicts import chance, judge
from fairexit.tables import Table

TABLES = "tables"
PARTIAL = f".{TABLES}.partial"
WAIT = 300
"""Seconds to wait while another process writes the tables."""
COUNTED = (
    "For and against count single comparisons at 95 %; a claim is contradicted at the level at "
    "which all of its comparisons together err 5 times in 100."
)
EMPTY = (
    "The printed difference is empty where the paper shows only a figure. With one seed an "
    "interval covers the images alone: it is valid for these networks, and gives no verdict on the "
    "method."
)


def write_results(study: Study, folder: Folder) -> list[tuple[Table, str]]:
    """Write `results.csv`, `exits.csv`, and for each dataset tables, figures and verdicts.

    Only the files of finished runs are read.

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
            delayed(portable(_write_dataset))(study, folder, states, dataset)
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
    study: Study, folder: Folder, states: Mapping[str, State], dataset: str
) -> list[tuple[Table, str]]:
    out = folder.path / PARTIAL / dataset
    pooled = pool(study, folder, states, dataset)
    if not pooled:
        return []
    data = pooled[0].runs[0].description["data"]["name"]
    paper = printed(data, pooled[0].group)
    note = print_note(pooled[0], paper) + settings_note(study, pooled)
    tables = write_tables(pooled, paper, folder=out, title=dataset, note=note)
    write_figures(pooled, out, dataset)
    against = against_others(pooled, study.against)
    write_csv(out / "against.csv", against)
    table = against_table(against)
    text = f"# {dataset}: {table.title}\n\n{table.to_markdown()}\n{note}"
    write_atomically(out / "against.md", text)
    verdicts = _write_verdicts(pooled, paper, out, title=dataset, note=note)
    return [*tables, (table, ""), (verdicts, f"Comparisons: {TABLES}/{dataset}/verdicts.md")]


def _write_verdicts(
    pooled: Sequence[Pooled], paper: Printed | None, out: Path, *, title: str, note: str
) -> Table:
    """Write the verdicts, their comparisons and the gaps by chance.

    Returns:
        The table of the verdicts.
    """
    data = pooled[0].runs[0].description["data"]["name"]
    verdicts, chances, marks = judge(pooled, paper, data), chance(pooled), row_marks(pooled)
    frame = verdict_frame(verdicts, marks)
    write_csv(out / "verdicts.csv", frame)
    write_csv(out / "chance.csv", pd.DataFrame([asdict(row) for row in chances]))
    claims = claim_table(verdicts)
    columns = ["claim", "text", *claims.columns[2:]]
    write_csv(out / "claims.csv", pd.DataFrame(claims.rows, columns=columns))
    comparisons, gaps = outcome_table(frame), chance_table(chances, marks)
    parts = [f"# {title}: the paper's claims\n\n{claims.to_markdown()}\n{COUNTED} {note}"]
    parts += [f"## {comparisons.title}\n\n{comparisons.to_markdown()}\n{EMPTY}\n"]
    parts += [f"## {gaps.title}\n\n{gaps.to_markdown()}"]
    write_atomically(out / "verdicts.md", "\n".join(parts))
    return claims
