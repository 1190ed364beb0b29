"""fairexit prepare."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from fairexit.commands.common import Plugins, SplitName, check_exists, show
from fairexit.commands.table_options import (
    Bins,
    Merges,
    MinGroup,
    UnknownValues,
    parse_grouping,
)
from fairexit.errors import UserError
from fairexit.runs import open_run
from fairexit.terminal import say

EXAMPLE = "fairexit prepare synthetic --out data/drawn --set images=500"


def prepare(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET", help="One of isic2019, fitzpatrick17k, table, synthetic."
        ),
    ],
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="SOURCE",
            help="The download: a folder, or the file of a table.",
            show_default="none",
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", help="The folder to make.")],
    size: Annotated[int, typer.Option(help="Side of the stored images in pixels.")] = 128,
    fit: Annotated[
        Literal["squash", "crop"],
        typer.Option(help="Squash images to a square, or crop their middle."),
    ] = "squash",
    split_file: Annotated[
        Path | None,
        typer.Option(
            help="Table of ids and splits; other images are left out.",
            show_default="a stratified split",
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(help="Number of folds, instead of train, val and test.", show_default="none"),
    ] = None,
    split: Annotated[
        SplitName | None,
        typer.Option(
            help="Put all images into this split, such as test for images of another hospital.",
            show_default="none",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
    unknown: Annotated[
        str,
        typer.Option(
            help="Images of unknown main attribute: drop, keep, or the group to count them in."
        ),
    ] = "drop",
    only_present: Annotated[
        bool, typer.Option("--only-present-classes", help="Leave out classes without images.")
    ] = False,
    classes: Annotated[
        str,
        typer.Option(
            help="All classes of the dataset, or names in order such as MEL,NV,BCC; some may be "
            "without images."
        ),
    ] = "all",
    classes_of: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Take the classes and their order from this run.",
            show_default="none",
        ),
    ] = None,
    merge_near_duplicates: Annotated[
        bool,
        typer.Option(
            "--merge-near-duplicates",
            help="Count identical and near-duplicate images as one cluster.",
        ),
    ] = False,
    workers: Annotated[int, typer.Option(help="Number of processes that decode images.")] = 2,
    id: Annotated[
        str | None,
        typer.Option(help="For table: column of ids or file names.", show_default="none"),
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="For table: column of the class.", show_default="none")
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(
            help="For table: column of an attribute; can be repeated.", show_default="none"
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(help="For table: column of the lesion or patient.", show_default="none"),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="For table: folder of the images.", show_default="the table's folder"),
    ] = None,
    bins: Bins = None,
    merge: Merges = None,
    min_group: MinGroup = None,
    unknown_values: UnknownValues = None,
    target: Annotated[
        str | None,
        typer.Option(help="For fitzpatrick17k: column to predict.", show_default="label"),
    ] = None,
    age_cut: Annotated[
        int | None,
        typer.Option(
            help="For isic2019: age from which the older group starts.", show_default="60"
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any option of the dataset, see fairexit list datasets; can be repeated.",
            show_default="none",
        ),
    ] = None,
    plugins: Plugins = None,
) -> None:
    """Turn a download into a prepared dataset: decode, split, check for leaks."""
    check_exists(source, split_file, images)
    from fairexit.api.data import prepare as prepare_dataset
    from fairexit.config_files import parse_changes

    options: dict[str, Any] = {
        "id": id,
        "label": label,
        "group": group,
        "cluster": cluster,
        "images": images,
        "bins": bins,
        "merge": merge,
        "min_group": min_group,
        "unknown_values": unknown_values,
        "target": target,
        "age_cut": age_cut,
    }
    given = parse_grouping({k: value for k, value in options.items() if value not in (None, [])})
    data = prepare_dataset(
        dataset,
        source,
        out=out,
        options={**given, **parse_changes(option or [])},
        size=size,
        fit=fit,
        split_file=split_file,
        folds=folds,
        split=None if split is None else split.value,
        seed=seed,
        unknown=unknown,
        classes=_classes(only_present, classes, classes_of),
        merge_near_duplicates=merge_near_duplicates,
        workers=workers,
    )
    from fairexit.data.description import preparation_notes
    from fairexit.report.evaluation_tables import cell_table, leak_table

    show(cell_table(data, next(iter(data.attributes))))
    show(leak_table(data.info["leaks"]))
    for line in [*data.info["warnings"], *preparation_notes(data.info)]:
        say(f"note: {line}")
    left_out = sum(data.info["skipped"].values())
    reasons = ", ".join(f"{n} {reason}" for reason, n in data.info["skipped"].items())
    say(f"left out: {left_out}" + (f" ({reasons}); see {out}/skipped.csv" if left_out else ""))
    say(f"prepared: {out} ({len(data.frame)} images of {data.size} px)")


def _classes(
    only_present: bool, classes: str, run: Path | None
) -> Literal["all", "present"] | tuple[str, ...]:
    """The classes of the prepared data, from the three options that name them."""
    if only_present + (classes != "all") + (run is not None) > 1:
        raise UserError(
            "--only-present-classes, --classes and --classes-of exclude each other; give only one"
        )
    if classes != "all":
        return tuple(name.strip() for name in classes.split(","))
    if run is not None:
        return tuple(open_run(run).description["label2id"])
    return "present" if only_present else "all"
