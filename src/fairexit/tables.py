"""A table as data, and its forms for a terminal, Markdown and HTML."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from fairexit.terminal import printable

if TYPE_CHECKING:
    from rich.table import Table as RichTable

# An underscore inside a word is harmless; every other character here may begin markup.
_MARKDOWN = re.compile(r"[\\`*\[\]<>|~]|(?<![^\W_])_|_(?![^\W_])")

BEST = "*"
"""Ends a cell with the best value of its column."""


@dataclass(frozen=True)
class Table:
    """A table of formatted texts.

    Attributes:
        title: its caption.
        columns: the headings.
        rows: the cells of each row, as many as there are columns.
        names: number of leading columns that hold words and are aligned left; the others hold
            numbers.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    names: int = 1

    def to_rich(self) -> "RichTable":
        """The table for a terminal."""
        from rich.table import Table as RichTable
        from rich.text import Text

        table = RichTable(title=Text(printable(self.title)), title_justify="left")
        for i, column in enumerate(self.columns):
            table.add_column(Text(printable(column)), justify="left" if i < self.names else "right")
        for row in self.rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        return table

    def to_markdown(self) -> str:
        """The table as Markdown, without the title."""

        def line(cells: Sequence[str]) -> str:
            return "| " + " | ".join(map(markdown, cells)) + " |"

        marks = ["---" if i < self.names else "---:" for i in range(len(self.columns))]
        ruler = "| " + " | ".join(marks) + " |"
        return "\n".join([line(self.columns), ruler, *map(line, self.rows)]) + "\n"

    def to_html(self) -> str:
        """The table as HTML; every text is escaped."""
        word = ' class="word"'
        head = "".join(
            f'<th scope="col"{word if i < self.names else ""}>{escape(c)}</th>'
            for i, c in enumerate(self.columns)
        )
        body = ""
        for row in self.rows:
            cells = "".join(
                f'<th scope="row">{escape(cell)}</th>'
                if i < self.names
                else f"<td>{escape(cell)}</td>"
                for i, cell in enumerate(row)
            )
            body += f"<tr>{cells}</tr>\n"
        return (
            f"<table><caption>{escape(self.title)}</caption>\n"
            f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table>"
        )


def number(value: float | None, digits: int = 3) -> str:
    """A number as tables show it: blank for None, a dash for NaN."""
    if value is None:
        return ""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def markdown(text: str) -> str:
    r"""Escape text so that Markdown shows it unchanged, on one line.

    >>> markdown("<b>a|b</b> age_group *x*")
    '\\<b\\>a\\|b\\</b\\> age_group \\*x\\*'
    """
    return _MARKDOWN.sub(r"\\\g<0>", printable(text).replace("&", "&amp;"))
