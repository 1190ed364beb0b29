"""The commands: parse, call one function, print where the result lies. Torch is imported late."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, cast

import typer

from fairexit.errors import UserError

if TYPE_CHECKING:
    from fairexit.report.tables import Table

# Typer carries a copy of click of its own or not, by its version; its errors lead to the right one.
USAGE_ERROR = cast(
    type[typer.BadParameter],
    next(c for c in typer.BadParameter.__mro__ if c.__name__ == "UsageError"),
)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Train, measure and ship image classifiers that are fair across groups of people.",
)

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")]
OtherData = Annotated[
    Path | None, typer.Option("--data", help="Other prepared data than the run's own.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")]
Group = Annotated[
    str | None, typer.Option(help="The sensitive attribute; by default the run's own.")
]


def _version(wanted: bool) -> None:
    if wanted:
        import fairexit

        print(f"fairexit {fairexit.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    pass


@app.command()
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
) -> None:
    """Turn a download into the prepared form: decoded once, split, checked for leaks."""
    from fairexit.config import parse_changes
    from fairexit.data.datasets import datasets
    from fairexit.data.prepare import PrepareOptions
    from fairexit.data.prepare import prepare as run
    from fairexit.report.tables import cell_table, leak_table

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
    data = run(dataset, built, source, out, options)
    main = next(iter(data.attributes))
    _show(cell_table(data, main))
    _show(leak_table(data.info["leaks"]))
    for line in data.info["warnings"]:
        print(f"note: {line}")
    left_out = sum(data.info["skipped"].values())
    reasons = ", ".join(f"{n} {why}" for why, n in data.info["skipped"].items())
    print(f"left out: {left_out}" + (f" ({reasons}); see {out}/skipped.csv" if left_out else ""))
    print(f"prepared: {out} ({len(data.frame)} images of {data.size} px)")


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="YAML file; see configs/.")],
    out: Annotated[Path, typer.Option("--out", help="The run's folder.")],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="As train.epochs=10. Repeatable."),
    ] = None,
) -> None:
    """Train a run. Killed and called again, it goes on where it was."""
    from fairexit.config import load_config
    from fairexit.training.fit import train as fit

    run = fit(load_config(config, changes), out)
    # With several devices this runs once in each process.
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print(f"trained: {run.path} (next: fairexit predict {run.path})")


@app.command()
def predict(
    run: RunPath,
    split: Annotated[
        list[str] | None, typer.Option(help="train, val or test; repeatable [val and test].")
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


@app.command()
def evaluate(
    source: Annotated[
        Path, typer.Argument(metavar="RUN_OR_FILE", help="A run, or a table of predictions.")
    ],
    split: Annotated[str, typer.Option(help="The split that is measured.")] = "test",
    group: Group = None,
    threshold: Annotated[
        str, typer.Option(help="auto (chosen on validation), policy (stored), or theta.")
    ] = "auto",
    rule: Annotated[str, typer.Option(help="How auto chooses: eodd or f1.")] = "eodd",
    tolerance: Annotated[float, typer.Option(help="Loss of F1 that rule eodd allows.")] = 0.01,
    grid: Annotated[
        str | None, typer.Option(help="Thetas that auto tries, as 0.8,0.9,0.999.")
    ] = None,
    fallback: Annotated[
        str, typer.Option(help="Nobody sure: the final exit, or the most_confident.")
    ] = "final",
    empty: Annotated[
        Literal["exclude", "zero"], typer.Option(help="Rates without images.")
    ] = "exclude",
    prob_prefix: Annotated[
        str | None, typer.Option(help="What probability columns of a file begin with.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the paper's table; for a run, write metrics.json and the policy."""
    from fairexit.evaluation.assess import assess, parse_choice
    from fairexit.report import tables

    choice = parse_choice(threshold, grid, rule, tolerance, fallback)
    found = assess(
        source, split=split, group=group, choice=choice, empty=empty, prob_prefix=prob_prefix
    )
    if as_json:
        print(json.dumps(found.evaluation.to_dict(), indent=2))
        return
    _show(tables.fairness_table([found]))
    _show(tables.summary_table([found]))
    if len(found.predictions.exit_names) > 1:
        _show(tables.exit_table(found))
    what = "left out of the gaps" if empty == "exclude" else "its rates count 0"
    for name, label in found.evaluation.empty_cells:
        print(f"note: no image of class '{label}' in group '{name}'; {what}")


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Predicted runs or files.")],
    out: Annotated[Path, typer.Option("--out", help="The HTML file.")],
    group: Group = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Prepared data to describe on the page.")
    ] = None,
    title: Annotated[str, typer.Option(help="Heading.")] = "Fairness of image classifiers",
) -> None:
    """Write a self-contained page that compares runs, each under its stored policy."""
    from fairexit.data.prepared import open_prepared
    from fairexit.evaluation.assess import assess_as_stored
    from fairexit.report.page import write_page

    found = [assess_as_stored(path, group) for path in runs]
    write_page(found, out, title, open_prepared(data) if data else None)
    print(f"written: {out}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for everything.")] = Path("demo"),
    images: Annotated[int, typer.Option(help="How many to draw.")] = 2500,
    epochs: Annotated[int, typer.Option(min=1, help="Of each training.")] = 6,
    seed: Annotated[int, typer.Option(help="Of images and training.")] = 0,
) -> None:
    """Draw skin lesions, train with and without exits, compare. No download."""
    from fairexit.demo import demo as run
    from fairexit.report import tables

    found = run(out, images=images, epochs=epochs, seed=seed)
    _show(tables.fairness_table(found))
    _show(tables.summary_table(found))
    _show(tables.exit_table(found[-1]))
    print(f"page: {out / 'index.html'}")


@app.command("list")
def list_all(
    kind: Annotated[
        str | None, typer.Argument(help="methods, heads, datasets, metrics or backbones.")
    ] = None,
) -> None:
    """Show what can be chosen by name, with options and defaults."""
    from fairexit.inventory import inventory

    for table in inventory(kind):
        _show(table)


def _show(table: "Table") -> None:
    from rich.console import Console

    # In a pipe there is no width to fit into.
    Console(width=None if sys.stdout.isatty() else 200).print(table.to_rich())


def _stop(message: str) -> NoReturn:
    print(f"fairexit: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


def main() -> None:
    """Entry point: bad input is one line and exit status 2."""
    try:
        sys.exit(app(standalone_mode=False))
    except UserError as error:
        _stop(str(error))
    except OSError as error:
        # Files are replaced whole, so a full disk has damaged nothing.
        _stop(f"{error.filename or 'a file'}: {error.strerror}")
    except USAGE_ERROR as error:
        # Without arguments the help has been shown and there is nothing to say.
        if not error.format_message():
            sys.exit(2)
        _stop(f"{error.format_message()} (see fairexit --help)")
    except (KeyboardInterrupt, typer.Abort):
        print("fairexit: interrupted; a training goes on with the same command", file=sys.stderr)
        sys.exit(130)
