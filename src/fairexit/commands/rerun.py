"""fairexit rerun."""

from pathlib import Path
from typing import Annotated

import typer

from fairexit.commands.common import Plugins, RunPath, show
from fairexit.processes import is_first
from fairexit.terminal import say

EXAMPLE = "fairexit rerun runs/me --out runs/me-again"

DIFFERENT = 1
"""Exit status where the repetition is not the same."""


def rerun(
    run: RunPath,
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder of the repetition.")],
    plugins: Plugins = None,
) -> None:
    """Repeat a run from its record, and compare weights, log and predictions.

    Everything is made anew from the settings, also a run that was pruned or refitted from another
    one. On the same machine and versions a CPU gives the same bits. Resumes automatically if
    interrupted. The exit status is 1 if a number differs.
    """
    from fairexit.api.training import rerun as rerun_run
    from fairexit.tables import Table

    repeated = rerun_run(run, out)
    if not is_first():
        return
    rows = [
        [part.name, "yes" if part.difference == 0 else "no", f"{part.difference:.3g}", part.detail]
        for part in repeated.parts
    ]
    columns = ["Part", "Same bits", "Largest difference", "Detail"]
    show(Table(f"{run} and its repetition {out}", columns, rows))
    for name, (before, now) in repeated.changed.items():
        say(f"{name} was {before}, and is {now}")
    if repeated.equal:
        say("The repetition is the same to the last bit.")
        return
    say(
        "The repetition differs. "
        + (
            "Versions or the machine have changed, which may be why."
            if repeated.changed
            else "Versions and machine are those of the record: a GPU, another number of threads, "
            "or a plugin may be why."
        )
    )
    raise typer.Exit(DIFFERENT)
