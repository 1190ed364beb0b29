"""CSV files that are safe to open in a spreadsheet and give every text back when they are read.

A spreadsheet runs a cell that begins like a formula. Such a text is written with an apostrophe
before it, by which spreadsheets mark text; readers take it off, so that ids join again. Numbers
stay as they are, and so does a text of a single character, such as a class called "+".
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairexit.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = re.compile("'*[=+\\-@\t\r＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def guarded(text: str) -> str:
    """The text of a cell, with an apostrophe before it if a spreadsheet would run it.

    A text that has apostrophes before a formula gets one more, so that none is lost in reading.

    >>> guarded("=1+1"), guarded("-0.5"), guarded("'=1+1"), guarded("nevus")
    ("'=1+1", '-0.5', "''=1+1", 'nevus')
    """
    is_formula = len(text) > 1 and _FORMULA.match(text) and not _NUMBER.fullmatch(text)
    return f"'{text}" if is_formula else text


def unguarded(text: str) -> str:
    """The text for which `guarded` returned this cell.

    >>> unguarded("'=1+1"), unguarded("'tis")
    ('=1+1', "'tis")
    """
    return text[1:] if text.startswith("'") and guarded(text[1:]) == text else text


def csv_text(frame: "pd.DataFrame", float_format: str = "%.6g", header: bool = True) -> str:
    """A frame as CSV without its index; the texts of its header and cells are guarded.

    Args:
        frame: the frame.
        float_format: how numbers are written.
        header: whether the first line has the names of the columns.
    """

    def cell(value: Any) -> Any:
        return guarded(value) if isinstance(value, str) else value

    texts = frame.select_dtypes(include=["object", "string", "category"]).columns
    safe = frame.assign(**{name: frame[name].astype(object).map(cell) for name in texts})
    return safe.rename(columns=cell).to_csv(index=False, header=header, float_format=float_format)


def write_csv(path: Path, frame: "pd.DataFrame", float_format: str = "%.6g") -> None:
    """Write a frame as CSV, atomically; see `csv_text`."""
    write_atomically(path, csv_text(frame, float_format))


def with_guards(table: Any) -> Any:
    """An Arrow table to be written as CSV, with the apostrophes of `guarded` in its texts."""
    changed = _changed(table, guarded, _FORMULA.pattern)
    return changed.rename_columns([guarded(name) for name in changed.column_names])


def without_guards(table: Any) -> Any:
    """An Arrow table read from CSV, with the apostrophes of `guarded` taken off its texts."""
    return _changed(table, unguarded, "'")


def _changed(table: Any, change: Callable[[str], str], beginning: str) -> Any:
    """A table with the texts changed of the columns in which one begins in a certain way."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for i, name in enumerate(table.column_names):
        column = table.column(i)
        if not pa.types.is_string(column.type):
            continue
        if pc.any(pc.match_substring_regex(column, f"^(?:{beginning})")).as_py():
            texts = [text if text is None else change(text) for text in column.to_pylist()]
            table = table.set_column(i, name, pa.array(texts, pa.string()))
    return table
