"""Affine maps about the image centre, and the resampling of images by them."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

Array = NDArray[np.float64]


def _affine(a: Array, b: Array, c: Array, d: Array) -> Array:
    """Homogeneous matrices [[a, b, 0], [c, d, 0], [0, 0, 1]], (B, 3, 3)."""
    matrix = np.zeros((len(a), 3, 3))
    matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 0], matrix[:, 1, 1] = a, b, c, d
    matrix[:, 2, 2] = 1
    return matrix


def rotation(degrees: Array) -> Array:
    """Matrices of rotations about the centre, (B, 3, 3), from angles in degrees, (B,)."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return _affine(cosine, -sine, sine, cosine)


def shear(slope: Array) -> Array:
    """Matrices of horizontal shears x + slope y about the centre, (B, 3, 3); slopes (B,)."""
    ones = np.ones_like(slope)
    return _affine(ones, slope, np.zeros_like(slope), ones)


def warp(values: Tensor, inverse: Array) -> Tensor:
    """Sample images at affinely mapped positions, bilinearly; outside the image is black.

    Args:
        values: images, (B, C, H, W), float32.
        inverse: affine maps from the result to the image, (B, 3, 3); the origin is the image's
            centre, and the unit is half the image's height in both directions.
    Returns:
        The warped images, (B, C, H, W).
    """
    height, width = values.shape[-2:]
    unit = np.diag([width / height, 1.0, 1.0])
    maps = torch.from_numpy((np.linalg.inv(unit) @ inverse @ unit)[:, None, None, :2])
    maps = maps.to(values.dtype).to(values.device, non_blocking=True)
    y = (torch.arange(height, device=values.device) * 2 + 1) / height - 1
    x = (torch.arange(width, device=values.device) * 2 + 1) / width - 1
    columns = x[:, None] * maps[..., 0]
    rows = y[:, None, None] * maps[..., 1] + maps[..., 2]
    return F.grid_sample(values, columns + rows, align_corners=False)
