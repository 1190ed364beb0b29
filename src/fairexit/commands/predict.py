"""fairexit predict."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fairexit.commands.common import Device, OtherData, Plugins, RunPath


def predict(
    run: RunPath,
    split: Annotated[
        list[str] | None,
        typer.Option(help="train, val or test; repeatable. By default val and test."),
    ] = None,
    policy_only: Annotated[
        bool, typer.Option(help="Only the policy's answer; images leave early and save work.")
    ] = False,
    last: Annotated[bool, typer.Option(help="Weights of the last epoch, not the best.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Another folder than RUN/predictions, for --data, --last; see --images."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 256,
    data: OtherData = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of images, no labels needed: answers go to --out, a CSV."),
    ] = None,
    device: Device = "auto",
    plugins: Plugins = None,
) -> None:
    """Write the predictions of all exits, or the policy's answers."""
    from fairexit.errors import UserError
    from fairexit.inference import predict as inference
    from fairexit.inference.classifier import classify_folder
    from fairexit.runs import open_run

    if images is not None:
        if out is None or out.suffix != ".csv":
            raise UserError("--images needs --out FILE.csv for the answers")
        if data is not None or split or last:
            raise UserError("--images goes without --data, --split and --last")
        classify_folder(open_run(run), images, out, device, batch_size)
        print(f"written: {out}")
        return
    found, splits = open_run(run), split or ["val", "test"]
    common: dict[str, Any] = {
        "data": data,
        "device": device,
        "batch_size": batch_size,
        "last": last,
        "out": out,
    }
    make = inference.classify if policy_only else inference.predict
    for file in make(found, splits, **common):
        print(f"written: {file}")
