"""fairexit monitor."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fairexit.commands.common import (
    ConfidenceMeasure,
    Fallback,
    Plugins,
    Split,
    check_exists,
    check_outputs,
    check_page,
    parse_threshold,
    show,
)
from fairexit.commands.table_options import table_options
from fairexit.terminal import note, say

if TYPE_CHECKING:
    from fairexit.report.monitor_report import MonitorReport

EXAMPLE = "fairexit monitor test.csv week1.csv week2.csv --group sex --out monitor.html"

STDOUT = Path("-")

WORSE = 1
"""Exit status where something is worse than in BASE: an answer, and no error of the user."""

_IN_PYTHON = {"prob_prefix": "probabilities", "id": "ids"}
"""Option -> its name in `fairexit.monitor`."""


@table_options
def monitor(
    base: Annotated[
        Path,
        typer.Argument(
            metavar="BASE", help="A run or a table of predictions, with which NEW is compared."
        ),
    ],
    new: Annotated[
        list[Path],
        typer.Argument(
            metavar="NEW...",
            help="Tables of the same model's later answers, in the order of time, with or without "
            "labels.",
        ),
    ],
    *,
    group: Annotated[
        list[str] | None,
        typer.Option(help="A sensitive attribute; can be repeated.", show_default="the run's own"),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column of time in NEW, numbers or dates; a look follows each value.",
            show_default="rows in the order of time, a look after each table",
        ),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Clusters between two looks, in place of a look after each table.",
            show_default="none",
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Difference from BASE that is not called worse.")
    ] = 0.05,
    alpha: Annotated[
        float,
        typer.Option(help="Allowed probability of any false alarm, however often you look."),
    ] = 0.05,
    positive: Annotated[
        str | None,
        typer.Option(help="The class whose probability --score is.", show_default="none"),
    ] = None,
    split: Split = "test",
    threshold: Annotated[
        str | None,
        typer.Option(
            help="Confidence at which an image leaves: policy, auto (chosen on BASE's validation), "
            "a number, or one for each internal exit such as 0.5,0.6,none,0.8.",
            show_default="policy where one is stored, else auto",
        ),
    ] = None,
    fallback: Fallback = "final",
    confidence_measure: ConfidenceMeasure = "max_probability",
    policy: Annotated[
        Path | None,
        typer.Option(
            help="For tables of a run's predictions: the run, or its policy.json, under whose "
            "policy they are measured.",
            show_default="none",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write the report as one HTML file.", show_default="none"),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write the report as Markdown.", show_default="none")
    ] = None,
    as_json: Annotated[
        Path | None,
        typer.Option(
            "--json", help="Write all numbers as JSON; - prints them.", show_default="none"
        ),
    ] = None,
    plugins: Plugins = None,
    table: dict[str, Any],
) -> None:
    """Watch a deployed model: is the mix, the performance or a gap different?

    You may look as often as you like: call it every week with all tables so far, or with one table
    that grows, whose looks --time or --every sets. If something is worse than in BASE by more than
    the tolerance, the exit status is 1.
    """
    if out:
        check_page(out)
    check_exists(base, *new, policy)
    check_outputs({"--out": out, "--markdown": markdown, "--json": as_json}, [base, *new])
    parsed_threshold = None if threshold is None else parse_threshold(threshold)
    note(f"reading {', '.join(map(str, [base, *new]))}")
    from fairexit.api.judgement import monitor as monitor_tables

    report = monitor_tables(
        base,
        new,
        groups=group or [],
        split=split,
        time=time,
        every=every,
        alpha=alpha,
        tolerance=tolerance,
        threshold=parsed_threshold,
        fallback=fallback,
        confidence_measure=confidence_measure,
        policy=policy,
        **({} if positive is None else {"positive": positive}),
        **{_IN_PYTHON.get(name, name): value for name, value in table.items()},
    )
    for line in report.facts.notes:
        note(f"note: {line}")
    written = _write(report, out=out, markdown=markdown, as_json=as_json)
    if as_json != STDOUT:
        _print(report, brief=bool(out or markdown))
        for path in written:
            say(f"written: {path}")
    if report.is_worse:
        raise typer.Exit(WORSE)


def _write(
    report: "MonitorReport", *, out: Path | None, markdown: Path | None, as_json: Path | None
) -> list[Path]:
    """Write the files that were asked for."""
    from fairexit.files import json_text, write_atomically

    if as_json:
        text = json_text(report.to_dict()) + "\n"
        if as_json == STDOUT:
            print(text, end="")
        else:
            write_atomically(as_json, text)
    if markdown:
        write_atomically(markdown, report.to_markdown())
    if out:
        report.save(out)
    return [path for path in (out, markdown, as_json) if path]


def _print(report: "MonitorReport", *, brief: bool) -> None:
    from fairexit.report.monitor_text import BRIEF, sections

    # The written report has the rest.
    for section in sections(report)[: BRIEF if brief else None]:
        say(f"\n{section.title}")
        for point in section.points:
            say(f"- {point}")
        for table in section.tables:
            show(table)
