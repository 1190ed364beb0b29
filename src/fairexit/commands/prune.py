"""fairexit prune."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fairexit.commands.common import Group, Plugins, RunPath, show


def prune(
    run: RunPath,
    out: Annotated[Path, typer.Option("--out", help="Folder of the pruned run.")],
    method: Annotated[
        Literal["fairprune", "magnitude", "random"] | None, typer.Option(help="[fairprune]")
    ] = None,
    ratio: Annotated[
        str | None,
        typer.Option(help="Share of zeros; several, as 0.2,0.35: a sweep [0.35]"),
    ] = None,
    beta: Annotated[
        str | None, typer.Option(help="Weight of the privileged group; several: a sweep [0.33]")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Equal steps to the ratio [5]")] = None,
    one_shot: Annotated[
        bool | None, typer.Option("--one-shot", help="Curvature once, not at every step.")
    ] = None,
    group: Group = None,
    privileged: Annotated[
        str | None, typer.Option(help="A group, or auto: by F1 on validation [auto]")
    ] = None,
    unprivileged: Annotated[str | None, typer.Option(help="Likewise [auto]")] = None,
    curvature: Annotated[
        Literal["mc", "exact"] | None, typer.Option(help="Random projections, or exact [mc]")
    ] = None,
    draws: Annotated[int | None, typer.Option(help="Projections per image [1]")] = None,
    images: Annotated[int | None, typer.Option(help="Training images per group [512]")] = None,
    sampling: Annotated[
        Literal["natural", "balanced"] | None, typer.Option(help="Of their classes [natural]")
    ] = None,
    layer: Annotated[
        list[str] | None, typer.Option(help="Prune this layer or part only. Repeatable.")
    ] = None,
    parameters: Annotated[
        Literal["weights", "all"] | None,
        typer.Option(help="all: biases and normalisation too [weights]"),
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option(help="Loss of F1 on validation that is allowed [0.02]")
    ] = None,
    patience: Annotated[
        int | None, typer.Option(help="Steps without a lower Eodd before it stops [1]")
    ] = None,
    stop: Annotated[
        bool | None, typer.Option("--stop/--no-stop", help="Let validation stop it and choose.")
    ] = None,
    finetune: Annotated[
        int | None, typer.Option(help="Epochs of training with the zeros held [0]")
    ] = None,
    finetune_lr: Annotated[
        float | None, typer.Option(help="Its learning rate [a tenth of the run's]")
    ] = None,
    chunk: Annotated[int | None, typer.Option(help="Images at a time [16]")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 ... [auto]")] = None,
    devices: Annotated[int | None, typer.Option(help="Processes for the curvature [1]")] = None,
    plugins: Plugins = None,
) -> None:
    """Prune a run into a fairer one. Killed and called again, it goes on where it was."""
    settings = {key: value for key, value in locals().items() if value is not None}
    for key in ("run", "out", "plugins"):
        settings.pop(key, None)
    from fairexit.config import build_prune
    from fairexit.pruning.fairprune import prune as prune_run
    from fairexit.pruning.record import notes, path_table, sparsity_table
    from fairexit.runs import open_run, read_record

    if layer is not None:
        settings["layers"] = settings.pop("layer")
    for key in ("ratio", "beta"):
        if key in settings:
            settings[key] = _numbers(f"--{key}", settings[key])
    found = prune_run(open_run(run), out, build_prune(settings))
    record = read_record(found)
    show(sparsity_table(record))
    show(path_table(record))
    for line in notes(record):
        print(line)
    print(f"pruned: {found.path} (next: fairexit predict {found.path})")


def _numbers(option: str, text: str) -> float | list[float]:
    from fairexit.errors import UserError

    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"{option} {text}: give a number, or several: 0.2,0.35") from None
    return values if len(values) > 1 else values[0]
