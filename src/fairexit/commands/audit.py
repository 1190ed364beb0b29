"""fairexit audit."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from fairexit.commands.common import Plugins, check_page, show

Several = list[str] | None
STDOUT = Path("-")


def audit(
    predictions: Annotated[
        list[Path],
        typer.Argument(metavar="PREDICTIONS...", help="A run or a table; several: its seeds."),
    ],
    group: Annotated[
        Several, typer.Option(help="Sensitive attribute; repeatable [the run's own].")
    ] = None,
    intersections: Annotated[
        bool, typer.Option("--intersections", help="Also the attributes crossed.")
    ] = False,
    cluster: Annotated[str, typer.Option(help="Column of lesions or patients.")] = "cluster",
    baseline: Annotated[
        list[Path] | None, typer.Option(help="Another model; repeatable, one for each seed.")
    ] = None,
    positive: Annotated[
        Several, typer.Option(help="Class to read as a disease; repeatable.")
    ] = None,
    specificity: Annotated[
        float, typer.Option(help="Specificity at which sensitivity is read.")
    ] = 0.9,
    split: Annotated[str, typer.Option(help="The split that is measured.")] = "test",
    threshold: Annotated[
        str | None, typer.Option(help="policy, auto or theta [policy, if one is stored].")
    ] = None,
    label: Annotated[str, typer.Option(help="Column of true classes.")] = "label",
    prediction: Annotated[str, typer.Option(help="Column of answers.")] = "prediction",
    id_column: Annotated[str, typer.Option("--id", help="Column of unique names.")] = "id",
    prob_prefix: Annotated[
        str | None, typer.Option(help="What probability columns begin with.")
    ] = None,
    draws: Annotated[int, typer.Option(min=100, help="Of the bootstrap.")] = 10_000,
    score_draws: Annotated[int, typer.Option(min=100, help="For AUROC and ECE.")] = 1_000,
    permutations: Annotated[int, typer.Option(min=100, help="Of the tests.")] = 10_000,
    interval: Annotated[Literal["bca", "percentile"], typer.Option(help="Of numbers.")] = "bca",
    seed: Annotated[int, typer.Option(min=0, help="Of everything drawn.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", help="Report as one HTML file.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Report as Markdown.")] = None,
    card: Annotated[
        Path | None, typer.Option(help="Model card in the form of Hugging Face.")
    ] = None,
    images: Annotated[
        bool, typer.Option(help="Show images that leave first and last, if they are at hand.")
    ] = True,
    as_json: Annotated[
        Path | None, typer.Option("--json", help="All numbers; - prints them.")
    ] = None,
    plugins: Plugins = None,
) -> None:
    """Tell whether the gaps between groups are real, from predictions alone."""
    # Reading and drawing take their time: say at once what happens.
    print(f"reading {', '.join(map(str, predictions))}", file=sys.stderr, flush=True)
    from fairexit.auditing.audit import audit_sources
    from fairexit.auditing.settings import AuditSettings
    from fairexit.auditing.source import open_source
    from fairexit.errors import UserError
    from fairexit.evaluation.assess import parse_threshold
    from fairexit.files import write_atomically
    from fairexit.predictions.arrow import Columns
    from fairexit.report.audit_report import AuditReport
    from fairexit.report.sections import sections
    from fairexit.tables import printable

    if out:
        check_page(out)
    if not 0 < specificity < 1:
        raise UserError(f"--specificity {specificity}: it lies between 0 and 1, such as 0.9")
    columns = Columns(label, prediction, id_column, cluster, prob_prefix=prob_prefix)
    theta = None if threshold is None else parse_threshold(threshold)
    groups = group or []
    sources, others = (
        [open_source(path, groups, split=split, threshold=theta, columns=columns) for path in paths]
        for paths in (predictions, baseline or [])
    )
    settings = AuditSettings(
        n_resamples=draws,
        n_score_resamples=score_draws,
        n_permutations=permutations,
        n_gap_resamples=max(draws // 10, 100),
        random_state=seed,
        method=interval,
        specificity=specificity,
    )
    results = audit_sources(
        sources,
        groups,
        baselines=others,
        intersections=intersections,
        positives=positive or [],
        settings=settings,
    )
    found = AuditReport.of(results)
    if as_json == STDOUT:
        print(json.dumps(found.to_dict(), indent=2))
    elif as_json:
        write_atomically(as_json, json.dumps(found.to_dict(), indent=2) + "\n")
    if markdown:
        write_atomically(markdown, found.to_markdown())
    if out:
        from fairexit.evaluation.entanglement import read_entanglement
        from fairexit.report.audit_page import write_audit
        from fairexit.report.thumbnails import leaving_images

        depth = predictions[0] / "entanglement.json"
        entanglement = read_entanglement(depth) if depth.is_file() else None
        write_audit(found, out, entanglement, leaving_images(found) if images else {})
    if card:
        from fairexit.report.model_card import write_card

        write_card(found, card)
    if as_json != STDOUT:
        told = sections(found)
        # With a report on disk the findings are enough.
        for section in told[:2] if out or markdown or card else told:
            print(f"\n{printable(section.title)}")
            for point in section.points:
                print(f"- {printable(point)}")
            for table in section.tables:
                show(table)
    for path in (out, markdown, card, as_json):
        if path and as_json != STDOUT:
            print(f"written: {path}")
