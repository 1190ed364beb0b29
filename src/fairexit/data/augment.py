"""Augmentation of whole batches: every sample its own draw, on CPU and GPU alike."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from fairexit.data.colour import COLOUR, jitter
from fairexit.data.draws import OPERATIONS, Channel, autoaugment, uniforms
from fairexit.errors import UserError, nearest, short

Array = NDArray[np.float64]


@dataclass(frozen=True)
class AugmentationPolicy:
    """What is drawn, and from which range; zero leaves a step out.

    Attributes:
        flips: left-right and top-bottom, each with probability 1/2.
        angle: rotation, in degrees to either side.
        scale: scaling by 1 - scale ... 1 + scale.
        shear: horizontal shear, in degrees to either side.
        crop: the image enlarged by 1 + crop, then cut to its old size at a random place.
        brightness: factor 1 - brightness ... 1 + brightness.
        saturation: factor 1 - saturation ... 1 + saturation.
        autoaugment: one of AutoAugment's 25 ImageNet sub-policies.
        cutout: side of the black square, as a share of the image's height.
    """

    flips: bool = False
    angle: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    crop: float = 0.0
    brightness: float = 0.0
    saturation: float = 0.0
    autoaugment: bool = False
    cutout: float = 0.0

    @property
    def moves(self) -> bool:
        return bool(self.angle or self.scale or self.shear or self.crop or self.autoaugment)


POLICIES = {
    "none": AugmentationPolicy(),
    "flips": AugmentationPolicy(flips=True),
    "affine": AugmentationPolicy(flips=True, angle=180, scale=0.2),
    "paper": AugmentationPolicy(flips=True, angle=180, scale=0.2, autoaugment=True),
    "released": AugmentationPolicy(
        flips=True,
        angle=180,
        scale=0.2,
        shear=10,
        crop=0.125,
        brightness=32 / 255,
        saturation=0.5,
        autoaugment=True,
        cutout=1 / 8,
    ),
}


class Augment:
    """Augment a batch of bytes into floats.

    Steps: flips; colour jitter; AutoAugment's colour operations in the sub-policy's order; one
    affine map (crop, scale, shear, rotation, AutoAugment's shear and rotation, in this order) by
    one bilinear sampling; cutout. The colour operations of AutoAugment come before its geometric
    ones even where the sub-policy has them the other way round: they commute up to the pixels at
    the border. One sampling blurs once, and what a crop cuts off may come back by a rotation.

    Outside the image all is black, as in torchvision's defaults; it never enters the histograms of
    equalize and autocontrast, since those see the whole image before it moves.

    A sample's draw depends on seed, epoch and position alone. Draws are made with NumPy on the
    CPU, so they are the same for every device, and a GPU is never waited for.

    Args:
        policy: "none" (scaling to [0, 1] only), "flips", "affine" (flips, rotation, scaling),
            "paper" (the same and AutoAugment; ranges, which the paper leaves open, as in
            "released") or "released" (the authors' scripts: all steps; cutout of 16 px at 128 px,
            in proportion elsewhere).
        seed: of the draws.
    Raises:
        UserError: an unknown policy.
    """

    def __init__(self, policy: str, seed: int) -> None:
        if policy not in POLICIES:
            hint = nearest(policy, POLICIES)
            raise UserError(f"unknown augmentation '{short(policy)}'; {hint}")
        self.policy = POLICIES[policy]
        self.seed = seed

    def __call__(self, images: Tensor, positions: Tensor | NDArray[np.int64], epoch: int) -> Tensor:
        """Augment one batch.

        Args:
            images: (B, 3, H, W), uint8; they are not changed.
            positions: running number of each sample in the epoch's order, (B,), best on the CPU.
            epoch: number of the epoch.
        Returns:
            (B, 3, H, W), float32 in [0, 1], on the images' device and in their memory format.
        Raises:
            UserError: images that are not (B, 3, H, W) uint8, or not one position per image.
        """
        _check(images, positions)
        numbers = positions.cpu().numpy() if isinstance(positions, Tensor) else positions
        u = uniforms(self.seed, epoch, numbers, len(Channel))
        result = self._augment(images.contiguous(), u)
        if images.is_contiguous(memory_format=torch.channels_last):
            result = result.contiguous(memory_format=torch.channels_last)
        return result

    def _augment(self, images: Tensor, u: Array) -> Tensor:
        policy, device = self.policy, images.device
        operations, magnitudes = autoaugment(u)
        operations = operations * policy.autoaugment
        if policy.flips:
            for axis, channel in ((3, Channel.FLIP_X), (2, Channel.FLIP_Y)):
                flipped = _send(u[:, channel] < 0.5, device)[:, None, None, None]
                images = torch.where(flipped, images.flip(axis), images)
        if policy.brightness or policy.saturation:
            factors = np.stack(
                [
                    1 + policy.brightness * (2 * u[:, Channel.BRIGHTNESS] - 1),
                    1 + policy.saturation * (2 * u[:, Channel.SATURATION] - 1),
                ]
            )
            brightness, saturation = _send(factors, device)[..., None, None, None]
            images = jitter(images, brightness, saturation)
        if operations.any():
            images = _recolour(images, operations, magnitudes)
        values = images.float()
        if policy.moves:
            aspect = images.shape[-1] / images.shape[-2]
            values = warp(values, _inverse_map(policy, u, operations, magnitudes, aspect=aspect))
        if policy.cutout:
            values.mul_(_outside(policy, u, values))
        return values.div_(255).clamp_(max=1)


def _check(images: Tensor, positions: Tensor | NDArray[np.int64]) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or images.dtype != torch.uint8:
        found = f"{tuple(images.shape)} {str(images.dtype).removeprefix('torch.')}"
        raise UserError(f"the images to augment must be (B, 3, H, W) uint8, not {found}")
    if tuple(positions.shape) != (len(images),):
        found = f"{tuple(positions.shape)} for {len(images)} images"
        raise UserError(f"augmentation needs one position per image, but the shape is {found}")


def _send(array: NDArray[np.generic], device: torch.device) -> Tensor:
    """To the device without waiting for it; float64 becomes float32."""
    tensor = torch.from_numpy(array)
    dtype = torch.float32 if tensor.dtype == torch.float64 else tensor.dtype
    return tensor.to(dtype).to(device, non_blocking=True)


def _recolour(images: Tensor, operations: NDArray[np.int64], magnitudes: Array) -> Tensor:
    """Each colour operation on the samples that drew it, first all first ones, then the second."""
    images = images.clone()
    for drawn, magnitude in zip(operations.T, magnitudes.T, strict=True):
        order = np.argsort(drawn, kind="stable")
        counts = np.bincount(drawn, minlength=len(OPERATIONS)).tolist()
        indices = torch.split(_send(order, images.device), counts)
        strength = _send(magnitude[order], images.device)[:, None, None, None]
        strengths = torch.split(strength, counts)
        for name, index, own in zip(OPERATIONS, indices, strengths, strict=True):
            if name in COLOUR and len(index):
                images.index_copy_(0, index, COLOUR[name](images[index], own))
    return images


def _affine(a: Array, b: Array, c: Array, d: Array) -> Array:
    """Homogeneous matrices [[a, b, 0], [c, d, 0], [0, 0, 1]], (B, 3, 3)."""
    matrix = np.zeros((len(a), 3, 3))
    matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 0], matrix[:, 1, 1] = a, b, c, d
    matrix[:, 2, 2] = 1
    return matrix


def rotation(degrees: Array) -> Array:
    """Rotations about the centre, (B, 3, 3)."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return _affine(cosine, -sine, sine, cosine)


def shear(slope: Array) -> Array:
    """Horizontal shears x + slope y about the centre, (B, 3, 3)."""
    one = np.ones_like(slope)
    return _affine(one, slope, 0 * one, one)


def _inverse_map(
    policy: AugmentationPolicy,
    u: Array,
    operations: NDArray[np.int64],
    magnitudes: Array,
    *,
    aspect: float,
) -> Array:
    """From a place in the result to its place in the image, (B, 3, 3), units as in `warp`.

    Backwards through the steps: the last one first. No sub-policy of AutoAugment has two geometric
    operations, so it adds one turn or one shear, which keeps the top row in place.
    """
    centred = 2 * u - 1
    slope, turn = (
        np.where(operations == OPERATIONS.index(name), magnitudes, 0.0).sum(1)
        for name in ("shear_x", "rotate")
    )
    last = shear(-slope)
    last[:, 0, 2] = -slope
    inverse = rotation(-turn) @ last
    inverse = rotation(-policy.angle * centred[:, Channel.ANGLE]) @ inverse
    inverse = shear(-np.tan(np.radians(policy.shear * centred[:, Channel.SHEAR]))) @ inverse
    zoom = (1 + policy.crop) * (1 + policy.scale * centred[:, Channel.SCALE])
    inverse[:, :2] /= zoom[:, None, None]
    slack = policy.crop / (1 + policy.crop)
    inverse[:, :2, 2] += slack * centred[:, [Channel.CROP_X, Channel.CROP_Y]] * [aspect, 1]
    return inverse


def warp(values: Tensor, inverse: Array) -> Tensor:
    """Sample the images at mapped places, bilinear, black outside.

    Args:
        values: (B, C, H, W), float32.
        inverse: affine maps from result to image, (B, 3, 3); the centre is the origin, and the
            unit half the image's height in both directions.
    Returns:
        (B, C, H, W).
    """
    height, width = values.shape[-2:]
    unit = np.diag([width / height, 1.0, 1.0])
    maps = _send((np.linalg.inv(unit) @ inverse @ unit)[:, None, None, :2], values.device)
    y = (torch.arange(height, device=values.device) * 2 + 1) / height - 1
    x = (torch.arange(width, device=values.device) * 2 + 1) / width - 1
    columns = x[:, None] * maps[..., 0]
    rows = y[:, None, None] * maps[..., 1] + maps[..., 2]
    return F.grid_sample(values, columns + rows, align_corners=False)


def _outside(policy: AugmentationPolicy, u: Array, values: Tensor) -> Tensor:
    """0 in the cutout's square, whose centre lies anywhere, 1 elsewhere, (B, 1, H, W)."""
    height, width = values.shape[-2:]
    side = round(policy.cutout * height)
    inside = []
    for length, channel in ((height, Channel.CUT_Y), (width, Channel.CUT_X)):
        start = np.floor(u[:, channel] * length).astype(np.int64) - side // 2
        offset = torch.arange(length, device=values.device) - _send(start, values.device)[:, None]
        inside.append((offset >= 0) & (offset < side))
    square = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return (~square).float()
