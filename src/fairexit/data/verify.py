"""Checks of a prepared folder: its description, its records and whether anything has changed."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from fairexit.data.records import SPLITS, check_ids, check_values
from fairexit.errors import UserError, reason, short
from fairexit.files import json_text, write_atomically

FORMAT = 1
IMAGES, RECORDS, STAMP = "images.npy", "records.parquet", ".verified.json"
AGAIN = "prepare it again"


class _Options(BaseModel, strict=True):
    fit: str


class _Leak(BaseModel, strict=True, extra="allow"):
    clusters: int
    __pydantic_extra__: dict[str, int | float]


class _Description(BaseModel, strict=True):
    """The part of `dataset.json` that those who open a folder rely on."""

    name: str
    classes: list[str]
    attributes: dict[str, list[str]]
    dataset: dict[str, Any] = {}
    options: _Options
    leaks: dict[str, _Leak]
    checksums: dict[str, str]
    skipped: dict[str, int]
    images: int
    website: str
    licence: str
    left_out: dict[str, dict[str, int]] = {}
    adjusted: dict[str, int] = {}
    cells: dict[str, dict[str, dict[str, int]]] = {}
    warnings: list[str] = []


_verified: set[tuple[str, str]] = set()
"""Path and stamp of the image files whose checksums this process has verified."""


def read_description(path: Path) -> dict[str, Any]:
    """Read and check `dataset.json`.

    Raises:
        UserError: it is damaged, or of another format.
    """
    file = path / "dataset.json"
    try:
        info = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} is damaged ({short(reason(error))}); {AGAIN}") from None
    if not isinstance(info, dict) or "format" not in info:
        raise UserError(f"{file} is not the description of a prepared dataset; {AGAIN}")
    if info["format"] != FORMAT:
        raise UserError(
            f"{path} has format {short(info['format'])}, but this version reads {FORMAT}; {AGAIN}"
        )
    try:
        _Description.model_validate(info)
    except ValidationError as error:
        first = error.errors()[0]
        where = short(".".join(map(str, first["loc"])))
        raise UserError(f"{file} is damaged: '{where}': {first['msg'].lower()}; {AGAIN}") from None
    if not info["attributes"] or not {IMAGES, RECORDS} <= set(info["checksums"]):
        raise UserError(f"{file} is damaged: it lacks attributes or checksums; {AGAIN}")
    return info


def read_records(path: Path, info: dict[str, Any]) -> pd.DataFrame:
    """Read and check the records.

    Raises:
        UserError: they are damaged, a value is not one that the description lists, or they have
            changed since they were prepared.
    """
    file = path / RECORDS
    try:
        frame = pd.read_parquet(file)
        _check_records(frame, info)
        digest = sha256_of_rows(frame)
    except UserError as error:
        raise UserError(f"{file}: {error}; {AGAIN}") from None
    except Exception as error:
        # Arrow raises any exception on a damaged file.
        raise UserError(f"{file} is damaged ({short(reason(error), 200)}); {AGAIN}") from None
    if digest != info["checksums"][RECORDS]:
        raise UserError(
            f"{file} has changed since it was prepared (its checksum is not that of "
            f"dataset.json); {AGAIN}"
        )
    return frame


def _check_records(frame: pd.DataFrame, info: dict[str, Any]) -> None:
    """Raise a UserError that names the first row that contradicts the description."""
    part = "fold" if "fold" in frame else "split"
    for column in ("id", "label", "cluster", part, *info["attributes"]):
        if column not in frame:
            raise UserError(f"there is no column '{short(column)}'")
        values = frame[column].dropna()
        is_right = pd.api.types.is_integer_dtype(values) and bool((values >= 0).all())
        if column != "fold":
            is_right = all(isinstance(value, str) for value in values)
        if not is_right:
            kind = "whole numbers from 0 on" if column == "fold" else "text"
            raise UserError(f"column '{short(column)}' does not hold {kind}")
    check_ids(frame["id"])
    for column, known in [("label", info["classes"]), *info["attributes"].items()]:
        check_values(frame, column, tuple(known))
    if part == "split":
        check_values(frame, part, SPLITS)
    for column in ("label", part):
        if frame[column].isna().any():
            row = int(frame[column].isna().to_numpy().argmax())
            raise UserError(f"row {row + 1} (id '{short(frame['id'].iloc[row])}') has no {column}")


def open_images(path: Path, info: dict[str, Any], *, count: int, whole: bool) -> NDArray[np.uint8]:
    """Open the images as a memory map, and check that they are those that were prepared.

    The size and times of the file are compared with a stamp that was written when its checksum was
    last verified; where they differ, as in a copy of the folder, the checksum is verified again.

    Args:
        path: the folder.
        info: its description.
        count: number of the records.
        whole: verify the checksum in any case, at most once in this process.
    Returns:
        (N, H, H, 3).
    Raises:
        UserError: the images are damaged or have changed.
    """
    file = path / IMAGES
    try:
        images = np.load(file, mmap_mode="r")
    except Exception as error:
        # NumPy evaluates the header, which raises any exception on a damaged file.
        raise UserError(f"{file} is damaged ({short(reason(error), 200)}); {AGAIN}") from None
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 4:
        raise UserError(f"{file} is damaged: it is no array of images; {AGAIN}")
    if images.shape[1:] != (images.shape[1], images.shape[1], 3) or not images.shape[1]:
        raise UserError(f"{file} is damaged: its shape is {images.shape}; {AGAIN}")
    if len(images) != count:
        raise UserError(
            f"{path} is damaged: it has {count} records but {len(images)} images; {AGAIN}"
        )
    digest = info["checksums"][IMAGES]
    stamp = _stamp(file, digest)
    key = (str(file.absolute()), stamp)
    is_stamped = _read_stamp(path) == stamp
    if key not in _verified and (whole or not is_stamped):
        if sha256(file) != digest:
            raise UserError(
                f"{file} has changed since it was prepared (its checksum is not that of "
                f"dataset.json); {AGAIN}"
            )
        _verified.add(key)
        if not is_stamped:
            _write_stamp(path, stamp)  # of before the check: a change since then is noticed
    return images


def write_stamp(path: Path, digest: str) -> None:
    """Write the stamp of an image file whose checksum is right, unless the folder is read-only."""
    _write_stamp(path, _stamp(path / IMAGES, digest))


def _write_stamp(path: Path, stamp: str) -> None:
    with suppress(OSError):
        write_atomically(path / STAMP, stamp)


def _stamp(file: Path, digest: str) -> str:
    """Size, times and checksum of a file; the time of its last change cannot be set back."""
    status = file.stat()
    stamp = {
        "size": status.st_size,
        "modified_ns": status.st_mtime_ns,
        "changed_ns": status.st_ctime_ns,
        "sha256": digest,
    }
    return json_text(stamp) + "\n"


def _read_stamp(path: Path) -> str:
    try:
        return (path / STAMP).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_rows(frame: pd.DataFrame) -> str:
    """SHA-256 of a table's rows; the bytes of a Parquet file depend on the library's version."""
    rows = frame.to_csv(index=False, na_rep="\\N", lineterminator="\n")
    return hashlib.sha256(rows.encode()).hexdigest()
