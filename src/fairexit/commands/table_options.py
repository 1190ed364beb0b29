"""The options by which evaluate, report and audit read a table of predictions."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from fairexit.errors import UserError, nearest, option, short

EXAMPLES = {"bins": "age=30,60", "merge": "skin=1,2,3:light;4,5,6:dark", "prob": "mel=P(mel)"}

Bins = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ATTRIBUTE=CUTS",
        help=f"Cut a number into groups, such as {EXAMPLES['bins']}; can be repeated.",
        show_default="none",
    ),
]
Merges = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ATTRIBUTE=VALUES:GROUP",
        help=f"Merge values into groups, such as '{EXAMPLES['merge']}'; can be repeated.",
        show_default="none",
    ),
]
MinGroup = Annotated[
    int | None,
    typer.Option(min=0, help="Leave out groups with fewer samples.", show_default="0"),
]
UnknownValues = Annotated[
    str | None,
    typer.Option(
        metavar="A,B",
        help="Further names of unknown values, besides 'unknown', 'NA', '' and the like.",
        show_default="none",
    ),
]

_OPTIONS: dict[str, Any] = {
    "label": Annotated[
        str | None, typer.Option(help="Column of true classes.", show_default="label")
    ],
    "prediction": Annotated[
        str | None, typer.Option(help="Column of predicted classes.", show_default="prediction")
    ],
    "id": Annotated[
        str | None, typer.Option(help="Column of unique sample names.", show_default="id")
    ],
    "cluster": Annotated[
        str | None,
        typer.Option(help="Column of the lesion or patient.", show_default="cluster"),
    ],
    "prob_prefix": Annotated[
        str | None,
        typer.Option(
            help="What the names of probability columns begin with; '' if they are called like "
            "the classes.",
            show_default="p/",
        ),
    ],
    "prob": Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS=COLUMN",
            help="Column of one class's probabilities, such as melanoma='P mel'; once for each "
            "class.",
            show_default="none",
        ),
    ],
    "score": Annotated[
        str | None,
        typer.Option(
            help="For two classes: column of the probability of the class --positive.",
            show_default="none",
        ),
    ],
    "cut": Annotated[
        float | None,
        typer.Option(
            help="Smallest score that is answered as positive.",
            show_default="the answers in the table, else 0.5",
        ),
    ],
    "logits": Annotated[
        bool,
        typer.Option("--logits", help="The numbers are logits, not probabilities."),
    ],
    "classes": Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="All classes, in order, if not all occur.",
            show_default="those that occur",
        ),
    ],
    "drop_missing": Annotated[
        bool,
        typer.Option("--drop-missing", help="Leave out rows without a label or an answer."),
    ],
    "bins": Bins,
    "merge": Merges,
    "min_group": MinGroup,
    "unknown_values": UnknownValues,
    "columns": Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.yaml",
            help="A file with any of these options, such as 'label: dx'.",
            show_default="none",
        ),
    ],
}


def table_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a table to a command, which receives them as the dictionary `table`."""
    given = [p for name, p in inspect.signature(command).parameters.items() if name != "table"]
    added = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if get_args(hint)[0] is bool else None,
            annotation=hint,
        )
        for name, hint in _OPTIONS.items()
    ]

    def run(*args: Any, **values: Any) -> None:
        table = {name: values.pop(name) for name in _OPTIONS}
        command(*args, table=read_options(table), **values)

    run.__signature__ = inspect.Signature([*given, *added])  # type: ignore[attr-defined]
    run.__name__, run.__doc__, run.__module__ = (
        command.__name__,
        command.__doc__,
        command.__module__,
    )
    return run


def read_options(given: dict[str, Any]) -> dict[str, Any]:
    """The options of `Reading` from those of the command line; the latter precede a file's.

    Raises:
        UserError: an option is not of its form, or the file has an unknown key.
    """
    from fairexit.files import read_yaml

    file = given.pop("columns")
    chosen = {
        name: value
        for name, value in given.items()
        if value is not None and value is not False and value != []
    }
    options = parse_grouping(chosen)
    if file is None:
        return options
    stored = read_yaml(file)
    if "positive" in stored:
        raise UserError(f"{file}: give the positive class as --positive, not in this file")
    for name in stored:
        if name not in _OPTIONS or name == "columns":
            known = [key for key in _OPTIONS if key != "columns"]
            raise UserError(f"{file}: unknown key '{short(name)}'; {nearest(str(name), known)}")
    return _texts(stored) | options


def _texts(stored: dict[str, Any]) -> dict[str, Any]:
    """The options of a file, with numbers as texts where names are meant."""
    from fairexit.tabular.groupings import parse_bins

    if isinstance(stored.get("bins"), dict):
        bins = stored["bins"].items()
        one = [f"{name}={cuts}" for name, cuts in bins if not isinstance(cuts, list)]
        stored["bins"] = {n: c for n, c in bins if isinstance(c, list)} | parse_bins(one)
    for name in ("classes", "unknown_values"):
        if isinstance(stored.get(name), list):
            stored[name] = [str(value) for value in stored[name]]
    if isinstance(stored.get("merge"), dict):
        stored["merge"] = {
            name: {str(k): str(v) for k, v in values.items()}
            if isinstance(values, dict)
            else values
            for name, values in stored["merge"].items()
        }
    return stored


def parse_grouping(options: dict[str, Any]) -> dict[str, Any]:
    """Options with their texts parsed: bins, merges, pairs and lists."""
    from fairexit.tabular.groupings import parse_bins, parse_merges, parse_pairs

    parsed = dict(options)
    if "bins" in parsed:
        parsed["bins"] = parse_bins(parsed["bins"])
    if "merge" in parsed:
        parsed["merge"] = parse_merges(parsed["merge"])
    if "prob" in parsed:
        parsed["prob"] = parse_pairs("prob", parsed["prob"], EXAMPLES["prob"])
    for name in ("classes", "unknown_values"):
        if name in parsed:
            parsed[name] = [part.strip() for part in parsed[name].split(",")]
            if not all(parsed[name]):
                raise UserError(f"{option(name)} has an empty name; write it as in a,b")
    return parsed
