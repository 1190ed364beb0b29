"""Tables in files of any common form: CSV and its relatives, Parquet, JSON lines, Excel."""

import io
import json
import re
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from fairexit.csv_files import without_guards
from fairexit.errors import UserError, reason, short
from fairexit.extras import require
from fairexit.tabular.dialect import Dialect, detect, open_binary, ragged

MAX_COUNTED = 1 << 26
"""Bytes of a file up to which its lines are counted."""

MAX_CELL = 1_000
"""Characters that a name in a cell may have."""

BATCH = 2**21
"""Numbers of a Parquet file that are read together."""


@dataclass(frozen=True, kw_only=True)
class TableFile(ABC):
    """An open table; its cells are read column by column.

    Attributes:
        path: the file.
        names: its column names, in order, each once.
        notes: what a reader should know about how the file was read.
    """

    path: Path
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @abstractmethod
    def read(self, names: Sequence[str], numbers: Collection[str] = ()) -> Any:
        """Some columns as an Arrow table.

        Args:
            names: the columns.
            numbers: those of them that hold numbers, which become float64; every other column of a
                text file is text, and columns of other files have the types that they have there.
        Raises:
            UserError: the file is damaged, or a cell is not a number.
        """

    def row_notes(self, rows: int) -> tuple[str, ...]:
        """What a reader should know if the table has so many rows."""
        return ()

    def batches(self, names: Sequence[str]) -> Iterator[Any]:
        """Columns of numbers as Arrow tables of consecutive rows, to save memory."""
        yield self.read(names, names)

    def metadata(self) -> dict[bytes, bytes]:
        """What the file says of itself besides its columns."""
        return {}

    def sample(self, names: Sequence[str], rows: int = 10_000) -> Any:
        """The first rows of some columns, as an Arrow table."""
        return self.read(names).slice(0, rows)

    def is_readable(self, name: str) -> bool:
        """Whether a column holds single values, not lists, records or bytes."""
        return is_scalar(self.sample([name], 1)[name].type)

    def frame(self, names: Sequence[str]) -> pd.DataFrame:
        """Some columns as texts in a data frame; None where a cell is empty."""
        table = self.read(names)
        return pd.DataFrame({name: texts(table[name], name) for name in names}, dtype=object)


@dataclass(frozen=True, kw_only=True)
class _Text(TableFile):
    dialect: Dialect

    def read(self, names: Sequence[str], numbers: Collection[str] = ()) -> Any:
        try:
            table = pyarrow.csv.read_csv(open_binary(self.path), **self._options(names, numbers))
        except (pa.ArrowException, OSError, UnicodeError) as error:
            raise self._failure(error) from None
        return self._plain(table, numbers)

    def _plain(self, table: Any, numbers: Collection[str]) -> Any:
        """Texts without guards and, if the file has decimal commas, with decimal points."""
        table = without_guards(table)
        if self.dialect.decimal == ",":
            for i, name in enumerate(table.column_names):
                if name not in numbers:
                    pattern = r"^([-+]?\d+),(\d+)$"
                    points = pc.replace_substring_regex(table.column(i), pattern, r"\1.\2")
                    table = table.set_column(i, name, points)
        return table

    def row_notes(self, rows: int) -> tuple[str, ...]:
        if self.path.stat().st_size > MAX_COUNTED:
            return ()
        with io.TextIOWrapper(open_binary(self.path), self.dialect.encoding, "replace") as file:
            lines = sum(1 for line in file if line.strip()) - 1
        if lines <= rows:
            return ()
        return (
            f"{lines} lines of the file are {rows} rows, as some cells hold several lines; if that "
            "is not meant, a quotation mark is not closed",
        )

    def batches(self, names: Sequence[str]) -> Iterator[Any]:
        try:
            options = self._options(names, names)
            with pyarrow.csv.open_csv(open_binary(self.path), **options) as reader:
                yield from (pa.Table.from_batches([batch]) for batch in reader)
        except (pa.ArrowException, OSError, UnicodeError) as error:
            raise self._failure(error) from None

    def is_readable(self, name: str) -> bool:
        return True

    def sample(self, names: Sequence[str], rows: int = 10_000) -> Any:
        try:
            with pyarrow.csv.open_csv(open_binary(self.path), **self._options(names)) as reader:
                batch = next(reader, None)
        except (pa.ArrowException, OSError, UnicodeError) as error:
            raise self._failure(error) from None
        schema = pa.schema([(name, pa.string()) for name in names])
        batches = [] if batch is None else [batch.slice(0, rows)]
        return self._plain(pa.Table.from_batches(batches, None if batches else schema), ())

    def _options(self, names: Sequence[str], numbers: Collection[str] = ()) -> dict[str, Any]:
        types = {name: pa.float64() if name in numbers else pa.string() for name in names}
        return {
            "read_options": pyarrow.csv.ReadOptions(
                # The header is skipped, and its names are given, as they may need an encoding.
                encoding={"utf-8-sig": "utf-8"}.get(self.dialect.encoding, self.dialect.encoding)
            ),
            "parse_options": pyarrow.csv.ParseOptions(
                delimiter=self.dialect.separator, newlines_in_values=True
            ),
            "convert_options": pyarrow.csv.ConvertOptions(
                column_types=types,
                include_columns=list(names),
                decimal_point=self.dialect.decimal,
            ),
        }

    def _failure(self, error: Exception) -> UserError:
        place = re.search(r"CSV column #(\d+): .*invalid value (.*)", str(error))
        if place and int(place[1]) < len(self.names):
            name = short(self.names[int(place[1])])
            return UserError(
                f"{self.path}: column '{name}' does not hold numbers: {short(place[2])}"
            )
        return ragged(self.path, self.dialect) or unreadable(self.path, error)


