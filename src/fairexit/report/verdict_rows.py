"""The table of verdicts: the gaps of the positive classes, then the main gaps, with one verdict."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fairexit.auditing.gap_results import ClassGap, Estimate, Gap, Headline
from fairexit.auditing.results import AttributeAudit, AuditResults
from fairexit.metrics.record import METRICS, weighted_form
from fairexit.report.shown_gaps import shown_gaps
from fairexit.report.vocabulary import (
    FEW,
    decimal,
    interval_text,
    label,
    mark,
    metric_name,
    of,
    p_text,
    p_value,
)
from fairexit.tables import Table


@dataclass(frozen=True)
class VerdictRow:
    """One gap with its verdict.

    Attributes:
        attribute: the attribute of the groups.
        name: what is compared.
        ends: the groups with the lowest and the highest rate, each with its samples; empty for a
            gap of several classes.
        by_images: of a gap of several classes, its form that is weighted by images, with its
            verdict; else "".
        estimate: the gap.
        null_mean: its mean by chance alone.
        null_quantile: the end of what chance alone gives, NaN for a class.
        p_value: as the verdict uses it.
        verdict: one of the verdicts.
    """

    attribute: str
    name: str
    ends: tuple[str, ...]
    by_images: str
    estimate: Estimate
    null_mean: float
    null_quantile: float
    p_value: float
    verdict: str


def verdict_rows(audit: AuditResults) -> list[VerdictRow]:
    """The rows of all attributes."""
    return [row for a in audit.attributes for row in _rows(a, len(audit.facts.classes) == 2)]


def any_few(audit: AuditResults, rows: Sequence[VerdictRow]) -> bool:
    """Whether a group, or a rate in the rows, has the mark of small groups."""
    groups = any(mark(n) for a in audit.attributes for n in a.clusters.values())
    return groups or any(words.endswith(FEW) for row in rows for words in row.ends)


def _rows(a: AttributeAudit, two_classes: bool) -> Iterator[VerdictRow]:
    gaps = {(gap.name, gap.rate): gap for gap in a.classes}
    for headline in a.headlines:
        # The rates of the positive one of two classes say all there is to say.
        rates = ("tpr", "fpr") if two_classes else (headline.rate,)
        for rate in rates:
            yield _class_row(a, gaps[headline.name, rate], headline, two_classes=two_classes)
    main = {gap.metric: gap for gap in shown_gaps(a) if METRICS[gap.metric].main}
    for gap in main.values():
        if METRICS[gap.metric].weighted_form_of not in main:
            yield VerdictRow(
                a.attribute,
                metric_name(gap.metric),
                (),
                _by_images(main.get(weighted_form(gap.metric))),
                gap.estimate,
                gap.null_mean,
                gap.null_quantile,
                gap.p_value,
                gap.verdict,
            )


def _by_images(gap: Gap | None) -> str:
    if gap is None:
        return ""
    return f"by images {decimal(gap.estimate.value)}, {p_text(gap.p_value)}: {gap.verdict}"


def _class_row(
    a: AttributeAudit, gap: ClassGap, headline: Headline, *, two_classes: bool
) -> VerdictRow:
    note = " (equal opportunity)" if two_classes and gap.rate == "tpr" else ""
    ends = (gap.lowest, gap.highest) if gap.lowest else (headline.worst, headline.best)
    shown = [group for group in dict.fromkeys(ends) if group]
    texts = tuple(
        f"{group} {decimal(gap.rates[group].value)} ({of(gap.rates[group])})"
        f"{mark(gap.rates[group].clusters)}"
        for group in shown
        if not math.isnan(gap.rates[group].value)
    )
    return VerdictRow(
        a.attribute,
        f"{gap.name}: {label(gap.rate)}{note}",
        texts,
        "",
        gap.estimate,
        gap.null_mean,
        math.nan,
        gap.p_adjusted,
        gap.verdict,
    )


def _mean_text(row: VerdictRow) -> str:
    return "mean over the classes" + (f"; {row.by_images}" if row.by_images else "")


def verdict_table(audit: AuditResults) -> Table:
    """The rows as a table of texts."""
    columns = ["By", "Gap", "Lowest and highest group", "Value (interval)", "By chance alone"]
    rows = [
        [
            row.attribute,
            row.name,
            ", ".join(row.ends)
            or "; ".join(filter(None, ["mean over the classes", row.by_images])),
            interval_text(row.estimate),
            decimal(row.null_mean),
            p_value(row.p_value),
            row.verdict,
        ]
        for row in verdict_rows(audit)
    ]
    return Table("Gaps and verdicts", [*columns, "p", "Verdict"], rows, 3)
