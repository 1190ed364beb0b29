"""fairexit refit."""

from pathlib import Path
from typing import Annotated

import typer

from fairexit.commands.common import Plugins, RunPath
from fairexit.terminal import say

EXAMPLE = "fairexit refit runs/erm --out runs/dfr --balance groups"


def refit(
    run: RunPath,
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder of the refitted run.")],
    refits: Annotated[
        int, typer.Option(min=1, help="Number of balanced subsamples, whose layers are averaged.")
    ] = 20,
    balance: Annotated[
        str,
        typer.Option(
            help="What is balanced: cells draws the same number from each cell of class and "
            "group, groups the same number from each group of a class."
        ),
    ] = "cells",
    plugins: Plugins = None,
) -> None:
    """Refit the last layers of a finished run on group-balanced held-out data.

    The run must have been trained by the method erm. One half of its validation split is fitted,
    and the other chooses the strength of the L1 penalty; see docs/methods.md.
    """
    from fairexit.api.training import refit as refit_run

    refitted = refit_run(run, out, refits=refits, balance=balance)
    from fairexit.files import read_json
    from fairexit.runs import RETRAIN

    record = read_json(refitted.refit, RETRAIN)
    say(
        f"{record['fitted']} validation images to fit on, {record['subsample']} in each balanced "
        f"subsample; {record['choosing']} to choose C"
    )
    for name, exit in record["exits"].items():
        score = exit["worst_group"][str(exit["C"])]
        say(f"exit {name}: C {exit['C']:g}, balanced accuracy of the worst group {score:.3f}")
    say(f"refitted: {refitted.path} (next: fairexit predict {refitted.path})")
