"""An audit as one data frame in long form."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from fairexit.auditing.gap_results import ClassGap, Estimate, Gap
from fairexit.auditing.results import AttributeAudit, AuditResults

COLUMNS = (
    "attribute",
    "group",
    "class",
    "metric",
    "value",
    "low",
    "high",
    "null_mean",
    "p_value",
    "p_adjusted",
    "p_any",
    "min_detectable_gap",
    "verdict",
    "note",
)


def to_frame(audit: AuditResults) -> pd.DataFrame:
    """All numbers of groups, gaps and classes, one row each; see `AuditReport.to_frame`."""
    rows = [row for a in audit.attributes for row in _rows(a)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(a: AttributeAudit) -> Iterator[dict[str, Any]]:
    tests = {gap.metric: gap for gap in a.gaps}
    for metric, value in a.overall.items():
        test = tests.get(metric)
        yield _row(a, metric, value) | (_test(test) | {"p_any": test.p_any} if test else {})
    for group, values in a.by_group.items():
        for metric, value in values.items():
            yield _row(a, metric, value, group=group)
    for c in a.classes:
        adjusted = {"p_adjusted": c.p_adjusted}
        yield _row(a, f"{c.rate} gap", c.estimate, name=c.name) | _test(c) | adjusted
    for clinical in a.clinical:
        for group, values in clinical.groups.items():
            for metric, value in values.items():
                yield _row(a, metric, value, group=group, name=clinical.positive)


def _test(gap: Gap | ClassGap) -> dict[str, Any]:
    """The columns of a gap's test."""
    keys = ("null_mean", "p_value", "min_detectable_gap", "verdict")
    return {key: getattr(gap, key) for key in keys}


def _row(
    a: AttributeAudit, metric: str, value: Estimate, *, group: str = "", name: str = ""
) -> dict[str, Any]:
    return {
        "attribute": a.attribute,
        "group": group,
        "class": name,
        "metric": metric,
        "value": value.value,
        "low": value.low,
        "high": value.high,
        "note": value.note,
    }
