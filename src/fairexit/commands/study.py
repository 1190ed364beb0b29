"""fairexit study."""

from pathlib import Path
from typing import Annotated

import typer

from fairexit.commands.common import Plugins, check_exists, show
from fairexit.errors import UserError
from fairexit.terminal import say

EXAMPLE = "fairexit study configs/studies/cpu.yaml --out study --workers 2 --plan"


def study(
    plan_file: Annotated[
        Path, typer.Argument(metavar="STUDY.yaml", help="The grid of runs; see configs/studies/.")
    ],
    *,
    out: Annotated[Path, typer.Option("--out", help="The study's folder.")],
    workers: Annotated[int, typer.Option(min=1, help="Number of runs at a time.")] = 1,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="CPU threads of each run.", show_default="all, shared"),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only show the runs, their states and the time left.")
    ] = False,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate", help="With --plan, time a few steps of rows that have not run."
        ),
    ] = False,
    collect: Annotated[
        bool,
        typer.Option("--collect", help="Only write the tables and verdicts of finished runs."),
    ] = False,
    figure_row: Annotated[
        list[str] | None,
        typer.Option(
            "--figure-row",
            help="A row with exits for Figures 2a and 2b; can be repeated.",
            show_default="ME-FairPrune or ME-ERM if it was run, else the first row with exits",
        ),
    ] = None,
    plugins: Plugins = None,
) -> None:
    """Make every run of a grid, then tables, figures and verdicts on the paper's claims.

    Resumes automatically if interrupted.
    """
    if calibrate and not plan:
        raise UserError("--calibrate belongs to --plan")
    if collect and plan:
        raise UserError("--plan and --collect exclude each other; give one of them")
    check_exists(plan_file)
    from fairexit.extras import require

    require("train", "fairexit study")
    from fairexit.study.load import load_study
    from fairexit.study.tuned import FOLDER

    grid = load_study(plan_file, tuning=out / FOLDER)
    from fairexit.study.figure_rows import check_figure_rows

    check_figure_rows(grid, figure_row or [])
    from fairexit.study.calibration import share_threads
    from fairexit.study.engine import run_study, tune_study
    from fairexit.study.folder import Folder
    from fairexit.study.overview import image_sentences, overview
    from fairexit.study.results import write_results
    from fairexit.study.run_groups import by_reason

    folder = Folder(out)
    started = folder.check()
    if plan:
        view = overview(grid, folder, workers, threads, calibrate=calibrate)
        show(view.table)
        for sentence in image_sentences(grid):
            say(sentence)
        say(view.total + "; --calibrate times a few steps" * view.can_calibrate)
        if grid.searches:
            number = grid.searches[0].how.trials
            say(f"before them, {len(grid.searches)} rows are tuned, with {number} trials each")
        return
    failed: dict[str, str] = {}
    if collect and grid.searches:
        raise UserError(
            f"{len(grid.searches)} rows are not tuned yet, so there is nothing to collect of them; "
            "run the study without --collect"
        )
    if grid.searches:
        tune_study(grid, folder)
        grid = load_study(plan_file, tuning=out / FOLDER)
    if not collect:
        failed = run_study(grid, folder, workers, share_threads(workers, threads))
    elif not started:
        raise UserError(f"{out} is not a study yet, so there is nothing to collect")
    else:
        failed = folder.refused(grid)
    for table, note in write_results(grid, folder, figure_row or []):
        show(table)
        say(note)
    for line in by_reason(grid, failed):
        say(f"failed: {line}")
    runs = f"{len(failed)} run{'s' * (len(failed) > 1)}"
    say(f"study: {out} ({runs} failed)" if failed else f"study: {out}")
    if failed:
        raise typer.Exit(1)
