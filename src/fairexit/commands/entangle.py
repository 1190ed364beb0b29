"""fairexit entangle."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fairexit.commands.common import Device, Group, OtherData, Plugins, show
from fairexit.errors import UserError

if TYPE_CHECKING:
    from fairexit.runs import Run


def entangle(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="One run, or its seeds.")],
    split: Annotated[str, typer.Option(help="The split that is measured.")] = "test",
    group: Group = None,
    temperatures: Annotated[str, typer.Option(help="As 0.1,0.3,1.")] = "0.1,0.3,1",
    raw: Annotated[
        bool, typer.Option("--raw", help="Temperatures as they are, not in mean squared distances.")
    ] = False,
    features: Annotated[
        Literal["pooled", "exits"],
        typer.Option(help="Globally pooled stage maps, or what each exit's last layer reads."),
    ] = "pooled",
    scale: Annotated[
        Literal["none", "unit"], typer.Option(help="Features as they are, or of unit length.")
    ] = "none",
    out: Annotated[
        Path | None, typer.Option(help="Another folder than the run's; for several, the mean's.")
    ] = None,
    data: OtherData = None,
    device: Device = "auto",
    plugins: Plugins = None,
) -> None:
    """Measure by depth how entangled features are with the attribute and the target."""
    from fairexit.evaluation.entanglement import Entanglement, mean_over_runs
    from fairexit.inference.entanglement import measure_entanglement
    from fairexit.report.entanglement import entanglement_figure, entanglement_table
    from fairexit.report.figures import save_figure
    from fairexit.runs import open_run

    if data is not None and out is None:
        raise UserError("--data needs --out: it is not the run's own")
    opened = [open_run(path) for path in runs]
    _check_seeds(opened)
    tried = _numbers(temperatures)

    def write(one: Entanglement, folder: Path) -> None:
        figure = save_figure(entanglement_figure(one), folder / "entanglement")
        for file in [*one.write(folder), *figure]:
            print(f"written: {file}")

    found = []
    for run in opened:
        one = measure_entanglement(
            run, split=split, group=group, temperatures=tried, relative=not raw, features=features,
            scale=scale, data=data, device=device,
        )  # fmt: skip
        show(entanglement_table(one))
        found.append(one)
        if out is None:
            write(one, run.path)
    mean = mean_over_runs(found)
    if len(found) > 1:
        show(entanglement_table(mean))
    if out is not None:
        write(mean, out)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--temperatures {text}: give numbers, as 0.1,0.3,1") from None


def _check_seeds(runs: "list[Run]") -> None:
    """A mean is over seeds of one setting."""
    first = runs[0]
    for other in runs[1:]:
        if other.path.resolve() == first.path.resolve():
            raise UserError(f"{other.path} is named twice")
        if replace(other.config, seed=first.config.seed) != first.config:
            raise UserError(
                f"{other.path} and {first.path} differ in more than their seed; measure them apart"
            )
