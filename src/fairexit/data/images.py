"""Decoding of image files into small uint8 arrays, and perceptual hashes of near-duplicates."""

import hashlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

HASH_SIDE = 16
MAX_PIXELS = 100_000_000
"""An image with more pixels is refused as a decompression bomb."""

FITS = ("squash", "crop")


@dataclass(frozen=True)
class Decoded:
    """An image in the form in which it is stored, or the reason why it cannot be read.

    Attributes:
        pixels: (size, size, 3) uint8, or None.
        digest: SHA-256 of the file's bytes; empty if there is no file or it cannot be read.
        reason: why there are no pixels; empty if there are.
    """

    pixels: NDArray[np.uint8] | None
    digest: str = ""
    reason: str = ""


def decode(path: Path, size: int, fit: str) -> Decoded:
    """Read one image file.

    Every mode that Pillow reads becomes RGB: 16-bit grey is scaled, CMYK and palettes are
    converted, transparency is dropped, and the EXIF orientation is applied.

    Args:
        path: the file.
        size: side of the result in pixels.
        fit: `squash` scales both sides to `size`; `crop` scales the shorter side and cuts out the
            middle.
    Returns:
        The pixels, or the reason why the file cannot be read; no exception is raised.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        return Decoded(None, reason=f"unreadable file: {error.strerror}")
    if not content:
        return Decoded(None, reason="unreadable image: the file is empty")

    def read() -> NDArray[np.uint8]:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ValueError(f"{width} x {height} pixels are more than {MAX_PIXELS:,}")
            # A JPEG decodes much faster at reduced size; at least twice the target size is kept.
            image.draft("RGB", (2 * size, 2 * size))
            return _to_rgb(image, size, fit)

    decoded = _attempt(read)
    return replace(decoded, digest="" if decoded.reason else hashlib.sha256(content).hexdigest())


def convert(image: Image.Image, size: int, fit: str) -> Decoded:
    """Convert an image that Pillow has opened, as `decode` does; the result has no digest."""
    return _attempt(lambda: _to_rgb(image, size, fit))


def _attempt(read: Callable[[], NDArray[np.uint8]]) -> Decoded:
    """Call `read`; the result is its pixels, or the reason why it failed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Decoded(read())
    except UnidentifiedImageError:
        return Decoded(None, reason="unreadable image: not an image format that is known")
    except Exception as error:
        # Decoders raise any exception on a damaged file; one image must not stop thousands.
        reason = " ".join(str(error).split()) or type(error).__name__
        return Decoded(None, reason=f"unreadable image: {reason}")


def _to_rgb(image: Image.Image, size: int, fit: str) -> NDArray[np.uint8]:
    """Convert any image to RGB, (size, size, 3)."""
    upright = ImageOps.exif_transpose(image)
    if upright.mode == "F":
        raise ValueError("a floating-point image has no known white; save it as 8 or 16 bits")
    if upright.mode.startswith("I"):
        grey = np.asarray(upright, np.float64).clip(0, 65535)
        upright = Image.fromarray((grey / 257).astype(np.uint8))
    rgb = upright.convert("RGB")
    if fit == "crop":
        small = ImageOps.fit(rgb, (size, size), Image.Resampling.BILINEAR)
    else:
        small = rgb.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(small, np.uint8)


def perceptual_hash(images: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Difference hashes of images, which differ in few bits for near-duplicates.

    Each bit says whether a cell of a small grey image is brighter than its right neighbour.

    Args:
        images: (N, H, W, 3), uint8.
    Returns:
        (N, 4), 256 bits per image.
    """
    side = HASH_SIDE
    bits = np.empty((len(images), side * side), bool)
    for i, image in enumerate(images):
        grey = Image.fromarray(image).convert("L").resize((side + 1, side), Image.Resampling.BOX)
        values = np.asarray(grey, np.int16)
        bits[i] = (values[:, 1:] > values[:, :-1]).ravel()
    return np.packbits(bits, axis=1).view(np.uint64)


def near_pairs(hashes: NDArray[np.uint64], distance: int) -> NDArray[np.int64]:
    """All pairs of rows i < j whose hashes differ in at most `distance` bits, (P, 2)."""
    pairs = []
    block = max(1, 4_000_000 // max(1, len(hashes)))
    for start in range(0, len(hashes), block):
        rows = hashes[start : start + block]
        distances = np.zeros((len(rows), len(hashes) - start), np.uint16)
        for word in range(hashes.shape[1]):
            distances += np.bitwise_count(rows[:, word, None] ^ hashes[None, start:, word])
        i, j = np.nonzero(distances <= distance)
        ordered = i < j
        pairs.append(np.stack([i[ordered], j[ordered]], axis=1) + start)
    return np.concatenate(pairs) if pairs else np.empty((0, 2), np.int64)
