"""fairexit prepare."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from fairexit.commands.common import Plugins, show


def prepare(
    dataset: Annotated[str, typer.Argument(help="isic2019, fitzpatrick17k, table or synthetic.")],
    source: Annotated[
        Path | None, typer.Argument(help="The download: a folder, or the CSV of a table.")
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", help="The folder to make.")],
    size: Annotated[int, typer.Option(help="Side of the stored images in pixels.")] = 128,
    fit: Annotated[
        Literal["squash", "crop"], typer.Option(help="Squash to a square, or crop the middle.")
    ] = "squash",
    split_file: Annotated[
        Path | None, typer.Option(help="Table of ids and splits; other images are left out.")
    ] = None,
    folds: Annotated[int | None, typer.Option(help="Folds instead of train, val, test.")] = None,
    seed: Annotated[int, typer.Option(help="Of the split.")] = 0,
    unknown: Annotated[
        str, typer.Option(help="Unknown main attribute: drop, keep, or the group to count it in.")
    ] = "drop",
    only_present: Annotated[
        bool, typer.Option("--only-present-classes", help="Forget classes without images.")
    ] = False,
    merge_near_duplicates: Annotated[
        bool, typer.Option(help="Identical and near-duplicate images become one cluster.")
    ] = False,
    workers: Annotated[int, typer.Option(help="Processes that decode.")] = 2,
    id: Annotated[str | None, typer.Option(help="table: column of ids or file names.")] = None,
    label: Annotated[str | None, typer.Option(help="table: column of the class.")] = None,
    group: Annotated[
        list[str] | None, typer.Option(help="table: column of an attribute. Repeatable.")
    ] = None,
    cluster: Annotated[str | None, typer.Option(help="table: lesion or patient column.")] = None,
    images: Annotated[Path | None, typer.Option(help="table: folder of the images.")] = None,
    target: Annotated[str | None, typer.Option(help="fitzpatrick17k: column to predict.")] = None,
    age_cut: Annotated[int | None, typer.Option(help="isic2019: age of the older group.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any option of the dataset. Repeatable."),
    ] = None,
    plugins: Plugins = None,
) -> None:
    """Turn a download into the prepared form: decoded once, split, checked for leaks."""
    from fairexit.config import parse_changes
    from fairexit.data.datasets import datasets
    from fairexit.data.prepare import PrepareOptions
    from fairexit.data.prepare import prepare as run
    from fairexit.report.evaluation_tables import cell_table, leak_table

    own: dict[str, Any] = {
        "id": id,
        "label": label,
        "group": group,
        "cluster": cluster,
        "images": images,
    }
    own |= {"target": target, "age_cut": age_cut}
    chosen = {k: v for k, v in own.items() if v is not None and v != []}
    built = datasets.create(dataset, **{**chosen, **parse_changes(option or [])})
    options = PrepareOptions(
        size=size,
        fit=fit,
        split_file=split_file,
        folds=folds,
        seed=seed,
        unknown=unknown,
        classes="present" if only_present else "all",
        merge_near_duplicates=merge_near_duplicates,
        workers=workers,
    )
    data = run(dataset, built, source, out, options=options)
    main = next(iter(data.attributes))
    show(cell_table(data, main))
    show(leak_table(data.info["leaks"]))
    for line in data.info["warnings"]:
        print(f"note: {line}")
    left_out = sum(data.info["skipped"].values())
    reasons = ", ".join(f"{n} {why}" for why, n in data.info["skipped"].items())
    print(f"left out: {left_out}" + (f" ({reasons}); see {out}/skipped.csv" if left_out else ""))
    print(f"prepared: {out} ({len(data.frame)} images of {data.size} px)")
