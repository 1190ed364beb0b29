"""fairexit tune."""

from pathlib import Path
from typing import Annotated

import typer

from fairexit.commands.common import Plugins, show


def tune(
    config: Annotated[Path, typer.Argument(help="YAML file; see configs/.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the trials.")],
    searched: Annotated[
        list[str],
        typer.Option(
            "--search", metavar="KEY=VALUES", help="As method.weight=0.01:10:log. Repeatable."
        ),
    ],
    trials: Annotated[int, typer.Option(min=1, help="How many settings to try.")] = 8,
    rule: Annotated[str, typer.Option(help="What is best on validation: eodd or f1.")] = "eodd",
    tolerance: Annotated[float, typer.Option(help="Loss of F1 that rule eodd allows.")] = 0.01,
    seed: Annotated[int, typer.Option(min=0, help="Of the proposals.")] = 0,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="As train.epochs=10. Repeatable."),
    ] = None,
    plugins: Plugins = None,
) -> None:
    """Search hyper-parameters on validation. Killed and called again, it goes on where it was."""
    from fairexit.config import load_config
    from fairexit.study.search import parse_axis, search, trial_table

    axes = [parse_axis(text) for text in searched]
    tree = load_config(config, changes).to_dict()
    best, every = search(tree, axes, out, trials=trials, rule=rule, tolerance=tolerance, seed=seed)
    show(trial_table(best, every))
    print(f"best: {out / 'best.yaml'}")
