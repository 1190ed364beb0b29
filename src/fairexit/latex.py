r"""Tables in LaTeX, for the packages that `PACKAGES` names.

They may be longer than a page. Columns of long texts share the width that the others leave.
"""

import re
import textwrap
from collections.abc import Sequence
from itertools import product

from fairexit.tables import BEST, Table
from fairexit.terminal import printable

PACKAGES = "array,booktabs,makecell,pdflscape,threeparttablex,xltabular"
LONG = 28
"""Characters of a cell from which its column is wrapped."""
WIDE = 95
"""Characters of a table's lines above which it is turned."""
WIDEST = 150
"""Characters of a table's lines that a turned page can hold."""
SHORT = 6
"""Rows of a group within which no page ends."""

_TEX = str.maketrans(
    {char: f"\\{char}" for char in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
    | {char: f"{{{char}}}" for char in "[]*"}  # after a line's end they would be an option
    | {"±": r"$\pm$", "↑": r"$\uparrow$", "↓": r"$\downarrow$"}
)
_MINUS = re.compile(r"(?<![\w.)])-(?=\d)")


def latex(table: Table, label: str, notes: Sequence[str] = ()) -> str:
    """A table in LaTeX, which may be longer than a page; the pages of a wide one are turned.

    Cells that end with `BEST` are bold. Rows belong together if their first cell is empty or the
    same; rules stand between them. In a table wider than a turned page, brackets stand under
    their number.

    Args:
        table: the table; its title becomes the caption.
        label: what `\\ref` refers to, such as `tab:methods`.
        notes: paragraphs under the table, which may mark words with two asterisks.
    """
    rows = _stacked(table.rows)
    widths = _widths(rows) or [0] * len(table.columns)
    is_wide = _total(widths) > WIDE
    head = " & ".join(map(_heading, table.columns, widths)) + r" \\"
    lines = [
        rf"% Needs \usepackage{{{PACKAGES}}}.",
        r"\begin{landscape}" if is_wide else r"\begingroup",
        r"\scriptsize" if is_wide else r"\footnotesize",
        r"\setlength{\tabcolsep}{2.5pt}\setlength{\LTcapwidth}{\linewidth}",
        r"\begin{ThreePartTable}",
        *_notes(notes),
        rf"\begin{{xltabular}}{{\linewidth}}{{@{{}}{_format(widths, table.names)}@{{}}}}",
        rf"\caption{{{tex(table.title)}}}\label{{{label}}} \\",
        *(r"\toprule", head, r"\midrule", r"\endfirsthead"),
        rf"\caption[]{{{tex(table.title)} (continued)}} \\",
        *(r"\toprule", head, r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot"),
        r"\endlastfoot",
        *_body(rows, table.names),
        r"\bottomrule" + r" \insertTableNotes" * bool(notes),
        r"\end{xltabular}",
        r"\end{ThreePartTable}",
        r"\end{landscape}" if is_wide else r"\endgroup",
    ]
    return "\n".join(lines) + "\n"


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """Characters of the longest line in each column."""
    columns = zip(*rows, strict=True)
    return [
        max(map(len, "\n".join(column).replace(f" {BEST}", "").split("\n"))) for column in columns
    ]


def _total(widths: Sequence[int]) -> int:
    """Characters of a line, in which long texts are wrapped."""
    return sum(min(width, LONG) for width in widths)


def _stacked(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """The rows, with brackets in a line of their own in as many columns as it takes.

    The first column is stacked first, then those with empty cells, which have place for it.
    """
    stacked = [list(row) for row in rows]
    columns = range(len(rows[0]) if rows else 0)
    sparse = [i for i in columns if not all(row[i] for row in rows)]
    for part in ([0], sparse, columns):
        widths = _widths(stacked)
        if _total(widths) <= WIDEST:
            break
        for row, i in product(stacked, part):
            if widths[i] < LONG and "\n" not in row[i]:
                row[i] = row[i].replace(" (", "\n(", 1)
    return stacked


def _body(rows: Sequence[Sequence[str]], names: int) -> list[str]:
    """The rows, with a rule between groups of them; no page ends within a short group."""
    groups: list[list[str]] = []
    before = ""
    for row in rows:
        if not groups or row[0] not in ("", before):
            groups.append([])
            before = row[0]
        cells = [_cell(text, "l" if i < names else "r") for i, text in enumerate(row)]
        groups[-1].append(" & ".join(cells) + r" \\")
    if len(groups) == len(rows):
        return [line for group in groups for line in group]
    lines = []
    for i, group in enumerate(groups):
        stays = "*" if len(group) <= SHORT else ""
        lines += [r"\midrule"] * bool(i) + [line + stays for line in group[:-1]] + group[-1:]
    return lines


def _notes(notes: Sequence[str]) -> list[str]:
    if not notes:
        return []
    items = [rf"\item {tex(note.replace('**', ''))}" for note in notes]
    return [r"\begin{TableNotes}", r"\scriptsize", *items, r"\end{TableNotes}"]


def _format(widths: Sequence[int], names: int) -> str:
    """The columns: long texts wrapped, words left, numbers right.

    Without long texts the first column is as wide as the page allows, so that the notes are.
    """
    columns = ["l"] * names + ["r"] * (len(widths) - names)
    wrapped = [i for i, width in enumerate(widths) if width >= LONG] or [0]
    for i in wrapped:
        columns[i] = r">{\raggedright\arraybackslash}X"
    return "".join(columns)


def _heading(text: str, width: int) -> str:
    """A heading in lines that are no longer than its column's cells, if its words allow it."""
    # An arrow stays with its word.
    text = text.replace(" ↑", "\N{NO-BREAK SPACE}↑").replace(" ↓", "\N{NO-BREAK SPACE}↓")
    width = max(width, *map(len, text.split(" ")), 1)
    return _lines(textwrap.wrap(text, width) if width < LONG else [text], "b")


def _cell(text: str, side: str) -> str:
    """A cell in LaTeX, on the left or right (l or r); bold where it ends with `BEST`."""
    bold = text.endswith(f" {BEST}")
    shown = _lines((text.removesuffix(BEST) if bold else text).split("\n"), f"t{side}")
    return rf"\textbf{{{shown}}}" if bold else shown


def _lines(lines: Sequence[str], position: str) -> str:
    """Lines of text under one another, at a position of `makecell`."""
    body = r" \\ ".join(map(tex, lines))
    return rf"\makecell[{position}]{{{body}}}" if len(lines) > 1 else body


def tex(text: str) -> str:
    r"""Escape text so that LaTeX shows it unchanged, on one line.

    >>> tex(r"50% a_b \x ~ ^ ±")
    '50\\% a\\_b \\textbackslash{}x \\textasciitilde{} \\textasciicircum{} $\\pm$'
    >>> tex("-0.1 (-2), ME-2")
    '$-$0.1 ($-$2), ME-2'
    """
    escaped = printable(" ".join(text.split())).translate(_TEX)
    return _MINUS.sub("$-$", escaped)