@dataclass(frozen=True, kw_only=True)
class _Parquet(TableFile):
    def metadata(self) -> dict[bytes, bytes]:
        return dict(pyarrow.parquet.ParquetFile(self.path).schema_arrow.metadata or {})

    def read(self, names: Sequence[str], numbers: Collection[str] = ()) -> Any:
        try:
            return pyarrow.parquet.ParquetFile(self.path).read(columns=list(names))
        except (pa.ArrowException, OSError) as error:
            raise unreadable(self.path, error) from None

    def batches(self, names: Sequence[str]) -> Iterator[Any]:
        try:
            # With small buffers, as by default each of thousands of columns is read whole.
            file = pyarrow.parquet.ParquetFile(self.path, pre_buffer=False, buffer_size=2**16)
            rows = max(1, BATCH // max(1, len(names)))
            for batch in file.iter_batches(rows, columns=list(names)):
                yield pa.Table.from_batches([batch])
        except (pa.ArrowException, OSError) as error:
            raise unreadable(self.path, error) from None

    def sample(self, names: Sequence[str], rows: int = 10_000) -> Any:
        try:
            file = pyarrow.parquet.ParquetFile(self.path)
            batch = next(file.iter_batches(rows, columns=list(names)), None)
        except (pa.ArrowException, OSError) as error:
            raise unreadable(self.path, error) from None
        return self.read(names) if batch is None else pa.Table.from_batches([batch])


@dataclass(frozen=True, kw_only=True)
class _Frame(TableFile):
    """A table that is in memory, from JSON lines, Excel or a caller."""

    columns: tuple[Any, ...] = ()
    description: Mapping[bytes, bytes] = field(default_factory=dict)

    def metadata(self) -> dict[bytes, bytes]:
        return dict(self.description)

    def read(self, names: Sequence[str], numbers: Collection[str] = ()) -> Any:
        of_name = dict(zip(self.names, self.columns, strict=True))
        return pa.table({name: of_name[name] for name in names})


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
        return _Parquet(path=path, names=names)
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
    return _Text(path=path, names=dialect.names, notes=notes, dialect=dialect)


def table_of(columns: dict[str, Any], where: str) -> TableFile:
    """A table that is in memory.

    Args:
        columns: name -> values, (N,), in any form that `arrow_column` takes.
        where: what the table is called in messages.
    """
    made = tuple(arrow_column(values, name) for name, values in columns.items())
    return _Frame(path=Path(where), names=tuple(columns), columns=made)


def check_names(names: Sequence[str], where: str) -> None:
    """Raise a UserError if two columns have the same name, or a name is very long."""
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
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
    return _Frame(path=path, names=names, notes=notes, columns=columns)


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
    return _Frame(path=path, names=tuple(names), columns=columns)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, whose keys must differ."""
    result = dict(pairs)
    if len(result) < len(pairs):
        twice = next(k for k, _ in pairs if sum(k == other for other, _ in pairs) > 1)
        raise UserError(f"an object has the key '{short(twice)}' twice; rename one")
    return result


def arrow_column(values: Any, name: str) -> Any:
    """Values in any array-like form as an Arrow array; mixed values become texts.

    Args:
        values: a list, generator, NumPy array, tensor, pandas, Arrow or Polars column, (N,).
        name: the column's name, for messages.
    Raises:
        UserError: the values have more than one dimension, or are a single one.
    """
    if isinstance(values, pa.ChunkedArray):
        return values
    if isinstance(values, pa.Array):
        return pa.chunked_array([values])
    if hasattr(values, "to_arrow"):
        return arrow_column(values.to_arrow(), name)
    if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
        raise UserError(
            f"{name} is the single value {short(repr(values))}; give one for every sample"
        )
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    if getattr(values, "ndim", 1) != 1:
        raise UserError(f"{name} has the shape {tuple(values.shape)}; give one value a sample")
    if isinstance(values, np.ndarray | pd.Series | pd.Index) and values.dtype != object:
        try:
            return pa.chunked_array([pa.array(values, from_pandas=True)])
        except pa.ArrowException:
            pass
    items = [_plain(value) for value in values]
    try:
        return pa.chunked_array([pa.array(items, from_pandas=True)])
    except (pa.ArrowException, OverflowError):
        mixed = [None if _is_missing(item) else str(item) for item in items]
        return pa.chunked_array([pa.array(mixed, pa.string())])


def _plain(value: Any) -> Any:
    """A NumPy or tensor scalar as a plain Python value."""
    return value.item() if getattr(value, "shape", None) == () else value


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and value != value)


def is_scalar(kind: Any) -> bool:
    """Whether cells of an Arrow type are single values, not lists, records or bytes."""
    if pa.types.is_dictionary(kind):
        return is_scalar(kind.value_type)
    return not (
        pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    )


def numbers_of(column: Any, name: str) -> NDArray[np.float64]:
    """An Arrow column as numbers, (N,); NaN where a cell is empty.

    Raises:
        UserError: a cell is not a number.
    """
    try:
        values: NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
    except (pa.ArrowException, ValueError) as error:
        raise UserError(f"column '{short(name)}' does not hold numbers: {reason(error)}") from None
    return values


def texts(column: Any, name: str) -> list[str | None]:
    """The cells of an Arrow column as texts, None where a cell is empty."""
    codes, names = coded(column, name)
    lookup: list[str | None] = [*names, None]
    return [lookup[code] or None for code in codes.tolist()]


class Coded(NamedTuple):
    """A column as numbers of its different cells.

    Attributes:
        codes: index of each cell in `cells`, (N,); -1 where the cell is empty.
        cells: the different cells as texts.
    """

    codes: NDArray[np.int64]
    cells: list[str]


def coded(column: Any, name: str) -> Coded:
    """An Arrow column as numbers of its different cells.

    Args:
        column: an Arrow column, (N,).
        name: its name, for messages.
    Raises:
        UserError: the cells are lists or bytes, are not UTF-8, or one is very long.
    """
    if not is_scalar(column.type):
        raise UserError(f"column '{short(name)}' holds {column.type}, not single values")
    try:
        if pa.types.is_string(column.type):
            column = column.cast(pa.large_string())  # one array may hold more than 2 GB
        if pa.types.is_dictionary(column.type):
            whole = column.unify_dictionaries().combine_chunks()
        else:
            # In this order: encoded chunks would each hold the cells of all chunks before them.
            whole = column.combine_chunks().dictionary_encode()
        if isinstance(whole, pa.ChunkedArray):  # an empty column
            return Coded(np.empty(0, np.int64), [])
        codes = whole.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        _check_lengths(whole.dictionary, codes, name)
        names = [_text(value) for value in whole.dictionary.to_pylist()]
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise UserError(f"column '{short(name)}' is not readable: {reason(error)}") from None
    if "" in names:
        empty = np.array([text == "" for text in [*names, ""]])
        codes[empty[codes]] = -1
    return Coded(codes, names)


def _check_lengths(cells: Any, codes: NDArray[np.int64], name: str) -> None:
    """Raise a UserError if a text is very long, before all are made Python objects."""
    if not (pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type)):
        return
    lengths = pyarrow.compute.utf8_length(cells).to_numpy(zero_copy_only=False)
    if len(lengths) and (longest := lengths.max()) > MAX_CELL:
        row = int((codes == lengths.argmax()).argmax()) + 1
        raise UserError(
            f"row {row}: the cell in column '{short(name)}' has {int(longest):,} characters; a "
            f"name may have {MAX_CELL:,}"
        )


def _text(value: Any) -> str:
    """A cell's value as text: whole numbers without a decimal point, missing values as ""."""
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def unreadable(path: Path, error: Exception) -> UserError:
    """The error about a damaged file."""
    return UserError(f"{path} is not a readable table: {short(reason(error), 300)}")
