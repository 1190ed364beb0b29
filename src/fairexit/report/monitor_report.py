"""A monitor with its renderings: sentences, Markdown, an HTML page."""

from dataclasses import fields
from pathlib import Path
from typing import Any, Self

from fairexit.auditing.results import plain
from fairexit.monitoring.results import MonitorResults
from fairexit.report.document import document, fragment
from fairexit.report.monitor_text import sections, summary


class MonitorReport(MonitorResults):
    """The results of a monitor, with methods that render them."""

    @classmethod
    def of(cls, results: MonitorResults) -> Self:
        """The report of the results of a monitor."""
        return cls(**{field.name: getattr(results, field.name) for field in fields(results)})

    def __repr__(self) -> str:
        return "\n".join([self.title, *self.summary])

    @property
    def title(self) -> str:
        """The heading of the report."""
        return f"Monitor of {self.facts.base}"

    @property
    def summary(self) -> tuple[str, ...]:
        """The answers as sentences, the most important first."""
        return summary(self)

    def to_dict(self) -> dict[str, Any]:
        """All numbers and sentences for JSON, with None for NaN."""
        return {"worse": self.is_worse, "summary": [*self.summary], **plain(self)}

    def to_markdown(self) -> str:
        """The report as a Markdown document."""
        return document(self.title, [f"Date: {self.facts.date}"], sections(self))

    def save(self, path: str | Path) -> None:
        """Write the report as one HTML file that loads no external resources."""
        from fairexit.report.monitor_page import write_monitor

        write_monitor(self, Path(path))

    def _repr_html_(self) -> str:
        return fragment(self.title, sections(self))
