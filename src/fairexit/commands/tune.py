"""fairexit tune."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from fairexit.commands.common import (
    Changes,
    Configuration,
    Gpus,
    Plugins,
    Ray,
    Threads,
    open_executor,
    show,
)
from fairexit.errors import UserError
from fairexit.terminal import say

EXAMPLE = "fairexit tune configs/small_resnet18.yaml --out t --search train.lr=0.01,0.1"


def tune(
    config: Configuration,
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder of the trials.")],
    searched: Annotated[
        list[str] | None,
        typer.Option(
            "--search",
            metavar="KEY=VALUES",
            help="A setting to search, as LOW:HIGH, LOW:HIGH:log or A,B,C; can be repeated.",
            show_default="the search space of the method, or of the pruning",
        ),
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="Number of trials.")] = 8,
    rule: Annotated[
        str,
        typer.Option(
            help="Which trial is best on validation: eodd, the one with the lowest Eodd within "
            "the tolerance, or f1, the one with the highest F1."
        ),
    ] = "eodd",
    tolerance: Annotated[
        float, typer.Option(help="Loss of macro F1 that the rule eodd allows.")
    ] = 0.01,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the proposals.")] = 0,
    batch: Annotated[
        int,
        typer.Option(
            min=1,
            help="Number of trials that are proposed together, from the results of the earlier "
            "ones, and with --ray made at the same time. The proposals depend on it.",
        ),
    ] = 1,
    ray: Ray = None,
    threads: Threads = None,
    gpus: Gpus = None,
    changes: Changes = None,
    plugins: Plugins = None,
) -> None:
    """Search for the best settings of a run on validation.

    Without --search, the settings that the method names are searched, see docs/methods.md. Give
    every method that you compare the same number of trials.

    Trials are made in this process, one after the other; with --ray as tasks of a Ray cluster, a
    batch at a time.

    Resumes automatically if interrupted. The test split is never read. A trial that diverged, in
    which one class has 99 % or more of the answers, or whose method had no effect is never the
    best.
    """
    if ray is None and (threads is not None or gpus is not None):
        raise UserError("--threads and --gpus belong to --ray")
    from fairexit.extras import require

    require("search", "fairexit tune")
    from fairexit.config_files import load_config

    settings = load_config(config, changes or [])
    from fairexit.study.search import default_axes, search
    from fairexit.study.trials import parse_axis, trial_table

    axes = [parse_axis(text) for text in searched or []] or default_axes(settings)
    if not searched:
        say(f"searched by default: {', '.join(map(str, axes))}")
    with (
        nullcontext()
        if ray is None
        else open_executor(ray, out, threads=threads, gpus=gpus) as executor
    ):
        best, made = search(
            settings.to_dict(),
            axes,
            out,
            trials=trials,
            rule=rule,
            tolerance=tolerance,
            seed=seed,
            batch=batch,
            executor=executor,
        )
    show(trial_table(best, made))
    if best is None:
        say(
            "no trial is the best: in each the training diverged, one class answers or a part of "
            "the method had no effect; search other values, or train for longer"
        )
    else:
        say(f"best: {out / 'best.yaml'}")
