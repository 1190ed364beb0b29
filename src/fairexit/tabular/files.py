"""Open tables in files of any common form: CSV and its relatives, Parquet, JSON lines, Excel."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from fairexit.csv_files import unguarded
from fairexit.errors import UserError, reason, short
from fairexit.extras import require
from fairexit.tabular.cells import arrow_column
from fairexit.tabular.dialect import detect
from fairexit.tabular.forms import FrameFile, ParquetFile, TableFile, TextFile, unreadable


def open_table(path: Path) -> TableFile:
    """Open a table: CSV (any usual separator and encoding), Parquet, JSON lines, or Excel.

    The form is told by the content, not by the ending of the name.

    Raises:
        UserError: the file does not exist, is empty or of no form that is read, or two columns
            have the same name.
    """
    try:
        if not path.is_file():
            kind = "is a folder, not a table" if path.is_dir() else "is not a file"
            raise UserError(f"{path} {kind}" if path.exists() else f"there is no file {path}")
        with path.open("rb") as file:
            head = file.read(4)
        table = _open(path, head)
    except (pa.ArrowException, UnicodeError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, UserError):
            raise
        raise unreadable(path, error) from None
    except OSError as error:
        if error.strerror is None:  # raised by Arrow, not by the operating system
            raise unreadable(path, error) from None
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    check_names(table.names, str(path))
    return table


def _open(path: Path, head: bytes) -> TableFile:
    if head == b"PAR1":
        names = tuple(pyarrow.parquet.ParquetFile(path).schema_arrow.names)
        return ParquetFile(path=path, names=names)
    if head == b"PK\x03\x04":
        return _excel(path)
    if head == b"\xd0\xcf\x11\xe0":
        raise UserError(f"{path} is an old Excel file; save it as .xlsx or as a CSV file in UTF-8")
    if head.startswith(b"\xfd7zX"):
        raise UserError(f"{path} is compressed (xz); unpack it first")
    if head.lstrip()[:1] in (b"{", b"[") or path.suffix.lower() in (".json", ".jsonl", ".ndjson"):
        return _json(path)
    dialect = detect(path)
    notes = (dialect.note,) if dialect.note else ()
    return TextFile(
        path=path, names=tuple(map(unguarded, dialect.names)), notes=notes, dialect=dialect
    )


def table_of(columns: dict[str, Any], where: str) -> TableFile:
    """A table that is in memory.

    Args:
        columns: name -> values, (N,), in any form that `arrow_column` takes.
        where: what the table is called in messages.
    """
    made = tuple(arrow_column(values, name) for name, values in columns.items())
    return FrameFile(path=Path(where), names=tuple(columns), columns=made)


def check_names(names: Sequence[str], where: str) -> None:
    """Raise a UserError if two columns have the same name; several may have none."""
    named = [name for name in names if name]
    if len(set(named)) < len(named):
        twice = next(name for name in named if named.count(name) > 1)
        raise UserError(f"{where}: two columns are called '{short(twice)}'; rename one")


def _excel(path: Path) -> TableFile:
    """The first sheet of an Excel file that has cells."""
    with zipfile.ZipFile(path) as archive:
        if "xl/workbook.xml" not in archive.namelist():
            raise UserError(f"{path} is a zip archive; unpack it first")
    require("excel", f"to read {path}, fairexit")
    try:
        sheets = pd.read_excel(
            path, sheet_name=None, dtype=object, keep_default_na=False, header=None
        )
    except Exception as error:  # a damaged file makes the reader raise any exception
        raise unreadable(path, error) from None
    filled = {name: sheet for name, sheet in sheets.items() if sheet.shape[1]}
    if not filled:
        raise UserError(f"{path}: no sheet has a cell")
    first, sheet = next(iter(filled.items()))
    others = [str(name) for name in filled if name != first]
    notes = (
        (f"the sheet '{short(first)}' was read; not {short(', '.join(others))}",) if others else ()
    )
    names = tuple("" if name is None else str(name) for name in sheet.iloc[0])
    sheet = sheet.iloc[1:]
    check_names(names, str(path))
    columns = tuple(arrow_column(sheet.iloc[:, i], name) for i, name in enumerate(names))
    return FrameFile(path=path, names=names, notes=notes, columns=columns)


def _json(path: Path) -> TableFile:
    """JSON lines (one object in each), or one array of objects."""
    text = path.read_bytes().decode("utf-8-sig")
    try:
        if text.lstrip().startswith("["):
            rows = json.loads(text, object_pairs_hook=_object)
        else:
            lines = [line for line in text.split("\n") if line.strip()]
            rows = [json.loads(line, object_pairs_hook=_object) for line in lines]
    except UserError as error:
        raise error.at(str(path)) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON with one object a line: {reason(error)}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path} must hold one JSON object a line, or a list of objects")
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = tuple(arrow_column([row.get(name) for row in rows], name) for name in names)
    return FrameFile(path=path, names=tuple(names), columns=columns)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, whose keys must differ."""
    result = dict(pairs)
    if len(result) < len(pairs):
        twice = next(k for k, _ in pairs if sum(k == other for other, _ in pairs) > 1)
        raise UserError(f"an object has the key '{short(twice)}' twice; rename one")
    return result
