"""Changes of an image that mark a group: another camera, or a worse picture.

Every function takes an image, (H, W, 3) uint8, and a strength from 0 to below 1, and returns a new
image, which depends on no other image.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

CAST = (160, 224, 256)
"""Gain of red, green and blue under cold light, in units of 1 / 256."""


def grey(image: Pixels, strength: float) -> Pixels:
    """The grey image, three times the luma of ITU-R 601; the strength does not matter."""
    return np.repeat(_luma(image)[..., None], 3, 2).astype(np.uint8)


def cast(image: Pixels, strength: float) -> Pixels:
    """The image with a blue colour cast, as under cold light; the strength does not matter."""
    return ((image * np.array(CAST, np.uint32) + 128) >> 8).astype(np.uint8)


def contrast(image: Pixels, strength: float) -> Pixels:
    """The distance of each value from the image's mean luma times (1 - strength)."""
    mean = np.rint(_luma(image).mean())
    levels = np.rint(mean + (1 - strength) * (np.arange(256) - mean)).astype(np.uint8)
    return levels[image]


def sharpness(image: Pixels, strength: float) -> Pixels:
    """The detail of an image of (1 - strength) times the width and height, at least one pixel.

    The image is reduced to the mean over the pixels whose centres lie in each area, and enlarged
    again by linear interpolation.
    """
    height, width = image.shape[:2]
    small = (max(round((1 - strength) * width), 1), max(round((1 - strength) * height), 1))
    reduced = Image.fromarray(image).resize(small, Image.Resampling.BOX)
    return np.asarray(reduced.resize((width, height), Image.Resampling.BILINEAR))


def _luma(image: Pixels) -> NDArray[np.uint32]:
    """Luma of ITU-R 601 with Pillow's integer weights, (H, W)."""
    weights = np.array((19595, 38470, 7471), np.uint32)
    return (image @ weights + np.uint32(0x8000)) >> np.uint32(16)


MARKS: dict[str, Callable[[Pixels, float], Pixels]] = {
    "grey": grey,
    "cast": cast,
    "contrast": contrast,
    "sharpness": sharpness,
}
"""Changes by name."""
