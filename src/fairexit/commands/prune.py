"""fairexit prune."""

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from fairexit.commands.common import Plugins, RunPath, check_device, numbers, options_of, show
from fairexit.config_prune import PruneConfig
from fairexit.terminal import say

EXAMPLE = "fairexit prune runs/me --out runs/me-pruned --ratio 0.2,0.35"


def prune(
    run: RunPath,
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder of the pruned run.")],
    plugins: Plugins = None,
    **settings: Any,
) -> None:
    """Edit a finished run to make it fairer: FairPrune, SCP, FairQuantize, SWiFT.

    Resumes automatically if interrupted.
    """
    from fairexit.api.training import prune as prune_run

    for name in ("ratio", "beta"):
        if settings[name] is not None:
            values = numbers(f"--{name}", settings[name])
            settings[name] = list(values) if len(values) > 1 else values[0]
    pruned = prune_run(run, out, **settings)
    from fairexit.pruning.record import blocks_table, notes, path_table
    from fairexit.runs import read_record

    record = read_record(pruned)
    show(blocks_table(record))
    show(path_table(record))
    for line in notes(record):
        say(line)
    say(f"pruned: {pruned.path} (next: fairexit predict {pruned.path})")


_GIVEN = [p for p in inspect.signature(prune).parameters.values() if p.kind is not p.VAR_KEYWORD]
_SETTINGS = options_of(
    PruneConfig,
    group={"show_default": "the run's own"},
    patience={"show_default": "none: walk all steps"},
    layers={"flag": "--layer", "show_default": "all of them"},
    stages={"flag": "--stage", "show_default": "the last one"},
    ratio={"show_default": "the method's own"},
    beta={"show_default": "the method's own"},
    steps={"show_default": "the method's own"},
    step_epochs={"show_default": "the method's own"},
    finetune_data={"show_default": "train"},
    finetune_lr={"show_default": "a tenth of the run's"},
    device={"callback": check_device},
)
# The settings are defined once, in PruneConfig.
prune.__signature__ = inspect.Signature([*_GIVEN, *_SETTINGS])  # type: ignore[attr-defined]
