"""fairexit study."""

from pathlib import Path
from typing import Annotated

import typer

from fairexit.commands.common import Plugins, show


def study(
    plan_file: Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="See configs/studies/.")],
    out: Annotated[Path, typer.Option("--out", help="The study's folder.")],
    workers: Annotated[int, typer.Option(min=1, help="Runs at a time.")] = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads of each run; by default all, shared.")
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only show the runs, what is done and what is left.")
    ] = False,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="With --plan: time a few steps of unknown runs.")
    ] = False,
    collect: Annotated[
        bool, typer.Option("--collect", help="Train nothing; tables and verdicts of what is done.")
    ] = False,
    plugins: Plugins = None,
) -> None:
    """Make every run of a grid, then tables, figures and a verdict on each claim of the paper."""
    from fairexit.errors import UserError
    from fairexit.study.engine import run_study
    from fairexit.study.folder import Folder
    from fairexit.study.load import load_study
    from fairexit.study.overview import overview, share_threads
    from fairexit.study.results import write_results

    if calibrate and not plan:
        raise UserError("--calibrate belongs to --plan")
    if collect and plan:
        raise UserError("--plan and --collect are two calls; give one of them")
    found, folder = load_study(plan_file), Folder(out)
    started = folder.check()
    if plan:
        show(overview(found, folder, workers, threads, calibrate=calibrate))
        return
    failed: dict[str, str] = {}
    if not collect:
        failed = run_study(found, folder, workers, share_threads(workers, threads))
    elif not started:
        raise UserError(f"{out} is no study yet: nothing to collect")
    else:
        failed = folder.refused(found)
    for table, note in write_results(found, folder):
        show(table)
        print(note)
    for name, why in failed.items():
        print(f"failed: {name}: {why}")
    runs = f"{len(failed)} run{'s' * (len(failed) > 1)}"
    print(f"study: {out} ({runs} failed)" if failed else f"study: {out}")
    if failed:
        raise typer.Exit(1)
