"""A file that is written over many hours, and continued if the process is killed. No torch."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import IO, Any

from fairexit.errors import UserError, option
from fairexit.files import read_json, write_json
from fairexit.terminal import note

SAVE_EVERY = 5.0
"""Least number of seconds between two records of how much is done."""


class Unfinished:
    """The unfinished content of a file, beside it, and a record of how much of it is safe on disk.

    Args:
        path: the file that is to be written.
        source: everything on which its content depends, for JSON.
        changes: key of `source` -> what is said if it is not the same as when the file was begun.

    Attributes:
        parts: a folder for parts of the content that cannot be appended yet.
    """

    def __init__(self, path: Path, source: Mapping[str, Any], changes: Mapping[str, str]) -> None:
        self.path, self.source, self.changes = path, source, changes
        self.content = path.with_name(f".{path.name}.unfinished")
        self.record = path.with_name(f".{path.name}.unfinished.json")
        self.parts = path.with_name(f".{path.name}.unfinished.parts")
        self.rows = self.bytes = 0

    def resume(self, restart: bool) -> int:
        """Find out where to continue.

        Args:
            restart: whether unfinished content of another source is thrown away.
        Returns:
            The number of rows that are done.
        Raises:
            UserError: there is unfinished content of another source, or the record is damaged.
        """
        if not self.record.is_file() or not self.content.is_file():
            return 0
        stored = read_json(self.record, "remove it to start again")
        source, rows, size = stored.get("source"), stored.get("rows"), stored.get("bytes")
        if not isinstance(source, dict) or type(rows) is not int or type(size) is not int:
            raise UserError(f"{self.record} is damaged; remove it to start again")
        changed = [
            text for key, text in self.changes.items() if source.get(key) != self.source[key]
        ]
        if changed and not restart:
            raise UserError(
                f"an interrupted call has left unfinished answers for {self.path}, but since then "
                f"{changed[0]}; choose another {option('out')}, or set {option('overwrite')} to "
                "start again"
            )
        if self.content.stat().st_size < size:
            changed.append("its file has been cut off")
        if changed:
            note(f"{self.path} is started again: since it was interrupted, {changed[0]}")
        else:
            self.rows, self.bytes = rows, size
        return self.rows

    @contextmanager
    def append(self) -> Iterator[Callable[[str, int], None]]:
        """A function that appends a text and the number of rows in it.

        What was appended is recorded every few seconds, and when the context ends, also by an
        error.

        Raises:
            OSError: the file cannot be written; the error names the file that is to be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.bytes:
            # A record of other content must not outlive it.
            self.record.unlink(missing_ok=True)
        try:
            with self.content.open("r+b" if self.bytes else "wb") as file:
                file.truncate(self.bytes)
                file.seek(self.bytes)
                saved = monotonic()

                def append(text: str, rows: int) -> None:
                    nonlocal saved
                    data = text.encode()
                    file.write(data)
                    self.rows, self.bytes = self.rows + rows, self.bytes + len(data)
                    if monotonic() - saved >= SAVE_EVERY:
                        self._save(file)
                        saved = monotonic()

                try:
                    yield append
                except BaseException:
                    with suppress(OSError):
                        self._save(file)
                    raise
                self._save(file)
        except OSError as error:
            if error.errno is None or error.filename:
                raise
            raise type(error)(error.errno, error.strerror, str(self.path)) from None

    def _save(self, file: IO[bytes]) -> None:
        """Make what was appended safe, and record how much it is."""
        file.flush()
        os.fsync(file.fileno())
        done = {"source": dict(self.source), "rows": self.rows, "bytes": self.bytes}
        write_json(self.record, done)

    def finish(self) -> None:
        """Put the content in its place."""
        self.content.replace(self.path)
        self.record.unlink()
        shutil.rmtree(self.parts, ignore_errors=True)
