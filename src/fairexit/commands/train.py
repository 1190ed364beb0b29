"""fairexit train."""

import os
from pathlib import Path
from typing import Annotated

import typer


def train(
    config: Annotated[Path, typer.Argument(help="YAML file; see configs/.")],
    out: Annotated[Path, typer.Option("--out", help="The run's folder.")],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="As train.epochs=10. Repeatable."),
    ] = None,
) -> None:
    """Train a run, and prune it if asked. Killed and called again, it goes on where it was."""
    from fairexit.config import load_config
    from fairexit.pipeline import make_run

    run = make_run(load_config(config, changes), out)
    # With several devices this runs once in each process.
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print(f"trained: {run.path} (next: fairexit predict {run.path})")
