"""fairexit choose."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fairexit.commands.common import (
    ConfidenceMeasure,
    Fallback,
    Plugins,
    check_exists,
    numbers,
    show,
)
from fairexit.errors import UserError
from fairexit.terminal import say

EXAMPLE = "fairexit choose runs/a runs/b --minimize eodd --cost 0.6"

NOT_MET = 1
"""Exit status where no candidate meets the constraints: an answer, and no error of the user."""


def choose(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs.")],
    *,
    constraints: Annotated[
        list[str] | None,
        typer.Option(
            "--constraint",
            metavar="METRIC>=NUMBER",
            help="What the choice must meet on validation: 'f1 >= 0.7', 'eodd <= 0.1', or relative "
            "to the best value of all candidates, 'f1 >= best - 0.01'; can be repeated.",
            show_default="none",
        ),
    ] = None,
    minimize: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC", help="What is to be low, such as eodd, or cost.", show_default="none"
        ),
    ] = None,
    maximize: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC",
            help="What is to be high, such as f1, in place of --minimize.",
            show_default="none",
        ),
    ] = None,
    cost: Annotated[
        float | None,
        typer.Option(
            help="Largest mean cost of an image, a share of the full network's multiply-adds.",
            show_default="no limit",
        ),
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="The sensitive attribute.", show_default="the runs' own")
    ] = None,
    grid: Annotated[
        str | None,
        typer.Option(
            help="Thresholds that are tried, such as 0.8,0.9,0.999.", show_default="the paper's"
        ),
    ] = None,
    fallback: Fallback = "final",
    confidence_measure: ConfidenceMeasure = "max_probability",
    empty: Annotated[
        Literal["exclude", "zero"],
        typer.Option(help="Leave rates without images out of the gaps, or count them as 0."),
    ] = "exclude",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="A folder for front.csv and a picture of the front.", show_default="none"
        ),
    ] = None,
    store: Annotated[
        bool,
        typer.Option(help="Write policy.json of the chosen run, or only print the choice."),
    ] = True,
    plugins: Plugins = None,
) -> None:
    """Choose a run, and an exit or a threshold, under constraints, on validation.

    The candidates are the exits of every run, and early exit at every threshold. The chosen one
    becomes the policy of its run, which predict, audit and report use. If no candidate meets the
    constraints, the exit status is 1 and nothing is stored.
    """
    check_exists(*runs)
    if out is not None and out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file; name a folder")
    thetas = None if grid is None else numbers("--grid", grid)
    from fairexit.api.choice import choose as choose_among
    from fairexit.report.choice_text import choice_sentences, front_table

    selection = choose_among(
        runs,
        constraints=constraints or (),
        minimize=minimize,
        maximize=maximize,
        cost=cost,
        group=group,
        grid=thetas,
        fallback=fallback,
        confidence_measure=confidence_measure,
        empty=empty,
        out=out,
        store=store,
    )
    show(front_table(selection))
    for sentence in choice_sentences(selection):
        say(sentence)
    if out is not None:
        say(f"written: {out}/front.csv, front.png, front.svg")
    if selection.chosen is None:
        say("No policy was written." if store else "There is nothing to write.")
        raise typer.Exit(NOT_MET)
    if store:
        say(f"written: {selection.chosen_run.policy}")
