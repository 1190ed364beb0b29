"""Decoding of image files into small uint8 arrays, within limits and without an exception."""

import hashlib
import io
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from fairexit.data.dicom import is_dicom, read_dicom
from fairexit.data.pixels import Picture, small_rgb
from fairexit.errors import short
from fairexit.extras import is_installed
from fairexit.terminal import path_text

MAX_PIXELS = 100_000_000
"""An image with more pixels is refused as a decompression bomb."""

MAX_BYTES = 1_000_000_000
"""A file with more bytes is refused."""

FITS = ("squash", "crop")

AnyPicture = str | Path | Image.Image | NDArray[np.uint8]
"""A file, a Pillow image, or an array (H, W, 3) of uint8."""

FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "DIB", "GIF", "WEBP", "JPEG2000", "PPM")
"""What Pillow may read; other formats start programs (EPS) or are none of photographs."""

UNKNOWN_FORMAT = (
    "not an image of a format that is read (JPEG, PNG, TIFF, BMP, GIF, WebP, JPEG 2000, PPM)"
)


@dataclass(frozen=True)
class Decoded:
    """An image in the form in which it is stored, or the reason why it cannot be read.

    Attributes:
        pixels: (size, size, 3) uint8, or None.
        digest: SHA-256 of the file's bytes; empty if there is no file or it cannot be read.
        reason: why there are no pixels; empty if there are.
        adjusted: what was done to the pixels besides scaling to `size`, see `pixels.small_rgb`.
    """

    pixels: NDArray[np.uint8] | None
    digest: str = ""
    reason: str = ""
    adjusted: tuple[str, ...] = ()


def decode(path: Path, size: int, fit: str) -> Decoded:
    """Read one image file: a format of `FORMATS`, or DICOM if pydicom is installed.

    Every mode becomes RGB as a careful viewer shows it; see `pixels.small_rgb`.

    Args:
        path: the file.
        size: side of the result in pixels.
        fit: `squash` scales both sides to `size`; `crop` scales the shorter side and cuts out the
            middle.
    Returns:
        The pixels, or the reason why the file cannot be read; no exception is raised.
    """
    try:
        content = _content(path)
    except (OSError, ValueError) as error:
        text = error.strerror if isinstance(error, OSError) else str(error)
        return Decoded(None, reason=f"unreadable file: {text}")
    return decode_content(content, path, size, fit, max_pixels=MAX_PIXELS)


def decode_content(
    content: bytes, path: PurePath, size: int, fit: str, *, max_pixels: int
) -> Decoded:
    """Read the content of an image file; arguments and result as for `decode`.

    Args:
        content: the bytes of the file.
        path: its name, of which only the ending matters.
        size: side of the result in pixels.
        fit: `squash` or `crop`.
        max_pixels: an image with more pixels is refused before it is decoded.
    """
    if not content:
        return Decoded(None, reason="unreadable image: the file is empty")
    if is_dicom(path, content):
        if not is_installed("dicom"):
            kind = path.suffix.lower() if path.suffix.isascii() else ""
            return Decoded(
                None, reason=f"a kind that is not read without fairexit[dicom] ({kind or 'DICOM'})"
            )
        decoded = _attempt(lambda: _read_dicom(content, size, fit, max_pixels))
    else:
        decoded = _attempt(lambda: _read(content, size, fit, max_pixels))
    return replace(decoded, digest="" if decoded.reason else hashlib.sha256(content).hexdigest())


def convert(image: Image.Image, size: int, fit: str) -> Decoded:
    """Convert an image that Pillow has opened, as `decode` does; the result has no digest."""
    return _attempt(lambda: small_rgb(image, size, fit))


def to_pixels(image: AnyPicture, size: int, fit: str) -> Decoded:
    """Bring a file, a Pillow image or an array to the size of a network; see `decode`."""
    if isinstance(image, str | Path):
        return decode(Path(image), size, fit)
    if isinstance(image, np.ndarray):
        image = Image.fromarray(np.ascontiguousarray(image))
    return convert(image, size, fit)


def is_picture(image: object) -> bool:
    """Whether this is an image that `to_pixels` takes."""
    if isinstance(image, np.ndarray):
        return image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8
    return isinstance(image, str | Path | Image.Image)


def name_of(image: object, position: int) -> str:
    """The name of an image in a table of answers: its path, or its position if it is not a file."""
    if isinstance(image, Path):
        return path_text(image.as_posix())
    return path_text(image) if isinstance(image, str) else str(position)


def check_pixels(width: int, height: int, limit: int) -> None:
    """Raise a ValueError if an image has too many pixels to be decoded."""
    if width * height > limit:
        raise ValueError(f"{width} x {height} pixels are more than {limit:,}")


def _content(path: Path) -> bytes:
    """The bytes of a regular file; a pipe, socket or device would block or never end.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a regular file, or too large.
    """
    # Without O_NONBLOCK the opening of a pipe waits for a writer.
    with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("not a regular file")
        if status.st_size > MAX_BYTES:
            raise ValueError(f"{status.st_size:,} bytes are more than {MAX_BYTES:,}")
        return file.read(status.st_size)


def _read(content: bytes, size: int, fit: str, max_pixels: int) -> Picture:
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        check_pixels(*image.size, max_pixels)
        # A JPEG decodes much faster at reduced size; at least twice the target size is kept.
        image.draft("RGB", (2 * size, 2 * size))
        return small_rgb(image, size, fit)


def _read_dicom(content: bytes, size: int, fit: str, max_pixels: int) -> Picture:
    image, notes = read_dicom(content, partial(check_pixels, limit=max_pixels))
    picture = small_rgb(image, size, fit)
    return picture._replace(adjusted=(*notes, *picture.adjusted))


def _attempt(read: Callable[[], Picture]) -> Decoded:
    """Call `read`; the result is its pixels, or the reason why it failed."""
    try:
        picture = read()
    except UnidentifiedImageError:
        return Decoded(None, reason=f"unreadable image: {UNKNOWN_FORMAT}")
    except Exception as error:
        # Decoders raise any exception on a damaged file; one image must not stop thousands.
        reason = short(error, 200) or type(error).__name__
        return Decoded(None, reason=f"unreadable image: {reason}")
    return Decoded(picture.pixels, adjusted=picture.adjusted)
