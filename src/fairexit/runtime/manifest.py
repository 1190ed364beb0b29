"""The manifest of an exported model: what the files are, how to prepare images, checksums."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairexit.errors import UserError, reason, short
from fairexit.files import MANIFEST

DIGEST = "manifest.sha256"
"""Holds the checksum of the manifest in the form of `sha256sum`."""

FORMAT = 1
FORMS = ("all-exits", "staged", "torch-export")
EXPORT_AGAIN = "export the run again"
POLICY = "policy.json"
CARD = "README.md"
"""The model card, which its authors complete by hand, so that its checksum is not verified."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Manifest:
    """The parts of an export's manifest that running it needs.

    Attributes:
        path: the folder.
        form: one of `FORMS`.
        graphs: names of the graphs' files in running order; one, or one for each exit.
        classes: C names.
        exits: E names, the final exit "f" last.
        exit_costs: multiply-adds of one image that leaves at each exit, E numbers.
        size: side of the network's images in pixels.
        fit: how images are brought to that size, `squash` or `crop`.
        files: file name -> SHA-256.
    """

    path: Path
    form: str
    graphs: tuple[str, ...]
    classes: tuple[str, ...]
    exits: tuple[str, ...]
    exit_costs: tuple[float, ...]
    size: int
    fit: str
    files: Mapping[str, str]

    def read(self, name: str) -> bytes:
        """The content of a file, whose checksum is verified.

        Raises:
            UserError: the file is missing, empty, or not the one that was exported.
        """
        file = self.path / name
        content = _read(file)
        if hashlib.sha256(content).hexdigest() != self.files.get(name):
            raise UserError(
                f"{file} is not the file that was exported: its checksum differs from that in "
                f"{MANIFEST}; {EXPORT_AGAIN}"
            )
        return content


def open_manifest(path: Path, sha256: str | None = None) -> Manifest:
    """Read an export's manifest and verify the checksums of the files that are no graphs.

    Graphs are verified where they are read, and the model card is not.

    Args:
        path: the folder.
        sha256: the manifest's SHA-256 as it was noted at export; None takes the one that lies
            beside the manifest, which shows damage but no deliberate change.
    Raises:
        UserError: the folder is no export, a file is damaged or was changed, or a name leads out
            of the folder.
    """
    file = path / MANIFEST
    if not path.is_dir():
        raise UserError(f"there is no folder {path}")
    if not file.is_file():
        raise UserError(f"{path} is not an exported model; make one with `fairexit export`")
    content = _read(file)
    _check_digest(path, hashlib.sha256(content).hexdigest(), sha256)
    try:
        values = json.loads(content)
    except (ValueError, RecursionError):
        raise UserError(f"{file} is damaged; {EXPORT_AGAIN}") from None
    manifest = _parse(path, values)
    for name in manifest.files:
        if name not in (CARD, *manifest.graphs):
            manifest.read(name)
    return manifest


def _check_digest(path: Path, digest: str, expected: str | None) -> None:
    """Raise a UserError if the manifest does not have the expected checksum."""
    if expected is not None:
        if expected.lower() != digest:
            raise UserError(
                f"{path / MANIFEST} has the SHA-256 {digest}, but '{short(expected)}' was expected"
            )
        return
    try:
        stored = _read(path / DIGEST).decode("ascii").split()[:1]
    except UnicodeDecodeError:
        stored = []
    if stored != [digest]:
        raise UserError(
            f"{path / MANIFEST} is not the file that was exported: its checksum differs from that "
            f"in {DIGEST}; {EXPORT_AGAIN}"
        )


def _read(file: Path) -> bytes:
    """The bytes of a regular file that is not empty.

    Raises:
        UserError: there is no such file, or it cannot be read or is empty.
    """
    if not file.is_file():
        raise UserError(f"{file} is missing; {EXPORT_AGAIN}")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or reason(error)}") from None
    if not content:
        raise UserError(f"{file} is empty; {EXPORT_AGAIN}")
    return content


def _parse(path: Path, values: Any) -> Manifest:
    """The manifest with these values.

    Raises:
        UserError: a value is missing or does not fit.
    """
    get = _Reader(path / MANIFEST, values)
    version = get("format", lambda v: type(v) is int)
    if version != FORMAT:
        raise UserError(
            f"{path / MANIFEST} has format {version}, but this version reads {FORMAT}; "
            f"{EXPORT_AGAIN}"
        )
    files = get("files", _are_files)
    exits = get("exits", _are_names)
    form = get("form", lambda v: v in FORMS)
    count = len(exits) if form == "staged" else 1
    return Manifest(
        path=path,
        form=form,
        graphs=tuple(
            get("graphs", lambda v: _are_names(v) and len(v) == count and {*v} <= {*files})
        ),
        classes=tuple(get("classes", lambda v: _are_names(v) and len(v) > 1)),
        exits=tuple(exits),
        exit_costs=tuple(
            get("exit_costs", lambda v: _is_list(v, _is_positive) and len(v) == len(exits))
        ),
        size=get("preprocessing.size", lambda v: type(v) is int and 1 <= v <= 4096),
        fit=get("preprocessing.fit", lambda v: v in ("squash", "crop")),
        files=files,
    )


class _Reader:
    """Reads values of a manifest by dotted keys.

    Args:
        file: the manifest, for messages.
        values: its content.
    """

    def __init__(self, file: Path, values: Any) -> None:
        self.file, self.values = file, values

    def __call__(self, key: str, fits: Callable[[Any], bool]) -> Any:
        """The value of a key, if it fits.

        Raises:
            UserError: it is missing or does not fit.
        """
        value = self.values
        for part in key.split("."):
            if not isinstance(value, dict) or part not in value:
                raise UserError(f"{self.file} lacks '{key}'; {EXPORT_AGAIN}")
            value = value[part]
        if not fits(value):
            raise UserError(
                f"{self.file} is damaged: '{key}' is {short(repr(value))}; {EXPORT_AGAIN}"
            )
        return value


def _is_list(value: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(map(fits, value))


def _are_names(value: Any) -> bool:
    return _is_list(value, lambda v: isinstance(v, str)) and len(set(value)) == len(value)


def _is_positive(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < float("inf")


def _are_files(value: Any) -> bool:
    """Whether these are plain file names, which cannot leave the folder, with checksums."""
    return (
        isinstance(value, dict)
        and POLICY in value
        and all(
            _NAME.fullmatch(name) and isinstance(digest, str) and _SHA256.fullmatch(digest)
            for name, digest in value.items()
        )
    )
