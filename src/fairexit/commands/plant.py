"""fairexit plant."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fairexit.commands.common import show
from fairexit.errors import UserError, short
from fairexit.terminal import say

EXAMPLE = "fairexit plant data/drawn --cause prevalence --out data/planted"


def plant(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A prepared dataset.")],
    *,
    cause: Annotated[
        str,
        typer.Option(
            help="What is planted: prevalence (a camera follows the class), representation (a "
            "group lacks images), presentation (a group's images are worse) or annotation (a "
            "group's labels are wrong)."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="The folder to make.")],
    strength: Annotated[
        float | None,
        typer.Option(
            help="Prevalence, from 0.5: share of a class that has its usual camera. Others, from "
            "0: share of images missing, of contrast or sharpness lost, of labels wrong.",
            show_default="prevalence, representation 0.95; presentation 0.75; annotation 0.5",
        ),
    ] = None,
    mark: Annotated[
        str | None,
        typer.Option(
            help="How the second camera's images differ: grey or cast (a colour cast); for "
            "presentation contrast or sharpness.",
            show_default="grey; contrast",
        ),
    ] = None,
    name: Annotated[
        str, typer.Option(help="Name of the new attribute, whose groups are first and second.")
    ] = "camera",
    group: Annotated[
        str | None,
        typer.Option(
            help="Use this attribute of the data; not for prevalence.",
            show_default="a new attribute is drawn",
        ),
    ] = None,
    affected: Annotated[
        str | None,
        typer.Option(
            help="Group of that attribute that is affected, such as female.", show_default="none"
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="For prevalence: classes whose usual camera is the second.",
            show_default="every second class",
        ),
    ] = None,
    relabel: Annotated[
        str | None,
        typer.Option(
            metavar="TRUE=LABEL",
            help="For annotation: the true class and the wrong label, such as MEL=NV.",
            show_default="the first two classes",
        ),
    ] = None,
    independent_images: Annotated[
        bool,
        typer.Option(
            "--independent-images",
            help="Accept data without clusters: each image is a cluster of its own.",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = 0,
) -> None:
    """Plant a known cause of unfairness into a copy of a prepared dataset.

    A lesion or patient is never divided. The test split stays clean and balanced, so a gap there is
    what training makes of the cause. See docs/causes.md.
    """
    from fairexit.api.data import plant as plant_cause

    options: dict[str, Any] = {
        "cause": cause,
        "strength": strength,
        "mark": mark,
        "name": name,
        "group": group,
        "affected": affected,
        "classes": _names(classes),
        "relabel": _pair(relabel),
        "independent_images": independent_images,
        "seed": seed,
    }
    planted = plant_cause(data, out, **options)
    from fairexit.report.evaluation_tables import cell_table

    recipe = planted.info["planted"]
    show(cell_table(planted, recipe["attribute"]))
    for what, counts in recipe["counts"].items():
        by_split = ", ".join(f"{n} in {split}" for split, n in counts.items())
        say(f"{what.replace('_', ' ')}: {by_split}")
    say(f"planted: {out} ({len(planted.frame)} images; train with --set data.path={out})")


def _names(text: str | None) -> tuple[str, ...]:
    return () if text is None else tuple(name.strip() for name in text.split(","))


def _pair(text: str | None) -> tuple[str, str] | None:
    """The true class and the wrong label."""
    if text is None:
        return None
    true, _, label = (part.strip() for part in text.partition("="))
    if not true or not label:
        raise UserError(
            f"--relabel is '{short(text)}'; give the true class and the wrong label, as in MEL=NV"
        )
    return true, label
