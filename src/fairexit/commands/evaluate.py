"""fairexit evaluate."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from fairexit.commands.common import Group, Plugins, show


def evaluate(
    source: Annotated[
        Path, typer.Argument(metavar="RUN_OR_FILE", help="A run, or a table of predictions.")
    ],
    split: Annotated[str, typer.Option(help="The split that is measured.")] = "test",
    group: Group = None,
    threshold: Annotated[
        str, typer.Option(help="auto (chosen on validation), policy (stored), or theta.")
    ] = "auto",
    rule: Annotated[str, typer.Option(help="How auto chooses: eodd or f1.")] = "eodd",
    tolerance: Annotated[float, typer.Option(help="Loss of F1 that rule eodd allows.")] = 0.01,
    grid: Annotated[
        str | None, typer.Option(help="Thetas that auto tries, as 0.8,0.9,0.999.")
    ] = None,
    fallback: Annotated[
        str, typer.Option(help="Nobody sure: the final exit, or the most_confident.")
    ] = "final",
    empty: Annotated[
        Literal["exclude", "zero"], typer.Option(help="Rates without images.")
    ] = "exclude",
    prob_prefix: Annotated[
        str | None, typer.Option(help="What probability columns of a file begin with.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    plugins: Plugins = None,
) -> None:
    """Print the paper's table; for a run, write metrics.json and the policy."""
    from fairexit.evaluation.assess import assess, parse_choice
    from fairexit.evaluation.evaluate import ONE_ANSWER
    from fairexit.report import evaluation_tables as tables

    choice = parse_choice(threshold, grid, rule, tolerance, fallback)
    found = assess(
        source, split=split, group=group, choice=choice, empty=empty, prob_prefix=prob_prefix
    )
    if as_json:
        print(json.dumps(found.evaluation.to_dict(), indent=2))
        return
    show(tables.fairness_table([found]))
    show(tables.summary_table([found]))
    if len(found.predictions.exit_names) > 1:
        show(tables.exit_table(found))
    if found.evaluation.only_answer:
        print(f"note: {ONE_ANSWER.format(found.evaluation.only_answer)}")
    what = "left out of the gaps" if empty == "exclude" else "its rates count 0"
    for name, label in found.evaluation.empty_cells:
        print(f"note: no image of class '{label}' in group '{name}'; {what}")
