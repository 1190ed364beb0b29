"""Random numbers tied to each sample, and the AutoAugment operations that they select."""

from collections.abc import Callable
from enum import IntEnum, auto
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_MASK = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """splitmix64's output function (Steele, Lea and Flood 2014): a bijection that spreads bits."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def uniforms(seed: int, epoch: int, positions: ArrayLike, channels: int) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1) that depend on seed, epoch, position and channel only.

    Each (seed, epoch, position) hashes to the start of its own splitmix64 stream, along which the
    channel counts. There is no state, so batch size, workers and order of calls have no effect.

    Args:
        seed: seed of the run.
        epoch: number of the epoch.
        positions: position of each sample in the epoch's order, (B,).
        channels: how many numbers each sample gets, K.
    Returns:
        (B, K), each number with 53 random bits.

    >>> uniforms(0, 1, [5, 6, 7], 4)[1:2].tolist() == uniforms(0, 1, [6], 4).tolist()
    True
    """
    stream = np.zeros(1, np.uint64)
    for part in (np.array([seed & _MASK]), np.array([epoch & _MASK]), np.asarray(positions)):
        stream = _mix((stream ^ part.astype(np.uint64)) + np.uint64(_GOLDEN))
    steps = np.arange(1, channels + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
    bits = _mix(stream[:, None] + steps)
    return (bits >> np.uint64(11)).astype(np.float64) / 2.0**53


class Channel(IntEnum):
    """The use of each uniform number of a sample; the same for every augmentation policy."""

    FLIP_X = 0
    FLIP_Y = auto()
    ANGLE = auto()
    SCALE = auto()
    SHEAR = auto()
    CROP_X = auto()
    CROP_Y = auto()
    BRIGHTNESS = auto()
    SATURATION = auto()
    SUBPOLICY = auto()
    APPLY_1 = auto()
    APPLY_2 = auto()
    SIGN_1 = auto()
    SIGN_2 = auto()
    CUT_X = auto()
    CUT_Y = auto()


SUBPOLICIES = (
    (("posterize", 0.4, 8), ("rotate", 0.6, 9)),
    (("solarize", 0.6, 5), ("autocontrast", 0.6, 0)),
    (("equalize", 0.8, 0), ("equalize", 0.6, 0)),
    (("posterize", 0.6, 7), ("posterize", 0.6, 6)),
    (("equalize", 0.4, 0), ("solarize", 0.2, 4)),
    (("equalize", 0.4, 0), ("rotate", 0.8, 8)),
    (("solarize", 0.6, 3), ("equalize", 0.6, 0)),
    (("posterize", 0.8, 5), ("equalize", 1.0, 0)),
    (("rotate", 0.2, 3), ("solarize", 0.6, 8)),
    (("equalize", 0.6, 0), ("posterize", 0.4, 6)),
    (("rotate", 0.8, 8), ("color", 0.4, 0)),
    (("rotate", 0.4, 9), ("equalize", 0.6, 0)),
    (("equalize", 0.0, 0), ("equalize", 0.8, 0)),
    (("invert", 0.6, 0), ("equalize", 1.0, 0)),
    (("color", 0.6, 4), ("contrast", 1.0, 8)),
    (("rotate", 0.8, 8), ("color", 1.0, 2)),
    (("color", 0.8, 8), ("solarize", 0.8, 7)),
    (("sharpness", 0.4, 7), ("invert", 0.6, 0)),
    (("shear_x", 0.6, 5), ("equalize", 1.0, 0)),
    (("color", 0.4, 0), ("equalize", 0.6, 0)),
    (("equalize", 0.4, 0), ("solarize", 0.2, 4)),
    (("solarize", 0.6, 5), ("autocontrast", 0.6, 0)),
    (("invert", 0.6, 0), ("equalize", 1.0, 0)),
    (("color", 0.6, 4), ("contrast", 1.0, 8)),
    (("equalize", 0.8, 0), ("equalize", 0.6, 0)),
)
"""AutoAugment's ImageNet policy (Cubuk et al. 2019, table 9): operation, probability, level 0-9."""

_STRENGTHS: dict[str, tuple[float, float, bool]] = {
    "rotate": (0.0, 30.0, True),
    "shear_x": (0.0, 0.3, True),
    "color": (0.0, 0.9, True),
    "contrast": (0.0, 0.9, True),
    "sharpness": (0.0, 0.9, True),
    "posterize": (8.0, 4.0, False),
    "solarize": (255.0, 0.0, False),
    "autocontrast": (0.0, 0.0, False),
    "equalize": (0.0, 0.0, False),
    "invert": (0.0, 0.0, False),
}
"""Magnitude at level 0 and at level 9, and whether its sign is random."""

OPERATIONS = ("identity", *_STRENGTHS)


def _magnitude(name: str, level: int) -> float:
    """Magnitude of an operation at a level from 0 to 9."""
    weakest, strongest, _ = _STRENGTHS[name]
    magnitude = weakest + (strongest - weakest) * level / 9
    return float(round(magnitude)) if name == "posterize" else magnitude


def _table(value: Callable[[str, float, int], float]) -> NDArray[Any]:
    """A value of both operations of each sub-policy, (25, 2)."""
    return np.array([[value(*step) for step in subpolicy] for subpolicy in SUBPOLICIES])


_OPERATION = _table(lambda name, probability, level: OPERATIONS.index(name))
_PROBABILITY = _table(lambda name, probability, level: probability)
_MAGNITUDE = _table(lambda name, probability, level: _magnitude(name, level))
_SIGNED = _table(lambda name, probability, level: _STRENGTHS[name][2])


def autoaugment(u: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The two AutoAugment operations of each sample and their magnitudes.

    Args:
        u: uniform numbers, (B, len(Channel)).
    Returns:
        Operations: indices into `OPERATIONS`, (B, 2), 0 if the operation is left out.
        Magnitudes, (B, 2): degrees (rotate), pixels per pixel (shear_x), distance of the blending
        factor from 1 (color, contrast, sharpness), number of bits kept (posterize), threshold
        (solarize).
    """
    chosen = (u[:, Channel.SUBPOLICY] * len(SUBPOLICIES)).astype(np.int64)
    applied = u[:, [Channel.APPLY_1, Channel.APPLY_2]] < _PROBABILITY[chosen]
    negative = u[:, [Channel.SIGN_1, Channel.SIGN_2]] < 0.5
    operation = np.where(applied, _OPERATION[chosen], 0)
    sign = np.where(_SIGNED[chosen] & negative, -1.0, 1.0)
    return operation, _MAGNITUDE[chosen] * sign
