"""Files that are either as they were or whole, and folders that one process at a time writes."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from fairexit.errors import UserError, option, short


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place if all went well.

    Raises:
        OSError: the file system refuses, and names `path`; nothing is left behind.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno is None:
            raise
        # A full disk names no file, others the temporary one.
        raise type(error)(error.errno, error.strerror, str(path)) from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a whole file."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """The object that a file of ours holds.

    Raises:
        UserError: it holds none; the message ends with the remedy.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UserError(f"{path} is damaged; {remedy}")
    return found


class _Loader(yaml.SafeLoader):
    """YAML in which a name may occur once only."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        for name in names:
            if names.count(name) > 1:
                line = node.start_mark.line + 1
                raise UserError(
                    f"two entries of the section at line {line} are called '{short(name)}'; "
                    "rename one"
                )
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys of a user's YAML file.

    Raises:
        UserError: no such file, not YAML, no keys, or a name that occurs twice in one place.
    """
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    try:
        tree = yaml.load(path.read_text(encoding="utf-8-sig"), _Loader)
    except UserError as error:
        raise error.at(str(path)) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {short(error, 300)}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path} must hold keys and values, as in seed: 0")
    return tree


@contextmanager
def folder_lock(folder: Path, wait: float = 0) -> Iterator[None]:
    """Keep other processes from writing a folder; the lock lies beside it, and dies with us.

    Args:
        folder: there or not.
        wait: seconds until another process must be done.
    Raises:
        UserError: another process writes it, or nobody can.
    """
    place = folder.absolute()
    if not place.name:
        raise UserError(f"{option('out')} is {folder}; name a folder below it")
    lock = FileLock(place.with_name(f".{place.name}.lock"))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
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
