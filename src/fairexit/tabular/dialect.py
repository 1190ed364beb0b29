"""How a text file holds its table: its encoding, its separator and its decimal point."""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from fairexit.errors import UserError, short

SEPARATORS = (",", ";", "\t", "|")

SAMPLE = 1 << 18
"""Bytes of a file by which its form is judged."""

MAX_LINES = 50
"""Lines of the sample that are compared."""

_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"(\xb5/\xfd": "zstd"}
"""The first bytes of compressed files that are unpacked, and the kind of the compression."""

_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")
_NUMBER = re.compile(r"\s*[-+]?\d*(?P<point>[.,])\d+([eE][-+]?\d+)?\s*")


@dataclass(frozen=True)
class Dialect:
    """The form of a text table.

    Attributes:
        encoding: a codec of Python.
        separator: the character between two cells.
        decimal: the decimal point, "." or ",".
        names: the column names, as they stand in the first line.
        note: what a reader should know about the choice; "" if nothing was guessed.
        leading: lines before the header.
    """

    encoding: str
    separator: str
    decimal: str
    names: tuple[str, ...]
    note: str = ""
    leading: int = 0


def detect(path: Path) -> Dialect:
    """The form of a text table, judged by its first lines.

    The encoding is UTF-8, or UTF-16 with a byte order mark; other text is read as Windows-1252,
    with a note. The separator is the one that divides all lines into equally many cells. Decimal
    commas are recognised where no cell has a decimal point.

    Raises:
        UserError: the file is empty, or not a text.
        OSError: it cannot be read.
    """
    with open_binary(path) as file:
        head = file.read(SAMPLE)
    if not head:
        raise UserError(f"{path}: the file is empty")
    encoding, note = _encoding(path, head)
    text = _decode(head, encoding)
    # Excel writes and reads a first line that names the separator.
    sep_line = re.match(r"sep=(.)\r?\n", text)
    leading = 1 if sep_line else 0
    text = text[sep_line.end() :] if sep_line else text
    separator, rows = (
        (sep_line[1], _rows(text, sep_line[1]))
        if sep_line
        else _separator(text, tab_first=path.suffix.lower() in (".tsv", ".tab"))
    )
    leading += next((i for i, row in enumerate(rows) if row), 0)
    rows = [row for row in rows if row]  # Arrow leaves out empty lines too
    names = tuple(rows[0]) if rows else ()
    decimal = _decimal(rows[1:], separator)
    if decimal == ",":
        note = "; ".join(filter(None, [note, "numbers were read with decimal commas"]))
    return Dialect(encoding, separator, decimal, names, note, leading)


def open_binary(path: Path) -> Any:
    """The bytes of a file, unpacked if it is compressed by gzip, bzip2 or Zstandard."""
    with path.open("rb") as file:
        head = file.read(4)
    kind = next((kind for magic, kind in COMPRESSED.items() if head.startswith(magic)), None)
    return pa.input_stream(path, compression=kind)


def _encoding(path: Path, head: bytes) -> tuple[str, str]:
    """The encoding of a file, and a note if it is a guess."""
    for mark, name in _BOMS.items():
        if head.startswith(mark):
            return name, ""
    if b"\0" in head:
        raise UserError(
            f"{path} is not a text file, or is UTF-16 without a byte order mark; save it as a CSV "
            "file in UTF-8"
        )
    if _is_utf8(path):
        return "utf-8", ""
    try:
        for block in _blocks(path):
            block.decode("cp1252")
    except UnicodeDecodeError:
        raise UserError(
            f"{path} is neither UTF-8 nor Windows-1252 text; save it as a CSV file in UTF-8"
        ) from None
    return "cp1252", "the file is not UTF-8 and was read as Windows-1252 (Latin-1)"


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for block in _blocks(path):
            # ASCII need not be decoded, unless the block before ended within a character.
            if decoder.getstate()[0] or not block.isascii():
                decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _blocks(path: Path) -> Iterator[bytes]:
    with open_binary(path) as file:
        while block := file.read(1 << 24):
            yield block


def _decode(head: bytes, encoding: str) -> str:
    """The text of the first bytes, which may end within a character."""
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    return decoder.decode(head)


def _rows(text: str, separator: str) -> list[list[str]]:
    """The first records of a text; the last one, which may be cut off, is left out."""
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows = []
    try:
        for row in lines:
            rows.append(row)
            if len(rows) > MAX_LINES:
                break
    except csv.Error:
        pass
    return rows[:-1] if len(text) >= SAMPLE // 4 and len(rows) > 2 else rows


def _separator(text: str, *, tab_first: bool) -> tuple[str, list[list[str]]]:
    """The separator, and the first records that it gives."""
    candidates = sorted(SEPARATORS, key=lambda mark: mark != "\t") if tab_first else SEPARATORS
    parsed = {mark: _rows(text, mark) for mark in candidates}

    def fitness(mark: str) -> tuple[bool, int]:
        widths = {len(row) for row in parsed[mark] if row}
        return len(widths) == 1 and max(widths, default=0) > 1, max(
            map(len, parsed[mark][:1]), default=0
        )

    best = max(candidates, key=fitness)  # the first of equals
    return best, parsed[best]


def _decimal(rows: list[list[str]], separator: str) -> str:
    """The decimal point of the numbers: a comma, if there are some and no points.

    Between commas, "1,000" is a thousand unless another number shows that the comma is decimal.
    """
    cells = [cell.strip() for row in rows for cell in row]
    points = {match["point"] for cell in cells if (match := _NUMBER.fullmatch(cell))}
    if points != {","}:
        return "."
    thousands = all(_THOUSANDS.fullmatch(c) for c in cells if _NUMBER.fullmatch(c))
    return "." if thousands and separator == "," else ","


def ragged(path: Path, dialect: Dialect) -> UserError | None:
    """The error about the first row that has another number of cells than the header, if any."""
    try:
        with io.TextIOWrapper(open_binary(path), dialect.encoding, newline="") as file:
            rows = enumerate(csv.reader(file, delimiter=dialect.separator))
            number, row = next((n, r) for n, r in rows if r and len(r) != len(dialect.names))
    except (OSError, UnicodeError, csv.Error, StopIteration):
        return None
    separator = {"\t": "tabs", ",": "commas", ";": "semicolons"}.get(dialect.separator, "'|'")
    return UserError(
        f"{path}, row {number}: it has {len(row)} cells where the header has {len(dialect.names)} "
        f"({short(dialect.separator.join(row), 60)}); columns are separated by {separator}, so put "
        "cells that hold this character, such as numbers with a decimal comma, in quotation marks"
    )
