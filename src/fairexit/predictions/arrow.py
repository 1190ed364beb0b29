"""Outside tables as Arrow reads them: which columns there are, and only those that are needed."""

import csv
from collections.abc import Collection, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from fairexit.errors import UserError, nearest, reason, short
from fairexit.types import PROBABILITY, RESERVED

MOST_VALUES = 100
"""A column with more values than this is no attribute unless it is asked for."""


@dataclass(frozen=True)
class Columns:
    """What a table calls its columns, and what the names of probability columns begin with."""

    label: str = "label"
    prediction: str = "prediction"
    id: str = "id"
    cluster: str = "cluster"
    split: str = "split"
    prob_prefix: str | None = None

    def check(self, names: Sequence[str]) -> None:
        """Raise a UserError if a column that was asked for is not there."""
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
        """Whether a column may be an attribute: it has no other use."""
        return not (name in RESERVED or name in astuple(self) or self.is_probability(name))


def column_names(path: Path) -> list[str]:
    """The header of a CSV file or the fields of a Parquet file.

    Raises:
        UserError: not such a file, an empty one, or two columns of one name.
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
        if error.strerror is None:  # Arrow's own
            raise _unreadable(path, error) from None
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"{path}: two columns are called '{short(twice)}'; rename one")
    return names


def read_table(path: Path, columns: Columns, attributes: Collection[str] | None) -> Any:
    """The columns that have a use, probabilities as float32 and all else as text (from CSV).

    Args:
        path: a CSV or Parquet file.
        columns: what the file calls its columns.
        attributes: the attribute columns to read; all if left out.
    Raises:
        UserError: not such a file, or an attribute is not in it.
    """
    names = column_names(path)
    if len(names) == 1 and ";" in names[0]:
        raise UserError(f"{path} is separated by semicolons; save it with commas instead")
    try:
        if names:
            columns.check(names)
    except UserError as error:
        raise error.at(str(path)) from None
    there = _attributes(path, names, columns, attributes or ())
    unwanted = set(there) - set(there if attributes is None else attributes)
    kept = [name for name in names if name not in unwanted]
    try:
        if _is_parquet(path):
            return pyarrow.parquet.ParquetFile(path).read(columns=kept)
        return pyarrow.csv.read_csv(path, **_csv_options(columns, kept))
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None


def attribute_columns(
    path: Path, columns: Columns, wanted: Collection[str] = ()
) -> tuple[list[str], dict[str, str]]:
    """The columns that look like attributes, judged by the first rows (about 1 MB of text).

    Args:
        path: a CSV or Parquet file.
        columns: what the file calls its columns.
        wanted: attributes that are kept whatever they hold.
    Returns:
        Their names, and the names of the others with the reason.
    Raises:
        UserError: not such a file, or a wanted attribute is not in it.
    """
    there = _attributes(path, column_names(path), columns, wanted)
    if not there:
        return [], {}
    try:
        if _is_parquet(path):
            file = pyarrow.parquet.ParquetFile(path)
            batch = next(file.iter_batches(10_000, columns=there), None)
        else:
            with pyarrow.csv.open_csv(path, **_csv_options(columns, there)) as reader:
                batch = next(reader, None)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None
    kept, left_out = [], {}
    for i, name in enumerate(there):
        values = 0 if batch is None else len(batch.column(i).unique())
        if name in wanted or values <= MOST_VALUES:
            kept.append(name)
        else:
            left_out[name] = f"more than {MOST_VALUES} values"
    return kept, left_out


def _attributes(
    path: Path, names: list[str], columns: Columns, wanted: Collection[str]
) -> list[str]:
    there = [name for name in names if columns.is_attribute(name)]
    for name in wanted:
        if name not in there:
            raise UserError(
                f"{path}: there is no column of an attribute '{short(name)}'; "
                f"{nearest(name, there)}"
            )
    return there


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _csv_options(columns: Columns, kept: list[str]) -> dict[str, Any]:
    types = {name: pa.float32() if columns.is_probability(name) else pa.string() for name in kept}
    return {
        "parse_options": pyarrow.csv.ParseOptions(newlines_in_values=True),
        "convert_options": pyarrow.csv.ConvertOptions(column_types=types, include_columns=kept),
    }


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} is not a readable CSV or Parquet file: {short(reason(error), 300)}")
