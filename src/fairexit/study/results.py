"""Everything that a study's finished runs say, written into its folder."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from fairexit.errors import UserError
from fairexit.files import folder_lock, write_atomically
from fairexit.metrics.record import main_gaps
from fairexit.plugins import portable
from fairexit.report.vocabulary import metric_name
from fairexit.runs import Run
from fairexit.stats.seeds import MAX_SEEDS
from fairexit.study.against import against_others, against_table
from fairexit.study.collect import Pooled, pool, run_tables
from fairexit.study.figures import write_figures
from fairexit.study.folder import Folder, State
from fairexit.study.outcomes import Verdict
from fairexit.study.paper import CLASSES, Printed, common_name, printed
from fairexit.study.paper_tables import inactive, marked, write_tables
from fairexit.study.plan import Study
from fairexit.study.verdicts import Chance, chance, judge
from fairexit.tables import Table, number

TABLES = "tables"
WAIT = 300
"""Seconds for another process to have written them."""
COUNTED = (
    "For and against count single comparisons at 95 %; a contradiction is asked for at a level at "
    "which all comparisons of the claim together err 5 times in 100."
)
EMPTY = (
    "No printed difference stands where the paper shows a figure only. Of one seed an interval "
    "covers the images alone: it speaks of these networks, and there is no word on the method."
)


def write_results(study: Study, folder: Folder) -> list[tuple[Table, str]]:
    """Write `results.csv`, `exits.csv`, and for each dataset tables, figures and verdicts.

    Everything follows from the finished runs' files alone.

    Returns:
        The tables to show, each with the note under it.
    Raises:
        UserError: no run is done.
    """
    # Not the study's own lock: one may look at the tables while it runs.
    with folder_lock(folder.path / TABLES, wait=WAIT):
        states = folder.states(study)
        if all(state.what != "done" for state in states.values()):
            trained = sum(state.what == "trained" for state in states.values())
            why = f"; {trained} are trained but not evaluated in this way: run the study to do so"
            raise UserError(f"{folder.path}: no run of the study is done" + why * bool(trained))
        write_runs(study, folder, states)
        # Wholly made anew, so that nothing in it is older than the runs.
        fresh = folder.path / f".{TABLES}.partial"
        shutil.rmtree(fresh, ignore_errors=True)
        workers = min(len(study.datasets), os.cpu_count() or 1)
        parts = Parallel(n_jobs=workers, backend="loky")(
            delayed(portable(_write_dataset))(study, folder, states, fresh / dataset, dataset)
            for dataset in study.datasets
        )
        shutil.rmtree(folder.path / TABLES, ignore_errors=True)
        fresh.rename(folder.path / TABLES)
    return [table for part in parts for table in part]


def write_runs(study: Study, folder: Folder, states: Mapping[str, State]) -> None:
    """Write `results.csv`, a row for each run, and `exits.csv`."""
    for name, frame in zip(("results", "exits"), run_tables(study, folder, states), strict=True):
        content = frame.to_csv(index=False, float_format="%.6g")
        write_atomically(folder.path / f"{name}.csv", content)


def _write_dataset(
    study: Study, folder: Folder, states: Mapping[str, State], *, out: Path, dataset: str
) -> list[tuple[Table, str]]:
    pooled = pool(study, folder, states, dataset)
    if not pooled:
        return []
    data = pooled[0].runs[0].description["data"]["name"]
    paper = printed(data, pooled[0].group)
    note = _unlike_print(pooled[0], paper) + settings_note(study, pooled)
    tables = write_tables(pooled, paper, folder=out, title=dataset, note=note)
    write_figures(pooled, out, dataset)
    against = against_others(pooled, study.against)
    write_atomically(out / "against.csv", against.to_csv(index=False, float_format="%.6g"))
    beside = against_table(against)
    text = f"# {dataset}: {beside.title}\n\n{beside.to_markdown()}\n{note}"
    write_atomically(out / "against.md", text)
    verdicts, floors = judge(pooled, paper, data), chance(pooled)
    marks = row_marks(pooled)
    frame = verdict_frame(verdicts, marks)
    write_atomically(out / "verdicts.csv", frame.to_csv(index=False, float_format="%.6g"))
    words, comparisons = word_table(verdicts), outcome_table(frame)
    gaps = chance_table(floors, marks)
    of_claims = pd.DataFrame(words.rows, columns=["claim", "text", *words.columns[2:]])
    write_atomically(out / "claims.csv", of_claims.to_csv(index=False))
    of_chance = pd.DataFrame([asdict(one) for one in floors])
    write_atomically(out / "chance.csv", of_chance.to_csv(index=False, float_format="%.6g"))
    parts = [f"# {dataset}: the paper's claims\n\n{words.to_markdown()}\n{COUNTED} {note}"]
    parts += [f"## {comparisons.title}\n\n{comparisons.to_markdown()}\n{EMPTY}\n"]
    parts += [f"## {gaps.title}\n\n{gaps.to_markdown()}"]
    write_atomically(out / "verdicts.md", "\n".join(parts))
    return [*tables, (beside, ""), (words, f"Comparisons: {TABLES}/{dataset}/verdicts.md")]


def row_marks(pooled: Sequence[Pooled]) -> dict[str, str]:
    """Row -> what its method hardly did, for the rows of which there is such a thing to say."""
    runs: dict[str, list[Run]] = {}
    for one in pooled:
        runs.setdefault(one.row, []).extend(one.runs)
    marks = {row: inactive(of_row) for row, of_row in runs.items()}
    return {row: mark for row, mark in marks.items() if mark}


def _unlike_print(one: Pooled, paper: Printed | None) -> str:
    """What makes the printed numbers those of another task or network."""
    if paper is None:
        return ""
    theirs, ours = CLASSES[paper.dataset], len(one.classes)
    backbone = one.runs[0].config.model.backbone
    text = ""
    if theirs != ours:
        text += (
            f"**The printed numbers are of {theirs} classes, ours of {ours}: not the same task.** "
        )
    if paper.backbone != backbone:
        text += f"**The printed numbers are of {paper.backbone}, ours of {backbone}.** "
    return text


def settings_note(study: Study, pooled: Sequence[Pooled]) -> str:
    """The budget of every method, as stands under each table."""
    seeds = sorted({one.seed for one in pooled})
    here = {one.row for one in pooled}
    missing = [row for row in study.rows if row not in here]
    choice = study.choice
    searched = {row: trials for row, trials in study.trials.items() if row in here}
    listed, folds = ", ".join(map(str, seeds)), len(pooled[0].runs)
    over = f"Mean ± standard deviation over the seeds {listed}" if len(seeds) > 1 else "One seed"
    sentences = [
        f"{over}; * marks the best mean; paper: the printed number. {len(pooled[0].ids)} "
        + (f"images, each answered out of fold ({folds} folds)." if folds > 1 else "test images."),
        f"Each method: {_budget(pooled[0])} on validation, theta by rule {choice.rule} on "
        f"validation (tolerance {choice.tolerance:g}).",
        "Hyper-parameters as the study sets them"
        + "".join(f"; of {row} searched over {n} trials" for row, n in searched.items())
        + ".",
    ]
    sentences += _exceptions(pooled, seeds)
    sentences += [f"{row}: {mark}." for row, mark in row_marks(pooled).items()]
    if missing:
        sentences.append(f"Not run{' in every fold' * (folds > 1)}: {', '.join(missing)}.")
    return " ".join(sentences) + "\n"


def _exceptions(pooled: Sequence[Pooled], seeds: Sequence[int]) -> list[str]:
    """Rows with fewer seeds than others, or with another budget than the first row."""
    sentences, usual = [], _budget(pooled[0])
    for row in dict.fromkeys(one.row for one in pooled):
        mine = [one for one in pooled if one.row == row]
        if len(mine) < len(seeds):
            have = ", ".join(str(one.seed) for one in mine)
            sentences.append(f"{row} has only seed{'s' * (len(mine) > 1)} {have}.")
        if _budget(mine[0]) != usual:
            sentences.append(f"But {row}: {_budget(mine[0])}.")
    return sentences


def _budget(one: Pooled) -> str:
    config = one.runs[0].config
    further = config.prune.finetune if config.prune is not None else 0
    text = f"{config.train.epochs} epochs, the epoch with the best {config.train.select}"
    return text + (f", and {further} of fine-tuning" if further else "")


def word_table(verdicts: Sequence[Verdict]) -> Table:
    """The word on each claim."""
    rows = []
    for verdict in verdicts:
        done = [o for o in verdict.outcomes if o is not None]
        held = sum(outcome.word == "holds" for outcome in done)
        against = sum(outcome.bounds.high < 0 for outcome in done)
        counts = [str(n) for n in (len(verdict.outcomes), len(done), held, against)]
        rows.append([str(verdict.claim.number), verdict.claim.text, verdict.word, *counts])
    columns = ["Claim", "", "Verdict", "Comparisons", "run", "for", "against"]
    return Table("Verdicts", columns, rows, 3)


def verdict_frame(verdicts: Sequence[Verdict], marks: Mapping[str, str]) -> pd.DataFrame:
    """Every comparison: ours, the printed difference, and what the design could have shown.

    `enough`: whether this design would have found the printed difference in 80 of 100 studies.
    `mark`: what the methods of the compared rows hardly did in any run.
    """
    rows = []
    # What is so in some runs only stands in the note.
    of = {common_name(row): mark for row, mark in marks.items() if " in " not in mark}
    for verdict in verdicts:
        for comparison, o in zip(verdict.claim.comparisons, verdict.outcomes, strict=True):
            row: dict[str, object] = {"claim": verdict.claim.number, "comparison": str(comparison)}
            sides = [side.row for side in (comparison.a, comparison.b) if side is not None]
            row["mark"] = ", ".join(dict.fromkeys(of[side] for side in sides if side in of))
            if o is None:
                rows.append(row | {"word": "not run"})
                continue
            seeds, images = o.needed or (None, None)
            effect = 0 if o.paper is None else comparison.sign * o.paper + comparison.margin
            rows.append(
                row
                | {"word": o.word, "seeds": o.seeds, "a": o.a, "b": o.b}
                | {"difference": o.difference, "low": o.low, "high": o.high}
                | {"paper": np.nan if o.paper is None else o.paper, "smallest": o.smallest}
                | {"enough": effect >= o.smallest, "seeds_needed": seeds, "images_needed": images}
            )
    return pd.DataFrame(rows)


def outcome_table(frame: pd.DataFrame) -> Table:
    """The same to read."""
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
    if row["word"] != "not decided" or np.isnan(row["paper"]):
        return ""
    if np.isnan(row["images_needed"]):
        return "nothing: within the margin, or the other way"
    if row["enough"]:
        return "this design; ours lies elsewhere"
    images = f"{row['images_needed']:.0f} images"
    if np.isnan(row["seeds_needed"]):
        return f"of these networks {images}"
    most = ">= " * (row["seeds_needed"] >= MAX_SEEDS)
    return f"{most}{row['seeds_needed']:.0f} seeds, {images}"


def chance_table(found: Sequence[Chance], marks: Mapping[str, str]) -> Table:
    """The main gaps beside what chance alone gives one network."""
    by_row: dict[str, dict[str, Chance]] = {}
    for one in found:
        by_row.setdefault(one.row, {})[one.metric] = one
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
