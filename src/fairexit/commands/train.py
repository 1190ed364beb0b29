"""fairexit train."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fairexit.commands.common import Changes, Configuration, Plugins, whole_numbers
from fairexit.errors import UserError, short
from fairexit.processes import is_first
from fairexit.terminal import say

EXAMPLE = "fairexit train configs/small_resnet18.yaml --out runs/me --set seed=1"


def train(
    config: Configuration,
    *,
    out: Annotated[Path, typer.Option("--out", help="The run's folder.")],
    seeds: Annotated[
        str | None,
        typer.Option(
            help="Several seeds such as 0,1,2, each with a run in the folder seedN of --out; "
            "finished runs are not trained again.",
            show_default="the configuration's seed",
        ),
    ] = None,
    changes: Changes = None,
    tracker: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Send the log of each epoch to mlflow, wandb, trackio or a plugin's tracker too, "
            "with options as in '{name: wandb, project: skin}'; see `fairexit list trackers`.",
            show_default="none",
        ),
    ] = None,
    plugins: Plugins = None,
) -> None:
    """Train a run and, if its settings say so, prune it.

    Resumes automatically if interrupted. A larger train.epochs continues a finished run.
    """
    numbers = None if seeds is None else whole_numbers("--seeds", seeds)
    from fairexit.api.training import train as train_run

    runs = train_run(config, out, changes or [], seeds=numbers, tracker=_tracker(tracker))
    if is_first():
        for run in runs if isinstance(runs, list) else [runs]:
            say(f"trained: {run.path} (next: fairexit predict {run.path})")


def _tracker(text: str | None) -> Any:
    """The value of --tracker: a name, or a section with a name and options."""
    if text is None:
        return None
    from fairexit.yaml_text import parse_yaml

    try:
        return parse_yaml(text)
    except UserError as error:
        raise error.at(f"--tracker {short(text)}") from None
