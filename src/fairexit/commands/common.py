"""Arguments, options, checks and output that several commands share."""

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_type_hints

import typer

from fairexit.docstrings import explanations
from fairexit.errors import UserError, short

if TYPE_CHECKING:
    from fairexit.evaluation.theta import Theta
    from fairexit.executors.task import Executor
    from fairexit.tables import Table

TABLES = (".csv", ".tsv", ".tab", ".parquet", ".xlsx", ".xls", ".jsonl", ".ndjson")
"""Endings of tables, which no page, text or JSON is written over."""


class SplitName(StrEnum):
    """Names of the splits of prepared data."""

    train = "train"
    val = "val"
    test = "test"


DEVICE = re.compile(r"auto|(cpu|cuda|mps|xpu|hpu)(:\d+)?")


def check_device(name: str) -> str:
    """Raise a UserError for a misspelt device; whether it is available is checked later."""
    if not DEVICE.fullmatch(name):
        raise UserError(f"--device is '{name}'; give auto, cpu, cuda, cuda:1 or the like")
    return name


def check_exists(*paths: Path | None) -> None:
    """Raise a UserError for the first path that does not exist."""
    for path in paths:
        if path is not None and not path.exists():
            raise UserError(f"there is no file or folder {path}")


def _load(files: list[Path] | None) -> list[Path] | None:
    if files:
        from fairexit.plugins import load_plugins

        load_plugins(files)
    return files


Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE.py",
        callback=_load,
        help="A Python file with a method, dataset, head, backbone or metric of your own; can be "
        "repeated.",
        show_default="none",
    ),
]
"""Plugin files, which are imported while the command line is parsed."""


def check_page(out: Path) -> None:
    """Raise a UserError if the file of a page has a suffix other than `.html` or `.htm`."""
    if out.suffix and out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--out {out} is an HTML page; call it {out.with_suffix('.html').name}")


def check_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[Path]) -> None:
    """Raise a UserError if a command would write over its input, or a text over a table.

    Args:
        outputs: option -> the file that it names.
        inputs: the files that the command reads.
    """
    read = {path.resolve() for path in inputs}
    for option, path in outputs.items():
        if path is None:
            continue
        if path.resolve() in read:
            raise UserError(f"{option} {path} is also an input; choose another name")
        if path.suffix.lower() in TABLES:
            raise UserError(f"{option} {path} is not a table; choose another ending")


def numbers(option: str, text: str) -> tuple[float, ...]:
    """Parse the numbers of an option such as `0.2,0.35`.

    Args:
        option: name of the option, for the message.
        text: its value.
    Raises:
        UserError: the text is not a list of numbers.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UserError(
            f"{option} is '{short(text)}'; give a number such as 0.9, or several such as 0.8,0.9"
        ) from None


def whole_numbers(option: str, text: str) -> list[int]:
    """Parse the whole numbers of an option such as `0,1,2`; raises a UserError as `numbers`."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"{option} is '{short(text)}'; give whole numbers such as 0,1,2") from None


def parse_threshold(text: str) -> "str | Theta":
    """Parse `auto`, `policy`, a number, or for each internal exit a number or `none`."""
    if text in ("auto", "policy"):
        return text
    parts = [part.strip() for part in text.split(",")]
    try:
        values = [None if part == "none" and len(parts) > 1 else float(part) for part in parts]
    except ValueError:
        raise UserError(
            f"--threshold is '{short(text)}'; give a number such as 0.9, one for each internal "
            "exit such as 0.8,none,0.9 (none: no image leaves there), auto or policy"
        ) from None
    first = values[0]
    return first if len(values) == 1 and first is not None else tuple(values)


RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")]
Configuration = Annotated[
    Path, typer.Argument(metavar="CONFIG.yaml", help="The run's settings; see configs/.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting, such as train.epochs=10; can be repeated.",
        show_default="none",
    ),
]
OtherData = Annotated[
    Path | None,
    typer.Option("--data", help="Other prepared data to use.", show_default="the run's own data"),
]
Device = Annotated[
    str,
    typer.Option(
        help="Where to compute: auto, cpu, cuda, cuda:1 and so on.", callback=check_device
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="auto|HOST:PORT",
        help="Run on a Ray cluster whose nodes see the same folders: auto for the cluster of this "
        "machine, or its address.",
        show_default="on this machine",
    ),
]
Gpus = Annotated[
    float | None,
    typer.Option(
        help="With --ray, GPUs of each task, or a share such as 0.5; none where the cluster has no "
        "GPU or the task computes on the CPU.",
        show_default="1",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="With --ray, CPU threads of each task.", show_default="1"),
]
Group = Annotated[
    str | None, typer.Option(help="The sensitive attribute.", show_default="the run's own")
]
Split = Annotated[str, typer.Option(help="The split that is measured.")]
Threshold = Annotated[
    str,
    typer.Option(
        help="Confidence at which an image leaves: auto (chosen on validation), policy (the run's "
        "stored one), a number, or one for each internal exit such as 0.5,0.6,none,0.8 (none: no "
        "image leaves there)."
    ),
]
Fallback = Annotated[
    Literal["final", "most_confident"],
    typer.Option(help="Which exit answers when none reaches the threshold."),
]
ConfidenceMeasure = Annotated[
    Literal["max_probability", "margin", "entropy"],
    typer.Option(
        help="What is compared with the threshold: the largest probability, the largest minus the "
        "second largest (margin), or one minus the entropy as a share of its maximum (entropy)."
    ),
]


def options_of(kind: type, **changes: Mapping[str, Any]) -> list[inspect.Parameter]:
    """The fields of a dataclass as options, with their types, defaults and descriptions.

    A field that takes one or several numbers becomes an option such as `0.2,0.35`.

    Args:
        kind: the dataclass, whose docstring explains every field.
        changes: field -> further arguments of `typer.Option`; `flag` gives the option another name.
    """
    hints, texts, parameters = get_type_hints(kind), explanations(kind), []
    for field in dataclasses.fields(kind):
        arguments = dict(changes.get(field.name, {}))
        flag = arguments.pop("flag", "--" + field.name.replace("_", "-"))
        hint, default = hints[field.name], field.default
        if {float, list[float]} <= {*get_args(hint)}:
            hint, default = (str, str(default)) if default is not None else (str | None, None)
        elif default is True:
            flag = f"{flag}/--no-{flag.removeprefix('--')}"
        text = texts[field.name]
        option = typer.Option(flag, help=text[:1].upper() + text[1:], **arguments)
        parameters.append(
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=default,
                annotation=Annotated[hint, option],
            )
        )
    return parameters


@contextmanager
def open_executor(
    ray: str | None, folder: Path, *, workers: int = 1, threads: int | None, gpus: float | None
) -> Iterator["Executor"]:
    """What runs tasks: processes of this machine, or a Ray cluster.

    Args:
        ray: `auto` or the address of the cluster; None for this machine.
        folder: the folder to which tasks write.
        workers: number of tasks at a time on this machine.
        threads: CPU threads of each task, by default 1.
        gpus: GPUs of each task on a cluster, by default 1.
    """
    if ray is None:
        from fairexit.executors.local import LocalProcesses

        yield LocalProcesses(workers, threads or 1)
        return
    from fairexit.executors.ray_connection import connect

    with connect(ray, folder, threads=threads, gpus=gpus) as cluster:
        yield cluster


def show(table: "Table") -> None:
    """Print a table as wide as the terminal."""
    from rich.console import Console

    # A pipe has no width.
    Console(width=None if sys.stdout.isatty() else 200).print(table.to_rich())
