"""fairexit predict."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fairexit.commands.common import Device, OtherData, RunPath


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
        Path | None, typer.Option(help="Another folder than RUN/predictions, for --data, --last.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 256,
    data: OtherData = None,
    device: Device = "auto",
) -> None:
    """Write the predictions of all exits, or the policy's answers."""
    from fairexit.inference import predict as inference
    from fairexit.runs import open_run

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
