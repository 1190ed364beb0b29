"""One image file into one small uint8 array, or a reason why not; and hashes that find copies."""

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
"""An image of more pixels is taken for a decompression bomb."""

FITS = ("squash", "crop")


@dataclass(frozen=True)
class Decoded:
    """An image as it will be stored, or why it cannot be.

    Attributes:
        pixels: (size, size, 3) uint8, or None.
        digest: SHA-256 of the file's bytes, empty where there is no file.
        reason: why there are no pixels.
    """

    pixels: NDArray[np.uint8] | None
    digest: str = ""
    reason: str = ""


def decode(path: Path, size: int, fit: str) -> Decoded:
    """Read one image file.

    Any mode that Pillow reads becomes RGB: 16-bit grey is scaled, CMYK and palettes converted,
    transparency dropped, the EXIF orientation applied.

    Args:
        path: the file.
        size: side of the result in pixels.
        fit: `squash` scales both sides to `size`; `crop` scales the shorter side and cuts the
            middle out.
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
            # JPEG can be decoded at a half, a quarter ...: much quicker, and still twice the size.
            image.draft("RGB", (2 * size, 2 * size))
            return _to_rgb(image, size, fit)

    decoded = _attempt(read)
    return replace(decoded, digest="" if decoded.reason else hashlib.sha256(content).hexdigest())


def convert(image: Image.Image, size: int, fit: str) -> Decoded:
    """An image that Pillow has opened, as `decode` gives a file; it has no digest."""
    return _attempt(lambda: _to_rgb(image, size, fit))


def _attempt(read: Callable[[], NDArray[np.uint8]]) -> Decoded:
    """The pixels, or the reason why there are none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Decoded(read())
    except UnidentifiedImageError:
        return Decoded(None, reason="unreadable image: not an image format that is known")
    except Exception as error:
        # Decoders of damaged files raise anything; one image must not stop thousands.
        reason = " ".join(str(error).split()) or type(error).__name__
        return Decoded(None, reason=f"unreadable image: {reason}")


def _to_rgb(image: Image.Image, size: int, fit: str) -> NDArray[np.uint8]:
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
    """Difference hashes: is each cell of a small grey image brighter than its right neighbour?

    Args:
        images: (N, H, W, 3).
    Returns:
        (N, 4), 256 bits an image.
    """
    side = HASH_SIDE
    bits = np.empty((len(images), side * side), bool)
    for i, image in enumerate(images):
        grey = Image.fromarray(image).convert("L").resize((side + 1, side), Image.Resampling.BOX)
        values = np.asarray(grey, np.int16)
        bits[i] = (values[:, 1:] > values[:, :-1]).ravel()
    return np.packbits(bits, axis=1).view(np.uint64)


def near_pairs(hashes: NDArray[np.uint64], distance: int) -> NDArray[np.int64]:
    """All pairs (i < j) whose hashes differ in at most `distance` bits, as (P, 2)."""
    found = []
    block = max(1, 4_000_000 // max(1, len(hashes)))
    for start in range(0, len(hashes), block):
        rows = hashes[start : start + block]
        differ = np.zeros((len(rows), len(hashes) - start), np.uint16)
        for word in range(hashes.shape[1]):
            differ += np.bitwise_count(rows[:, word, None] ^ hashes[None, start:, word])
        i, j = np.nonzero(differ <= distance)
        keep = i < j
        found.append(np.stack([i[keep], j[keep]], axis=1) + start)
    return np.concatenate(found) if found else np.empty((0, 2), np.int64)
