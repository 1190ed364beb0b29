"""fairexit demo."""

from pathlib import Path
from typing import Annotated

import typer

from fairexit.commands.common import show


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for everything.")] = Path("demo"),
    images: Annotated[int, typer.Option(help="How many to draw.")] = 2500,
    epochs: Annotated[int, typer.Option(min=1, help="Of each training.")] = 6,
    seed: Annotated[int, typer.Option(help="Of images and training.")] = 0,
) -> None:
    """Draw skin lesions, train with and without exits, compare. No download."""
    from fairexit.demo import demo as run
    from fairexit.report import evaluation_tables as tables

    found = run(out, images=images, epochs=epochs, seed=seed)
    show(tables.fairness_table(found))
    show(tables.summary_table(found))
    show(tables.exit_table(found[-1]))
    print(f"page: {out / 'index.html'}")
