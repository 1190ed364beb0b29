"""Conversion of an opened image to small RGB pixels, as a careful viewer shows it."""

import io
import re
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

ORIENTATION, BITS_PER_SAMPLE, PHOTOMETRIC, MAX_SAMPLE = 0x0112, 258, 262, 281
"""Tags of EXIF and TIFF."""

ALPHA = {"RGBA", "LA", "PA", "RGBa", "La"}
GROUND = 255
"""Grey level that shows through transparent parts: white."""

DEPTHS = (8, 10, 12, 14, 16)
"""Bits per value of cameras and detectors whose values are stored in 16 bits."""

DEEP_GREY = re.compile(r"grey of \d+ bits scaled to 8")
"""Note on an image of more than 8 bits."""

Transform = ImageCms.ImageCmsTransform


class Picture(NamedTuple):
    """Pixels (size, size, 3) uint8, and what was done to them besides scaling to that size."""

    pixels: NDArray[np.uint8]
    adjusted: tuple[str, ...]


def small_rgb(image: Image.Image, size: int, fit: str) -> Picture:
    """Convert any image to RGB and bring it to a size.

    The EXIF orientation is applied; grey of more than 8 bits is scaled by the bits that are used,
    and inverted where white is zero; a colour profile is applied, or ignored if it is broken or of
    another kind than the pixels; transparent parts become white. Each of these is in `adjusted`.

    Args:
        image: the image.
        size: side of the result in pixels.
        fit: `squash` or `crop`.
    Raises:
        ValueError: the values have no known black or white.
    """
    sixteen_bits = any(";16" in str(tile[3]) for tile in getattr(image, "tile", []))
    image.load()
    adjusted: list[str] = []
    profile = image.info.get("icc_profile")
    if image.getexif().get(ORIENTATION, 1) in range(2, 9):
        image = ImageOps.exif_transpose(image)
        adjusted.append("turned as their EXIF orientation says")
    if image.mode == "F":
        raise ValueError("a floating-point image has no known white; save it as 8 or 16 bits")
    if image.mode.startswith("I"):
        image = _deep_grey(image, adjusted)
    elif sixteen_bits:
        _check_deep_colour(image)
    colour, alpha = _split(image)
    if profile:
        colour = _to_srgb(colour, profile, adjusted)
    if alpha is None:
        small = _resize(colour, size, fit)
        small = small if small.mode == "RGB" else small.convert("RGB")
    else:
        colour = colour.convert("RGB")
        colour.putalpha(alpha)
        layer = _resize(colour, size, fit)
        small = Image.new("RGB", layer.size, (GROUND,) * 3)
        small.paste(layer, mask=layer)
        adjusted.append("transparent parts on white")
    return Picture(np.asarray(small, np.uint8), tuple(adjusted))


def _resize(image: Image.Image, size: int, fit: str) -> Image.Image:
    if fit == "crop":
        return ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
    return image.resize((size, size), Image.Resampling.BILINEAR)


def _split(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The colours of an image (L, RGB or CMYK), and its alpha if anything is transparent."""
    grey = image.mode in {"1", "L", "LA", "La"}
    alpha = None
    if image.mode in ALPHA or "transparency" in image.info:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        if alpha.getextrema()[0] == 255:
            alpha = None
        return image.convert("L" if grey else "RGB"), alpha
    if image.mode in {"L", "RGB", "CMYK"}:
        return image, None
    return image.convert("L" if grey else "RGB"), None


def _deep_grey(image: Image.Image, adjusted: list[str]) -> Image.Image:
    """Scale grey of more than 8 bits to 8 bits.

    Values in 16 bits may use fewer: those of a 12-bit detector end at 4095. The white is that of
    the fewest usual bits (`DEPTHS`) that hold MaxSampleValue, if the file has this tag, or else the
    largest value. JPEG 2000 and PPM state their bits, and Pillow scales them to 16.

    Raises:
        ValueError: a value is negative or needs more than 16 bits.
    """
    values = np.asarray(image)
    low, high = int(values.min()), int(values.max())
    if low < 0:
        raise ValueError("values below 0 have no known black; save it as 8 or 16 unsigned bits")
    if high > 65535:
        raise ValueError("values above 65,535 have no known white; save it as 8 or 16 bits")
    tags = getattr(image, "tag_v2", {})
    if (stored := _tag(tags, BITS_PER_SAMPLE)) in range(9, 16):
        bits = stored
    elif image.format in {"JPEG2000", "PPM"}:
        bits = 16
    else:
        used = max(high, min(_tag(tags, MAX_SAMPLE), 65535))
        bits = next(depth for depth in DEPTHS if used < 2**depth)
    adjusted.append(f"grey of {bits} bits scaled to 8")
    top = 2**bits - 1
    scale = 255 / top
    grey = np.empty(values.shape, np.uint8)
    for row, line in enumerate(values):  # row by row, to need little memory
        grey[row] = line * scale + 0.5
    if tags and _tag(tags, PHOTOMETRIC, 1) == 0:
        np.subtract(255, grey, out=grey)
        adjusted.append("inverted, as white is zero")
    result = Image.fromarray(grey)
    key = image.info.get("transparency")
    if isinstance(key, int):
        result.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    return result


def _tag(tags: "dict[int, object]", tag: int, default: int = 0) -> int:
    """The first number of a TIFF tag."""
    value = tags.get(tag, default)
    value = value[0] if isinstance(value, tuple) and value else value
    return value if isinstance(value, int) else default


def _check_deep_colour(image: Image.Image) -> None:
    """Raise a ValueError if 16-bit colour uses so few bits that Pillow, which keeps 8, lost them.

    Raises:
        ValueError: the largest value needs at most 14 of 16 bits.
    """
    colours = [band for band in image.getbands() if band != "A"]
    high = max(int(np.max(image.getchannel(band).getextrema())) for band in colours)
    if 0 < high < 64:
        raise ValueError("16-bit colour that uses 14 bits or fewer; save it as 8 bits")


def _to_srgb(image: Image.Image, profile: bytes, adjusted: list[str]) -> Image.Image:
    """Apply a colour profile (ICC) to an image in L, RGB or CMYK."""
    try:
        transform = _transform(profile, image.mode)
        if transform is None:
            return image
        result = ImageCms.applyTransform(image, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        adjusted.append("colour profile ignored, as it is broken or of another kind")
        return image
    adjusted.append("colour profile applied")
    return result or image


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> Transform | None:
    """The transform from a profile to sRGB; None if it changes no value by more than 2 levels."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    if mode == "CMYK":
        return transform
    levels = np.linspace(0, 255, 18).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(18, -1, 3)
    probe = Image.fromarray(levels[None] if mode == "L" else grid)
    after = np.asarray(ImageCms.applyTransform(probe, transform), np.int16)
    change = np.abs(after - np.asarray(probe.convert("RGB"), np.int16))
    return None if change.max() <= 2 else transform
