"""The kinds of table files, each of which is read column by column."""

import io
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from fairexit.csv_files import without_guards
from fairexit.errors import UserError, reason, short
from fairexit.tabular.cells import is_scalar, texts
from fairexit.tabular.dialect import Dialect, open_binary, ragged

MAX_COUNTED = 1 << 26
"""Bytes of a file up to which its lines are counted."""

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
class TextFile(TableFile):
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
            for _ in range(self.dialect.leading):
                next(file)
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
                encoding={"utf-8-sig": "utf-8"}.get(self.dialect.encoding, self.dialect.encoding),
                # The names are those of the header without guards.
                column_names=list(self.names),
                skip_rows=self.dialect.leading,
                skip_rows_after_names=1,
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
class ParquetFile(TableFile):
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
class FrameFile(TableFile):
    """A table that is in memory, from JSON lines, Excel or a caller."""

    columns: tuple[Any, ...] = ()
    description: Mapping[bytes, bytes] = field(default_factory=dict)

    def metadata(self) -> dict[bytes, bytes]:
        return dict(self.description)

    def read(self, names: Sequence[str], numbers: Collection[str] = ()) -> Any:
        of_name = dict(zip(self.names, self.columns, strict=True))
        return pa.table({name: of_name[name] for name in names})


def unreadable(path: Path, error: Exception) -> UserError:
    """The error about a damaged file."""
    return UserError(f"{path} is not a readable table: {short(reason(error), 300)}")
