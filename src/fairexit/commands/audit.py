"""fairexit audit."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

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
from fairexit.errors import UserError
from fairexit.terminal import note, say

if TYPE_CHECKING:
    from fairexit.report.audit_report import AuditReport

EXAMPLE = "fairexit audit predictions.csv --group sex --out report.html"

STDOUT = Path("-")


_IN_PYTHON = {"prob_prefix": "probabilities", "id": "ids"}
"""Option -> its name in `fairexit.audit`, where it may be an array."""


@table_options
def audit(
    predictions: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN_OR_FILE...",
            help="A run or a table of predictions; several are training seeds of one model.",
        ),
    ],
    *,
    group: Annotated[
        list[str] | None,
        typer.Option(help="A sensitive attribute; can be repeated.", show_default="the run's own"),
    ] = None,
    intersections: Annotated[
        bool,
        typer.Option("--intersections", help="Also audit the attributes crossed with each other."),
    ] = False,
    baseline: Annotated[
        list[Path] | None,
        typer.Option(
            help="Another model to compare with; repeat it for each training seed.",
            show_default="none",
        ),
    ] = None,
    cohort: Annotated[
        Path | None,
        typer.Option(
            help="The same model's predictions of other samples, such as another hospital's; the "
            "gaps of both are compared.",
            show_default="none",
        ),
    ] = None,
    positive: Annotated[
        list[str] | None,
        typer.Option(
            help="A class that is a disease, with which the report begins; can be repeated.",
            show_default="of two classes the one named like a disease, else the rarer one",
        ),
    ] = None,
    specificity: Annotated[
        float, typer.Option(help="Specificity at which sensitivity is read.")
    ] = 0.9,
    split: Split = "test",
    threshold: Annotated[
        str | None,
        typer.Option(
            help="Confidence at which an image leaves: policy, auto (chosen on validation), a "
            "number, or one for each internal exit such as 0.5,0.6,none,0.8 (none: no image leaves "
            "there).",
            show_default="policy where one is stored, else auto",
        ),
    ] = None,
    fallback: Fallback = "final",
    confidence_measure: ConfidenceMeasure = "max_probability",
    policy: Annotated[
        Path | None,
        typer.Option(
            help="For a table of a run's predictions: the run, or its policy.json, under whose "
            "policy they are measured.",
            show_default="none",
        ),
    ] = None,
    resamples: Annotated[
        int, typer.Option("--resamples", "--draws", min=100, help="Bootstrap resamples of counts.")
    ] = 10_000,
    score_resamples: Annotated[
        int,
        typer.Option(
            "--score-resamples",
            "--score-draws",
            min=100,
            help="Bootstrap resamples of AUROC and calibration error.",
        ),
    ] = 1_000,
    permutations: Annotated[int, typer.Option(min=100, help="Permutations of each test.")] = 10_000,
    confidence_level: Annotated[
        float, typer.Option(help="Confidence level of the intervals.")
    ] = 0.95,
    interval: Annotated[
        Literal["bca", "percentile"], typer.Option(help="Kind of the bootstrap intervals.")
    ] = "bca",
    seed: Annotated[int, typer.Option(min=0, help="Seed of resamples and permutations.")] = 0,
    title: Annotated[
        str, typer.Option(help="Title of the report.", show_default="the name of the model")
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write the report as one HTML file.", show_default="none"),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write the report as Markdown.", show_default="none")
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option(help="Write a model card in Hugging Face's form.", show_default="none"),
    ] = None,
    images: Annotated[
        bool,
        typer.Option(help="Show images that leave first and last in the HTML file, if available."),
    ] = True,
    as_json: Annotated[
        Path | None,
        typer.Option(
            "--json", help="Write all numbers as JSON; - prints them.", show_default="none"
        ),
    ] = None,
    plugins: Plugins = None,
    table: dict[str, Any],
) -> None:
    """Test whether the gaps between groups are real, from predictions alone."""
    if out:
        check_page(out)
    check_exists(*predictions, *(baseline or []), cohort, policy)
    check_outputs(
        {"--out": out, "--markdown": markdown, "--card": card, "--json": as_json},
        [*predictions, *(baseline or []), *([] if cohort is None else [cohort])],
    )
    for name, value in (("specificity", specificity), ("confidence-level", confidence_level)):
        if not 0 < value < 1:
            raise UserError(f"--{name} is {value}; it must be between 0 and 1, such as 0.9")
    parsed_threshold = None if threshold is None else parse_threshold(threshold)
    # Reading and resampling take a while.
    note(f"reading {', '.join(map(str, predictions))}")
    from fairexit.api.judgement import audit as audit_tables
    from fairexit.auditing.settings import AuditSettings

    settings = AuditSettings(
        n_resamples=resamples,
        n_score_resamples=score_resamples,
        n_permutations=permutations,
        n_gap_resamples=max(resamples // 10, 100),
        random_state=seed,
        confidence_level=confidence_level,
        method=interval,
        specificity=specificity,
    )
    report = audit_tables(
        predictions,
        groups=group or [],
        split=split,
        **{_IN_PYTHON.get(name, name): value for name, value in table.items()},
        baseline=baseline,
        cohort=cohort,
        positive=positive or [],
        intersections=intersections,
        title=title,
        threshold=parsed_threshold,
        fallback=fallback,
        confidence_measure=confidence_measure,
        policy=policy,
        settings=settings,
    )
    for line in [*report.facts.notes, *report.facts.bounds]:
        note(f"note: {line}")
    _write(report, as_json, markdown, card)
    if out:
        _write_page(report, out, predictions[0] / "entanglement.json", images)
    written = [path for path in (out, markdown, card, as_json) if path]
    if as_json != STDOUT:
        # The written report has the rest.
        _print(report, brief=bool(out or markdown or card))
        for path in written:
            say(f"written: {path}")


def _write(
    report: "AuditReport", as_json: Path | None, markdown: Path | None, card: Path | None
) -> None:
    from fairexit.files import json_text, write_atomically

    if as_json:
        text = json_text(report.to_dict()) + "\n"
        if as_json == STDOUT:
            print(text, end="")
        else:
            write_atomically(as_json, text)
    if markdown:
        write_atomically(markdown, report.to_markdown())
    if card:
        from fairexit.report.model_card import write_card

        write_card(report, card)


def _write_page(report: "AuditReport", out: Path, entanglement_file: Path, images: bool) -> None:
    from fairexit.evaluation.entanglement import read_entanglement
    from fairexit.report.audit_page import write_audit
    from fairexit.report.thumbnails import named_images

    entanglement = read_entanglement(entanglement_file) if entanglement_file.is_file() else None
    write_audit(report, out, entanglement, named_images(report) if images else {})


def _print(report: "AuditReport", *, brief: bool) -> None:
    from fairexit.report.sections import BRIEF, sections

    shown = sections(report)[: BRIEF if brief else None]
    for section in shown:
        say(f"\n{section.title}")
        for point in section.points:
            say(f"- {point}")
        for table in section.tables:
            show(table)
