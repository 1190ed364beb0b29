"""The comparison of two cohorts as sentences and tables."""

from collections.abc import Iterator

from fairexit.auditing.gap_results import MORE_THAN_CHANCE
from fairexit.auditing.section_results import CohortComparison, CohortGap
from fairexit.auditing.settings import MIN_CLUSTERS
from fairexit.report.vocabulary import (
    capital,
    has_interval,
    interval_text,
    listed,
    p_text,
    p_value,
    signed,
    signed_interval,
)
from fairexit.tables import Table


def gap_name(gap: CohortGap, comparison: CohortComparison) -> str:
    """What a gap of two cohorts compares."""
    what = "accuracy" if gap.measure == "accuracy" else f"{gap.name} found"
    return f"{what}, {gap.group} minus {rest_of(gap, comparison)}"


def rest_of(gap: CohortGap, comparison: CohortComparison) -> str:
    """The groups that a gap compares its group with."""
    others = [
        group for group in comparison.n if group != gap.group and group not in comparison.left_out
    ]
    return others[0] if len(others) == 1 else "the other groups"


def cohort_line(comparison: CohortComparison) -> str:
    """Whether the gaps are the same in the other cohort, and why not."""
    where = f"By {comparison.attribute}, in {comparison.there} compared with {comparison.here}"
    if not comparison.gaps:
        return (
            f"{where}: fewer than two groups have {MIN_CLUSTERS} clusters in both, so the gaps "
            "cannot be compared."
        )
    beyond = [gap for gap in comparison.gaps if gap.verdict == MORE_THAN_CHANCE]
    if not beyond:
        widest = max(
            (max(abs(g.difference.low), abs(g.difference.high)) for g in comparison.gaps
             if has_interval(g.difference)),
            default=1.0,
        )  # fmt: skip
        return (
            f"{where}, the differences of the gaps could be chance. This does not prove that the "
            f"gaps are the same: differences of up to {widest:.3f} fit these samples."
        )
    return (
        f"{where}, these gaps differ by more than chance: {listed([*_texts(beyond, comparison)])}."
    )


def _texts(gaps: list[CohortGap], comparison: CohortComparison) -> Iterator[str]:
    for gap in gaps:
        parts = (
            f"; {signed(gap.mix.value)} of the change comes from the mix of classes and "
            f"{signed(gap.performance.value)} from performance"
            if gap.measure == "accuracy"
            else ""
        )
        yield (
            f"{gap_name(gap, comparison)} ({signed(gap.here.value)} here, "
            f"{signed(gap.there.value)} there, corrected {p_text(gap.p_adjusted)}{parts})"
        )


def cohort_notes(comparison: CohortComparison) -> Iterator[str]:
    """How to read the tables, and what was left out."""
    yield (
        f"Here: {comparison.here}. There: {comparison.there}. A gap is one group minus the "
        "others, so that it can be negative. The clusters of both are drawn independently, "
        f"{comparison.n_resamples:,} times; p-values are corrected for all differences of a table."
    )
    yield (
        "Mix: what the mix of classes there does to the rates measured here (direct "
        "standardisation). Performance: the rest, where the rates of the classes themselves "
        "differ. The rate of a single class does not depend on the mix."
    )
    if not comparison.gaps:
        yield "Fewer than two groups are large enough in both cohorts, so no gap can be compared."
    if comparison.left_out:
        yield (
            f"Not compared, because they have fewer than {MIN_CLUSTERS} clusters in one of the "
            f"two: {listed(comparison.left_out)}."
        )
    if comparison.missing:
        yield (
            "Some group has no samples of these classes in one of the two, so all accuracies of "
            f"this comparison leave them out: {listed(comparison.missing)}."
        )


def cohort_tables(comparison: CohortComparison) -> Iterator[Table]:
    """Samples by group, the gaps if any can be compared, and the accuracies with their parts."""
    rows = [[group, *(f"{n:,}" for n in comparison.n[group])] for group in comparison.n]
    columns = [comparison.attribute, comparison.here, comparison.there]
    yield Table(f"Samples of both cohorts by {comparison.attribute}", columns, rows)
    columns = ["Here", "There", "Difference", "Mix", "Performance"]
    if comparison.gaps:
        yield Table(
            f"Gaps by {comparison.attribute} here and there",
            ["Gap", *columns, "p, corrected", "Verdict"],
            [_gap_row(gap, comparison) for gap in comparison.gaps],
        )
    yield Table(
        f"Accuracy by {comparison.attribute} here and there",
        ["Group", *columns],
        [
            [
                shift.group or "All compared groups",
                *map(interval_text, (shift.here, shift.there)),
                *map(signed_interval, (shift.difference, shift.mix, shift.performance)),
            ]
            for shift in comparison.shifts
        ],
    )


def _gap_row(gap: CohortGap, comparison: CohortComparison) -> list[str]:
    parts = (gap.here, gap.there, gap.difference, gap.mix, gap.performance)
    cells = [*map(signed_interval, parts)]
    if gap.measure != "accuracy":
        cells[3] = "0"  # by definition
    return [capital(gap_name(gap, comparison)), *cells, p_value(gap.p_adjusted), gap.verdict]
