"""An audit as one long table."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from fairexit.auditing.results import AttributeAudit, AuditResults, Estimate

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
    "note",
)


def to_frame(audit: "AuditResults") -> pd.DataFrame:
    """Every number of groups, gaps and classes, one row each; see `Audit.to_frame`."""
    rows = [row for a in audit.attributes for row in _rows(a)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(a: "AttributeAudit") -> Iterator[dict[str, Any]]:
    tests = {gap.metric: gap for gap in a.gaps}
    for metric, value in a.overall.items():
        more = {}
        if metric in tests:
            more = {"null_mean": tests[metric].null_mean, "p_value": tests[metric].p_value}
        yield _row(a, metric, value) | more
    for group, values in a.by_group.items():
        for metric, value in values.items():
            yield _row(a, metric, value, group)
    for c in a.classes:
        tested = {"null_mean": c.null_mean, "p_value": c.p_value, "p_adjusted": c.p_adjusted}
        yield _row(a, f"{c.rate} gap", c.estimate, name=c.name) | tested | {"note": c.verdict}
    for clinical in a.clinical:
        for group, values in clinical.groups.items():
            for metric, value in values.items():
                yield _row(a, metric, value, group, clinical.positive)


def _row(
    a: "AttributeAudit", metric: str, value: "Estimate", group: str = "", name: str = ""
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
