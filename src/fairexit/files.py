"""Files that are replaced as a whole, and locks of folders."""

import errno
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fairexit.errors import UserError, option
from fairexit.leftovers import partial_path, remove_leftovers

MANIFEST = "manifest.json"
"""The file that makes a folder an exported model."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; it replaces `path` if the context ends without an error.

    So a reader sees the old file or the whole new one, also after a crash. A link stays: the file
    that it leads to is replaced. What killed processes have left for the same file is removed.

    Raises:
        OSError: the file cannot be written; the error names `path`, and no temporary file remains.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(target)
    temporary = partial_path(target)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        if error.errno is None:
            raise
        # The error names no file if the disk is full, and otherwise the temporary one.
        raise type(error)(error.errno, error.strerror, str(path)) from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file; a reader sees the old content or all of the new."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def json_text(value: Any) -> str:
    """A value as JSON that every strict reader takes: NaN and infinities become null.

    >>> print(json_text([1.5, float("nan")]))
    [
      1.5,
      null
    ]
    """
    return json.dumps(_finite(value), indent=2, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, value: Any) -> None:
    """Write a value to a file as strict JSON, atomically."""
    write_atomically(path, json_text(value) + "\n")


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """The JSON object in a file that the package wrote.

    Args:
        path: the file.
        remedy: the end of the message: what the user can do about a damaged file.
    Raises:
        UserError: the file does not hold a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged; {remedy}")
    return content


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys and values of a user's YAML file; see `parse_yaml`.

    Raises:
        UserError: the file does not exist, is not YAML or has no keys, or a section has two
            entries of the same name.
    """
    from fairexit.yaml_text import parse_yaml  # fairexit.runtime has no YAML

    if not path.is_file():
        raise UserError(f"there is no file {path}")
    try:
        tree = parse_yaml(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UserError(f"{path} is not text in UTF-8; save it in that encoding") from None
    except UserError as error:
        raise error.at(str(path)) from None
    if not isinstance(tree, dict):
        raise UserError(f"{path} must hold keys and values, as in seed: 0")
    return tree


@contextmanager
def folder_lock(folder: Path, wait: float = 0) -> Iterator[None]:
    """Keep other fairexit processes from writing to a folder.

    The lock is a file beside the folder, and beside the folder that a link leads to; the operating
    system releases it if the process dies.

    Args:
        folder: the folder, which need not exist yet.
        wait: seconds to wait for another process that holds the lock.
    Raises:
        UserError: another process holds the lock, or the lock cannot be written.
    """
    from filelock import FileLock, Timeout  # fairexit.runtime has no such package

    target = Path(os.path.realpath(folder))
    if not target.name:
        raise UserError(f"{option('out')} is {folder}; name a folder below it")
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=wait)
    except Timeout:
        raise UserError(
            f"another fairexit process is writing to {folder}; wait until it ends, or choose "
            f"another {option('out')}"
        ) from None
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror or error}") from None
    try:
        yield
    finally:
        with suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release()
