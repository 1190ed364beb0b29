"""fairexit predict."""

from pathlib import Path
from typing import Annotated

import typer

from fairexit.commands.common import (
    Device,
    Gpus,
    OtherData,
    Plugins,
    Ray,
    SplitName,
    Threads,
)
from fairexit.errors import UserError
from fairexit.terminal import say

EXAMPLE = "fairexit predict runs/me --images photos --out answers.csv"


def predict(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_OR_EXPORT", help="Folder of a finished run, or of an export of one."
        ),
    ],
    *,
    split: Annotated[
        list[SplitName] | None,
        typer.Option(
            help="The split to predict for; can be repeated.", show_default="val and test"
        ),
    ] = None,
    policy_only: Annotated[
        bool,
        typer.Option(
            "--policy-only",
            help="Write only the answers under the policy; images leave early, which saves work.",
        ),
    ] = False,
    last: Annotated[
        bool, typer.Option("--last", help="Use the weights of the last epoch instead of the best.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the predictions, required with --data and --last; with --images, the "
            "CSV file of the answers. Files that exist there are kept unless --overwrite is given; "
            "only the run's own predictions are replaced without it.",
            show_default="RUN/predictions",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist in --out.")
    ] = False,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Number of images at a time; affects only speed and memory.")
    ] = 256,
    data: OtherData = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="Predict images without labels instead of splits: a folder with its subfolders, "
            "a file, or a list: a text file (.txt) with a path on each line, or a table (.csv, "
            ".tsv) with a column 'path'; relative paths start at the folder of the list. Resumes "
            "automatically if interrupted.",
            show_default="none",
        ),
    ] = None,
    device: Device = "auto",
    ray: Ray = None,
    threads: Threads = None,
    gpus: Gpus = None,
    plugins: Plugins = None,
) -> None:
    """Write the predictions of all exits of a run, or the answers for new images.

    With --ray the images of --images are divided among the nodes of a Ray cluster.
    """
    if images is not None:
        if out is None or out.suffix != ".csv":
            raise UserError("--images needs --out FILE.csv for the answers")
        if data is not None or split or last or policy_only:
            raise UserError("--images excludes --data, --split, --last and --policy-only")
    elif ray is not None:
        raise UserError("--ray belongs to --images")
    from fairexit.api.prediction import predict as predict_run

    written = predict_run(
        run,
        splits=split,
        policy_only=policy_only,
        images=images,
        data=data,
        last=last,
        out=out,
        overwrite=overwrite,
        batch_size=batch_size,
        device=device,
        ray=ray,
        threads=threads,
        gpus=gpus,
    )
    assert isinstance(written, list)
    for file in written:
        say(f"written: {file}")
    if data is not None and not policy_only:
        _show_audit(run, written)


def _show_audit(run: Path, files: list[Path]) -> None:
    """Print how to audit predictions for other data under the policy that the run stored.

    Without validation rows an audit cannot choose a threshold.
    """
    from fairexit.runs import open_run

    if open_run(run).policy.is_file():
        for file in files:
            say(
                f"to audit them under the run's policy: fairexit audit {file} --policy {run} "
                "--out audit.html"
            )
