"""An audit with its renderings: sentences, a data frame, Markdown, an HTML page, figures."""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from fairexit.auditing.results import AuditResults, plain
from fairexit.extras import require
from fairexit.report.advice import limits, next_steps
from fairexit.report.findings import summary

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class AuditReport(AuditResults):
    """The results of an audit, with methods that render them."""

    @classmethod
    def of(cls, results: AuditResults) -> Self:
        """The report of the results of an audit."""
        return cls(**{field.name: getattr(results, field.name) for field in fields(results)})

    def __repr__(self) -> str:
        return "\n".join([f"Audit of {self.facts.name}, {self.facts.n} samples", *self.summary])

    @property
    def summary(self) -> tuple[str, ...]:
        """The findings as sentences, the most important first."""
        return summary(self)

    @property
    def next_steps(self) -> tuple[str, ...]:
        """The recommended next steps as sentences."""
        return next_steps(self)

    @property
    def limits(self) -> tuple[str, ...]:
        """The limits of the numbers as sentences."""
        return limits(self)

    def to_dict(self) -> dict[str, Any]:
        """All numbers and sentences for JSON, with lists for arrays and None for NaN."""
        words = {"summary": self.summary, "next_steps": self.next_steps, "limits": self.limits}
        return {**plain(self), **plain(words)}

    def to_frame(self) -> "pd.DataFrame":
        """All numbers of the groups, the gaps and the classes as a table with one row for each.

        Columns: attribute, group ("" for all groups), class ("" for all classes), metric,
        value, low, high, null_mean, p_value, p_adjusted, min_detectable_gap, verdict, note.
        """
        from fairexit.report.frame import to_frame

        return to_frame(self)

    def to_markdown(self) -> str:
        """The report as a Markdown document."""
        from fairexit.report.sections import to_markdown

        return to_markdown(self)

    def figures(self) -> "dict[str, Figure]":
        """Matplotlib figures by name: gaps by class, metrics over the threshold, exit shares.

        Raises:
            UserError: matplotlib is not installed.
        """
        require("figures", "AuditReport.figures()")
        from fairexit.report.audit_plots import plot_audit

        return plot_audit(self)

    def save(self, path: str | Path) -> None:
        """Write the report as one HTML file that loads no external resources."""
        from fairexit.report.audit_page import write_audit

        write_audit(self, Path(path))

    def _repr_html_(self) -> str:
        from fairexit.report.sections import to_html

        return to_html(self)
