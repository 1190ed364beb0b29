"""fairexit study."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fairexit.commands.common import Gpus, Plugins, Ray, check_exists, open_executor, show
from fairexit.errors import UserError
from fairexit.terminal import say

if TYPE_CHECKING:
    from fairexit.study.folder import Folder
    from fairexit.study.plan import Study

EXAMPLE = "fairexit study configs/studies/cpu.yaml --out study --workers 2 --plan"


def study(
    plan_file: Annotated[
        Path, typer.Argument(metavar="STUDY.yaml", help="The grid of runs; see configs/studies/.")
    ],
    *,
    out: Annotated[Path, typer.Option("--out", help="The study's folder.")],
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of runs at a time on this machine.",
            show_default="1; with --ray, as many as the cluster has CPUs and GPUs for",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, help="CPU threads of each run.", show_default="all, shared; with --ray 1"
        ),
    ] = None,
    ray: Ray = None,
    gpus: Gpus = None,
    part: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Make only part I of N, as in the array jobs of a cluster; runs that need each "
            "other are in one part. Nothing is collected.",
            show_default="all runs",
        ),
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

    Resumes automatically if interrupted. On several machines: --ray on a Ray cluster, or --part in
    the array jobs of Slurm and then --collect.
    """
    if calibrate and not plan:
        raise UserError("--calibrate belongs to --plan")
    if collect and plan:
        raise UserError("--plan and --collect exclude each other; give one of them")
    if ray is not None and (workers or part or plan or collect):
        raise UserError("--ray excludes --workers, --part, --plan and --collect")
    if ray is None and gpus is not None:
        raise UserError("--gpus belongs to --ray")
    if part is not None and collect:
        raise UserError("--collect is for the whole study; leave out --part")
    check_exists(plan_file)
    from fairexit.extras import require

    require("train", "fairexit study")
    from fairexit.study.load import load_study
    from fairexit.study.parts import part_of
    from fairexit.study.tuned import FOLDER

    def load() -> "Study":
        return load_study(plan_file, tuning=out / FOLDER)

    whole = load()
    grid = whole if part is None else part_of(whole, part)
    from fairexit.study.figure_rows import check_figure_rows
    from fairexit.study.folder import Folder

    check_figure_rows(grid, figure_row or [])
    folder = Folder(out)
    if plan:
        folder.check()
        _show_plan(grid, folder, workers or 1, threads=threads, calibrate=calibrate)
    elif collect:
        _check_collectable(grid, folder)
        _finish(grid, folder, folder.refused(grid), figure_row or [])
    else:
        folder.check()
        from fairexit.study.calibration import share_threads
        from fairexit.study.engine import run_study, tune_study

        if ray is None:
            threads = share_threads(workers or 1, threads)
        with open_executor(ray, out, workers=workers or 1, threads=threads, gpus=gpus) as executor:
            if grid.searches:
                tune_study(grid, folder, executor)
            if grid.part and whole.searches:
                say(f"part {part}: its rows are tuned; make the parts again when all rows are")
                return
            if grid.searches:
                grid = load()
            failed = run_study(grid, folder, executor)
        _finish(grid, folder, failed, figure_row or [])


def _show_plan(
    grid: "Study", folder: "Folder", workers: int, *, threads: int | None, calibrate: bool
) -> None:
    """Print the runs, their states and the time left."""
    from fairexit.study.overview import image_sentences, overview

    view = overview(grid, folder, workers, threads, calibrate=calibrate)
    show(view.table)
    for sentence in image_sentences(grid):
        say(sentence)
    say(view.total + "; --calibrate times a few steps" * view.can_calibrate)
    if grid.searches:
        number = grid.searches[0].how.trials
        say(f"before them, {len(grid.searches)} rows are tuned, with {number} trials each")


def _check_collectable(grid: "Study", folder: "Folder") -> None:
    """Raise a UserError if nothing can be collected yet."""
    if grid.searches:
        raise UserError(
            f"{len(grid.searches)} rows are not tuned yet, so there is nothing to collect of them; "
            "run the study without --collect"
        )
    if not folder.check():
        raise UserError(f"{folder.path} is not a study yet, so there is nothing to collect")


def _finish(
    grid: "Study", folder: "Folder", failed: Mapping[str, str], figure_rows: Sequence[str]
) -> None:
    """Write and print the results, unless this is a part, and what failed."""
    from fairexit.study.results import write_results
    from fairexit.study.run_groups import by_reason

    if not grid.part:
        for table, remark in write_results(grid, folder, figure_rows):
            show(table)
            say(remark)
    for line in by_reason(grid, failed):
        say(f"failed: {line}")
    made = f"study: {folder.path}" if not grid.part else f"part {grid.part}: {len(grid.runs)} runs"
    say(f"{made} ({len(failed)} run{'s' * (len(failed) > 1)} failed)" if failed else made)
    if failed:
        raise typer.Exit(1)
