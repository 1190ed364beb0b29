"""fairexit train."""

import os
from pathlib import Path
from typing import Annotated

import typer

from fairexit.commands.common import Changes, Configuration, Plugins
from fairexit.terminal import say

EXAMPLE = "fairexit train configs/small_resnet18.yaml --out runs/me --set seed=1"


def train(
    config: Configuration,
    *,
    out: Annotated[Path, typer.Option("--out", help="The run's folder.")],
    changes: Changes = None,
    plugins: Plugins = None,
) -> None:
    """Train a run and, if its settings say so, prune it.

    Resumes automatically if interrupted.
    """
    from fairexit.api import train as train_run

    run = train_run(config, out, changes or [])
    # With several devices, each process runs this command.
    if os.environ.get("LOCAL_RANK", "0") == "0":
        say(f"trained: {run.path} (next: fairexit predict {run.path})")
