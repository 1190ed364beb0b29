"""fairexit entangle."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fairexit.commands.common import Device, Group, OtherData, Plugins, Split, numbers, show
from fairexit.errors import UserError
from fairexit.terminal import say

if TYPE_CHECKING:
    from fairexit.evaluation.entanglement import Entanglement
    from fairexit.runs import Run

EXAMPLE = "fairexit entangle runs/me --temperatures 0.1,1"


def entangle(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="A run, or several that differ only in seed."),
    ],
    *,
    split: Split = "test",
    group: Group = None,
    temperatures: Annotated[
        str, typer.Option(help="Temperatures of the soft nearest neighbour loss.")
    ] = "0.1,0.3,1",
    raw: Annotated[
        bool,
        typer.Option("--raw", help="Use temperatures unscaled, not in mean squared distances."),
    ] = False,
    features: Annotated[
        Literal["pooled", "exits"],
        typer.Option(
            help="Which features: pooled maps of the stages, or inputs of each exit's last layer."
        ),
    ] = "pooled",
    scale: Annotated[
        Literal["none", "unit"],
        typer.Option(help="Leave features unscaled, or scale to length 1."),
    ] = "none",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the results; with several runs, of the results of their mean.",
            show_default="the run's own",
        ),
    ] = None,
    data: OtherData = None,
    device: Device = "auto",
    plugins: Plugins = None,
) -> None:
    """Measure how entangled the attribute and the target are at each depth."""
    if data is not None and out is None:
        raise UserError("--data needs --out: the results are not of the run's own data")
    values = numbers("--temperatures", temperatures)
    from fairexit.extras import require

    require("train", "fairexit entangle")
    from fairexit.runs import open_run

    opened = [open_run(path) for path in runs]
    _check_seeds(opened)
    from fairexit.inference.inputs import open_data

    for run in opened:
        open_data(run, data)
    from fairexit.evaluation.entanglement import mean_over_runs
    from fairexit.inference.entanglement import measure_entanglement
    from fairexit.report.entanglement import entanglement_table

    measured = []
    for run in opened:
        measured.append(
            measure_entanglement(
                run,
                split=split,
                group=group,
                temperatures=values,
                relative=not raw,
                features=features,
                scale=scale,
                data=data,
                device=device,
            )
        )
        show(entanglement_table(measured[-1]))
        if out is None:
            _write(measured[-1], run.path)
    mean = mean_over_runs(measured)
    if len(measured) > 1:
        show(entanglement_table(mean))
    if out is not None:
        _write(mean, out)


def _write(entanglement: "Entanglement", folder: Path) -> None:
    from fairexit.report.entanglement import entanglement_figure
    from fairexit.report.figures import save_figure

    figure = save_figure(entanglement_figure(entanglement), folder / "entanglement")
    for file in [*entanglement.write(folder), *figure]:
        say(f"written: {file}")


def _check_seeds(runs: "list[Run]") -> None:
    """Raise a UserError unless the runs differ in their seed alone."""
    first = runs[0]
    for run in runs[1:]:
        if run.path.resolve() == first.path.resolve():
            raise UserError(f"{run.path} is named twice")
        if replace(run.config, seed=first.config.seed) != first.config:
            raise UserError(
                f"{run.path} and {first.path} differ in more than their seed; measure them apart"
            )
