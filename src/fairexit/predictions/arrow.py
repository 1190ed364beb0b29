"""Read tables with Arrow: the names of their columns, and only the columns that are needed."""

import csv
from collections.abc import Collection, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from fairexit.csv_files import without_guards
from fairexit.errors import UserError, nearest, reason, short
from fairexit.types import PROBABILITY, RESERVED

MAX_VALUES = 100
"""A column with more values than this is not an attribute unless the caller names it."""


@dataclass(frozen=True)
class Columns:
    """The names of a table's columns, and the prefix of the names of its probability columns."""

    label: str = "label"
    prediction: str = "prediction"
    id: str = "id"
    cluster: str = "cluster"
    split: str = "split"
    prob_prefix: str | None = None

    def check(self, names: Sequence[str]) -> None:
        """Raise a UserError if the label or a column with a name of the caller's is missing."""
        for key, name in asdict(self).items():
            named = name != getattr(Columns, key) and key != "prob_prefix"
            if name not in names and (named or key == "label"):
                raise UserError(f"there is no column '{short(name)}'; {nearest(name, names)}")

    def is_probability(self, name: str) -> bool:
        """Whether a column holds probabilities of a class."""
        if self.prob_prefix:
            return name.startswith(self.prob_prefix)
        return PROBABILITY.fullmatch(name) is not None

    def is_attribute(self, name: str) -> bool:
        """Whether a column may be an attribute because it has no other meaning."""
        return not (name in RESERVED or name in astuple(self) or self.is_probability(name))


def column_names(path: Path) -> list[str]:
    """Column names of a CSV or Parquet file.

    Raises:
        UserError: the file is not readable or empty, or two columns have the same name.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4)
        if not head:
            raise UserError(f"{path}: the file is empty")
        if head == b"PAR1":
            names = list(pyarrow.parquet.ParquetFile(path).schema_arrow.names)
        else:
            with path.open(encoding="utf-8-sig", newline="") as text:
                names = next(csv.reader(text), [])
    except (pa.ArrowException, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from None
    except OSError as error:
        if error.strerror is None:  # raised by Arrow, not by the operating system
            raise _unreadable(path, error) from None
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"{path}: two columns are called '{short(twice)}'; rename one")
    return names


def read_table(path: Path, columns: Columns, attributes: Collection[str] | None) -> Any:
    """Read the needed columns of a CSV or Parquet file as an Arrow table.

    From CSV, probabilities are read as float32 and all other columns as text.

    Args:
        path: a CSV or Parquet file.
        columns: the names of the file's columns.
        attributes: the attribute columns to read; None reads all.
    Raises:
        UserError: the file is not readable, or a column is missing.
    """
    names = column_names(path)
    if len(names) == 1 and ";" in names[0]:
        raise UserError(f"{path} is separated by semicolons; save it with commas instead")
    try:
        if names:
            columns.check(names)
    except UserError as error:
        raise error.at(str(path)) from None
    present = _attributes(path, names, columns, attributes or ())
    unneeded = set(present) - set(present if attributes is None else attributes)
    needed = [name for name in names if name not in unneeded]
    try:
        if _is_parquet(path):
            return pyarrow.parquet.ParquetFile(path).read(columns=needed)
        return without_guards(pyarrow.csv.read_csv(path, **_csv_options(columns, needed)))
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None


def attribute_columns(
    path: Path, columns: Columns, wanted: Collection[str] = ()
) -> tuple[list[str], dict[str, str]]:
    """The columns that look like attributes, judged by the first rows (about 1 MB of text).

    Args:
        path: a CSV or Parquet file.
        columns: the names of the file's columns.
        wanted: attributes to keep, however many values they have.
    Returns:
        The names of the attributes, and the columns that were left out with the reason.
    Raises:
        UserError: the file is not readable, or a wanted attribute is not in it.
    """
    present = _attributes(path, column_names(path), columns, wanted)
    if not present:
        return [], {}
    try:
        if _is_parquet(path):
            file = pyarrow.parquet.ParquetFile(path)
            batch = next(file.iter_batches(10_000, columns=present), None)
        else:
            with pyarrow.csv.open_csv(path, **_csv_options(columns, present)) as reader:
                batch = next(reader, None)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None
    attributes, left_out = [], {}
    for i, name in enumerate(present):
        values = 0 if batch is None else len(batch.column(i).unique())
        if name in wanted or values <= MAX_VALUES:
            attributes.append(name)
        else:
            left_out[name] = f"more than {MAX_VALUES} values"
    return attributes, left_out


def _attributes(
    path: Path, names: list[str], columns: Columns, wanted: Collection[str]
) -> list[str]:
    """The columns that may be attributes; a UserError if a wanted one is not among them."""
    present = [name for name in names if columns.is_attribute(name)]
    for name in wanted:
        if name not in present:
            raise UserError(
                f"{path}: there is no column of an attribute '{short(name)}'; "
                f"{nearest(name, present)}"
            )
    return present


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _csv_options(columns: Columns, needed: list[str]) -> dict[str, Any]:
    types = {name: pa.float32() if columns.is_probability(name) else pa.string() for name in needed}
    return {
        "parse_options": pyarrow.csv.ParseOptions(newlines_in_values=True),
        "convert_options": pyarrow.csv.ConvertOptions(column_types=types, include_columns=needed),
    }


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} is not a readable CSV or Parquet file: {short(reason(error), 300)}")
