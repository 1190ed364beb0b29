"""fairexit demo."""

from pathlib import Path
from typing import Annotated

import typer

from fairexit.commands.common import show
from fairexit.terminal import say

EXAMPLE = "fairexit demo --out demo --epochs 3"


def demo(
    *,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for the data, the runs and the page.")
    ] = Path("demo"),
    images: Annotated[int, typer.Option(min=700, help="Number of images to draw.")] = 1600,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of each training.")] = 5,
    seed: Annotated[int, typer.Option(help="Seed of images and training.")] = 0,
) -> None:
    """Plant a cause of unfairness into drawn images, try to repair it, and audit it.

    Three networks are trained: a plain one, one with exits, and a domain-independent one. Nothing
    is downloaded.

    Resumes automatically if interrupted.
    """
    from fairexit.extras import require

    require("train", "fairexit demo")
    from fairexit.demo import demo as run_demo
    from fairexit.report import evaluation_tables as tables

    assessments, verdict = run_demo(out, images=images, epochs=epochs, seed=seed)
    show(tables.fairness_table(assessments))
    show(tables.summary_table(assessments))
    show(tables.exit_table(assessments[1]))
    show(verdict)
    say(f"page: {out / 'index.html'}; audits: {out}/audit-*.html")
