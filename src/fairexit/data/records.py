"""The table that every dataset becomes, and the interface of a dataset."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairexit.data.images import Decoded, decode
from fairexit.data.matching import ImageFiles
from fairexit.errors import UserError, option, short
from fairexit.tabular.files import open_table
from fairexit.types import PROBABILITY, RESERVED

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Listing:
    """A dataset's samples before any image is read.

    Attributes:
        frame: one row per sample: `id`, `label` (a class name or missing), `cluster` (lesion or
            patient; empty if the sample is a cluster of its own), one column per attribute (a
            group's name or missing) and, if the images are files, `path` (empty if there is no
            such file).
        classes: every class of the dataset in order, with or without samples.
        attributes: the groups of each attribute, in order. The first attribute is the main one.
        notes: what a user should know about how the table was read.
        small: rows whose main group is left out because it is small, (N,); None if none is.
        files: how the images were found, if they are files of a folder.
    Raises:
        UserError: the table is empty, an id, label or group is invalid, or there are fewer than two
            groups.
    """

    frame: pd.DataFrame
    classes: tuple[str, ...]
    attributes: dict[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()
    small: NDArray[np.bool_] | None = None
    files: ImageFiles = field(default_factory=ImageFiles)

    def __post_init__(self) -> None:
        if self.frame.empty:
            raise UserError("the dataset has no rows")
        if not self.attributes:
            raise UserError(
                f"the dataset has no sensitive attribute; name one with {option('group')}"
            )
        for name in self.attributes:
            if name in RESERVED or PROBABILITY.fullmatch(name):
                raise UserError(
                    f"an attribute cannot be called '{short(name)}'; rename that column"
                )
        check_ids(self.frame["id"])
        check_values(self.frame, "label", self.classes)
        for name, values in self.attributes.items():
            check_values(self.frame, name, values)
        present = self.frame[self.main].dropna().unique()
        if len(present) < 2:
            number = f"only one value ('{short(present[0])}')" if len(present) else "no known value"
            raise UserError(f"attribute '{self.main}' has {number}; at least two groups are needed")

    @property
    def main(self) -> str:
        """The main attribute, to which the preparation option `unknown` applies."""
        return next(iter(self.attributes))


class Dataset(ABC):
    """A source of samples. A subclass builds the table; everything else is shared.

    Keyword-only arguments of `__init__` are the dataset's options, also on the command line.

    Attributes:
        website: where the data come from.
        licence: the licence of the data.
        needs_source: whether there is a folder or file to read.
    """

    website: ClassVar[str] = ""
    licence: ClassVar[str] = ""
    needs_source: ClassVar[bool] = True

    @abstractmethod
    def read(self, source: Path) -> Listing:
        """Read the table of the download at `source`, a folder or a file."""

    def pixels(self, rows: pd.DataFrame, size: int, fit: str) -> list[Decoded]:
        """Read the images of some rows of the table.

        Args:
            rows: rows of the table.
            size: side of the images in pixels.
            fit: `squash` or `crop`.
        Returns:
            For each row its pixels, (size, size, 3) uint8, or the reason why there are none.
        """
        return [decode(Path(path), size, fit) for path in rows["path"]]


def read_table(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a table of any common form with every column as text; empty cells are missing values.

    Args:
        path: the file.
        columns: the columns to read; by default all that hold single values.
    Raises:
        UserError: the file does not exist, is not a valid table, has no rows or lacks a column.
    """
    table = open_table(path)
    if columns is None:
        columns = [name for name in table.names if name and table.is_readable(name)]
    for name in columns:
        if name not in table.names:
            names = short(", ".join(table.names), 300)
            raise UserError(f"{path} has no column '{short(name)}'; available: {names}")
    try:
        frame = table.frame(list(dict.fromkeys(columns)))
    except UserError as error:
        raise error if str(path) in str(error) else error.at(str(path)) from None
    if frame.empty:
        raise UserError(f"{path} has no rows")
    return frame


def need_columns(frame: pd.DataFrame, columns: Iterable[str], path: Path) -> None:
    """Raise a UserError that names the first column that the file lacks."""
    for column in columns:
        if column not in frame.columns:
            names = short(", ".join(map(str, frame.columns)), 300)
            raise UserError(f"{path} has no column '{short(column)}'; available: {names}")


def file_of(path: Path, candidates: Sequence[str]) -> Path:
    """The first of the candidates that exists in a folder.

    Raises:
        UserError: the folder does not exist or has none of them.
    """
    if not path.is_dir():
        raise UserError(f"there is no folder {path}")
    for name in candidates:
        if (path / name).exists():
            return path / name
    raise UserError(f"{path} has no {' or '.join(candidates)}; name the folder that holds it")


def check_ids(ids: "pd.Series[str]") -> None:
    """Raise a UserError if an id is missing or not unique."""
    missing = ids.isna() | (ids == "")
    if missing.any():
        raise UserError(f"row {int(missing.to_numpy().argmax()) + 1} has no id")
    repeated = ids[ids.duplicated()]
    if len(repeated):
        raise UserError(
            f"id '{short(repeated.iloc[0])}' occurs in more than one row; ids must be unique "
            f"({len(repeated)} rows repeat an id)"
        )


def check_values(frame: pd.DataFrame, column: str, known: tuple[str, ...]) -> None:
    """Raise a UserError that names the first row with an unknown value in a column."""
    wrong = frame[column].notna() & ~frame[column].isin(known)
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise UserError(
            f"row {row + 1} (id '{short(frame['id'].iloc[row])}'): {column} "
            f"'{short(frame[column].iloc[row])}' is not one of {short(', '.join(known), 300)}"
        )


def check_classes(frame: pd.DataFrame, classes: tuple[str, ...]) -> None:
    """Raise a UserError unless there are at least two classes, which hold every label."""
    if len(classes) < 2:
        number = f"only one ('{short(classes[0])}')" if classes else "none"
        raise UserError(f"at least two classes are needed, but there is {number}")
    if len(set(classes)) < len(classes):
        repeated = next(name for name in classes if classes.count(name) > 1)
        raise UserError(f"{option('classes')} names '{short(repeated)}' twice")
    other = frame["label"].notna() & ~frame["label"].isin(classes)
    if other.any():
        row = frame[other].iloc[0]
        raise UserError(
            f"id '{short(row['id'])}': class '{short(row['label'])}' is not one of the classes "
            f"given, {short(', '.join(classes), 300)} ({int(other.sum())} such rows); rename it in "
            "the table as the model calls it, or leave its rows out"
        )
