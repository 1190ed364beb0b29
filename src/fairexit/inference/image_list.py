"""The image files that are to be classified, listed in constant memory. Imports no torch."""

import csv
import hashlib
import io
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fairexit.csv_files import unguarded
from fairexit.data.matching import is_image
from fairexit.errors import UserError, option, reason, short
from fairexit.tabular.dialect import detect, open_binary
from fairexit.terminal import path_text

TABLES = (".csv", ".tsv")
"""Endings of tables that list images."""
COLUMN = "path"
MAX_LINE = 65_536
"""Bytes of a line of a list; no path is longer."""


@dataclass(frozen=True)
class ImageList:
    """Image files in a fixed order, which can be run through several times.

    Attributes:
        path: the image, folder or list that was given.
        base: the folder to which names refer.
        names: returns the names of the files, in order.
        count: number of files.
        digest: SHA-256 of the names.
    """

    path: Path
    base: Path
    names: Callable[[], Iterator[str]]
    count: int
    digest: str

    def files(self, start: int = 0) -> Iterator[tuple[str, Path]]:
        """The id and the path of each file.

        Args:
            start: number of files that are left out at the beginning.
        """
        for number, name in enumerate(self.names()):
            if number >= start:
                yield path_text(name.replace(os.sep, "/")), self.base / name

    def check_present(self, files: Iterable[Path]) -> None:
        """Check that files are still there; a list may name files that never were.

        Raises:
            UserError: a file that was found in the folder has vanished since.
        """
        gone = (file for file in files if not os.path.lexists(file))
        if self.path == self.base and (file := next(gone, None)):
            raise UserError(
                f"{path_text(file)} has vanished since the call began; put it back and run the "
                "same command again to resume"
            )


def list_images(path: Path) -> ImageList:
    """List the images of a folder and its subfolders, those that a list names, or a single file.

    A text file (.txt) has one path on each line, a table (.csv, .tsv) has them in the column
    `path`; relative ones start at the folder of the list. Whether listed files exist is not
    checked. The memory that is needed does not grow with the number of images: the names of a
    folder are sorted on the disk.

    Raises:
        UserError: there is no such file or folder, it has no image, or the list is not readable.
    """
    names = _reader(path)
    digest, count = hashlib.sha256(), 0
    for name in names():
        digest.update(os.fsencode(name) + b"\0")
        count += 1
    if not count:
        raise UserError(f"{option('images')} is '{path}', which holds no image")
    return ImageList(path, path if path.is_dir() else path.parent, names, count, digest.hexdigest())


def _reader(path: Path) -> Callable[[], Iterator[str]]:
    """The function that reads the names of a folder, a list or a single image.

    Raises:
        UserError: there is no such file or folder.
    """
    if path.is_dir():
        return _Sorted(path)
    if not path.is_file():
        raise UserError(f"{option('images')} is '{path}', which is neither a file nor a folder")
    if path.suffix.lower() == ".txt":
        return partial(_lines, path)
    if path.suffix.lower() in TABLES:
        return partial(_cells, path)
    return lambda: iter([path.name])


class _Sorted:
    """The names of the images below a folder, relative to it, in alphabetical order.

    They are sorted by SQLite, in a temporary file, so that a million names need no memory.
    """

    def __init__(self, folder: Path) -> None:
        self._database = sqlite3.connect("")
        self._database.execute("CREATE TABLE names (key BLOB)")
        # Paths are ordered by their parts, so a separator comes before every character.
        keys = ((os.fsencode(name).replace(os.sep.encode(), b"\0"),) for name in _names(folder))
        self._database.executemany("INSERT INTO names VALUES (?)", keys)

    def __call__(self) -> Iterator[str]:
        for (key,) in self._database.execute("SELECT key FROM names ORDER BY key"):
            yield os.fsdecode(key.replace(b"\0", os.sep.encode()))


def _names(folder: Path) -> Iterator[str]:
    """The names of the images below a folder, relative to it, in no order; links to folders end."""
    waiting = [""]
    while waiting:
        inner = waiting.pop()
        try:
            entries = os.scandir(folder / inner)
        except PermissionError:
            continue
        with entries:
            for entry in entries:
                name, path = os.path.join(inner, entry.name), Path(entry.path)  # noqa: PTH118
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(name)
                elif not (entry.is_symlink() and path.is_dir()) and is_image(path):
                    yield name


def _lines(path: Path) -> Iterator[str]:
    """The lines of a text file that are not blank."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE):
            number += 1
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if b"\0" in line or len(line) == MAX_LINE:
                raise UserError(
                    f"{path}: line {number} is not a path; give a text in UTF-8 with one path on "
                    "each line"
                )
            if name := os.fsdecode(line.rstrip(b"\r\n")):
                yield name


def _cells(path: Path) -> Iterator[str]:
    """The cells of the column `path` of a table."""
    dialect = detect(path)
    with open_binary(path) as file:
        text = io.TextIOWrapper(file, dialect.encoding, newline="")
        for _ in range(dialect.leading):
            text.readline()
        rows = csv.reader(text, delimiter=dialect.separator)
        try:
            header = next(rows, [])
            if header.count(COLUMN) != 1:
                raise UserError(
                    f"{path} must have one column '{COLUMN}', but has the columns "
                    f"{short(', '.join(header), 200)}"
                )
            place = header.index(COLUMN)
            for row in rows:
                if row and (len(row) <= place or not row[place]):
                    raise UserError(f"{path}: the row at line {rows.line_num} has no path")
                if row:
                    yield unguarded(row[place])
        except (csv.Error, UnicodeDecodeError) as error:
            raise UserError(f"{path}: line {rows.line_num}: {short(reason(error), 200)}") from None
