"""The table that every dataset becomes, and the interface of a dataset."""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd

from fairexit.csv_files import unguarded
from fairexit.data.images import Decoded, decode
from fairexit.errors import UserError, option, reason, short
from fairexit.types import PROBABILITY, RESERVED

SPLITS = ("train", "val", "test")
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"}


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
    Raises:
        UserError: the table is empty, an id, label or group is invalid, or there are fewer than two
            groups or classes.
    """

    frame: pd.DataFrame
    classes: tuple[str, ...]
    attributes: dict[str, tuple[str, ...]]

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
        _check_ids(self.frame["id"])
        _check_values(self.frame, "label", self.classes)
        for name, values in self.attributes.items():
            _check_values(self.frame, name, values)
        present = self.frame[self.main].dropna().unique()
        if len(present) < 2:
            number = f"only one value ('{short(present[0])}')" if len(present) else "no known value"
            raise UserError(f"attribute '{self.main}' has {number}; at least two groups are needed")
        if len(self.classes) < 2:
            number = f"only one ('{short(self.classes[0])}')" if self.classes else "none"
            raise UserError(f"at least two classes are needed, but there is {number}")

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


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV, TSV or Parquet file with every column as text; empty cells are missing values.

    Raises:
        UserError: the file does not exist, is not a valid table or has no rows.
    """
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
            return frame.astype("string").astype(object).where(frame.notna(), None)
        separator = "\t" if path.suffix in {".tsv", ".tab"} else ","
        frame = pd.read_csv(
            path,
            sep=separator,
            dtype=str,
            encoding="utf-8-sig",
            # Only an empty cell is missing: "None" and "NA" may be classes.
            keep_default_na=False,
            na_values=[""],
        )
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read as a table: {reason(error)}") from None
    if frame.empty:
        raise UserError(f"{path} has no rows")
    if repeated := _repeated_column(path, separator):
        raise UserError(f"{path}: two columns are called '{short(repeated)}'; rename one")
    if not isinstance(frame.index, pd.RangeIndex):
        raise UserError(f"{path}: the rows have more fields than the header has column names")
    return frame.astype(object).map(unguarded, na_action="ignore").where(frame.notna(), None)


def _repeated_column(path: Path, separator: str) -> str | None:
    """A column name that occurs twice in the header; pandas would rename the second column."""
    header = pd.read_csv(
        path, sep=separator, header=None, nrows=1, dtype=str, encoding="utf-8-sig"
    ).iloc[0]
    names = header[header.notna() & header.duplicated()]
    return None if names.empty else str(names.iloc[0])


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


def image_files(folder: Path) -> list[Path]:
    """Every image file below a folder, in alphabetical order."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)


def find_images(folder: Path, ids: Iterable[str]) -> dict[str, str]:
    """Map ids to the paths of their images; ids without an image are left out.

    An id is a path relative to the folder, a file name, or a file name without its ending.

    Raises:
        UserError: an id matches two images.
    """
    paths = image_files(folder)
    by_path = {path.relative_to(folder).as_posix(): path for path in paths}
    by_name: dict[str, list[Path]] = {}
    for path in paths:
        for key in {path.name, path.stem}:
            by_name.setdefault(key, []).append(path)
    files: dict[str, str] = {}
    for name in ids:
        matches = [by_path[name]] if name in by_path else by_name.get(name, [])
        if len(matches) > 1:
            first, second, *_ = (path.relative_to(folder).as_posix() for path in matches)
            raise UserError(
                f"id '{short(name)}' fits both {first} and {second}; use the path as the id"
            )
        if matches:
            files[name] = str(matches[0])
    return files


def _check_ids(ids: "pd.Series[str]") -> None:
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


def _check_values(frame: pd.DataFrame, column: str, known: tuple[str, ...]) -> None:
    """Raise a UserError that names the first row with an unknown value in a column."""
    wrong = frame[column].notna() & ~frame[column].isin(known)
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise UserError(
            f"row {row + 1} (id '{short(frame['id'].iloc[row])}'): {column} "
            f"'{short(frame[column].iloc[row])}' is not one of {short(', '.join(known), 300)}"
        )
