"""Augmentation of whole batches on CPU or GPU, with separate random draws for each sample."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fairexit.data.colour import COLOUR, jitter
from fairexit.data.draws import OPERATIONS, Channel, autoaugment, uniforms
from fairexit.data.geometry import rotation, shear, warp
from fairexit.errors import UserError, nearest, short

Array = NDArray[np.float64]


@dataclass(frozen=True)
class AugmentationPolicy:
    """The random steps of an augmentation and their ranges; zero or False leaves a step out.

    Attributes:
        flips: flips left-right and top-bottom, each with probability 1/2.
        angle: largest rotation to either side, in degrees.
        scale: the scaling factor is in 1 - scale ... 1 + scale.
        shear: largest horizontal shear to either side, in degrees.
        crop: the image is enlarged by 1 + crop and cut to its old size at a random position.
        brightness: the brightness factor is in 1 - brightness ... 1 + brightness.
        saturation: the saturation factor is in 1 - saturation ... 1 + saturation.
        autoaugment: applies one of AutoAugment's 25 ImageNet sub-policies.
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
    def is_geometric(self) -> bool:
        """Whether any step apart from the flips moves pixels."""
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
    """Augments batches of uint8 images; the results are floats in [0, 1].

    The steps are, in order: flips; colour jitter; AutoAugment's colour operations in the
    sub-policy's order; one affine map (crop, scale, shear, rotation, AutoAugment's shear and
    rotation, in this order), applied by a single bilinear sampling; cutout. AutoAugment's colour
    operations precede its geometric ones even if the sub-policy has them the other way round: they
    commute except for pixels at the border. A single sampling blurs the image only once, and a
    rotation may bring back what a crop has cut off.

    Everything outside the image is black, as by default in torchvision. It never enters the
    histograms of equalize and autocontrast, which see the whole image before it moves.

    A sample's draws depend on seed, epoch and position only. They are made with NumPy on the CPU,
    so they are the same for every device and never wait for a GPU.

    Args:
        policy: "none" (scaling to [0, 1] only), "flips", "affine" (flips, rotation, scaling),
            "paper" ("affine" and AutoAugment; the paper does not state the ranges, which are those
            of "released") or "released" (all steps of the authors' scripts; the cutout is 16 px at
            128 px and proportional at other sizes).
        seed: seed of the draws.
    Raises:
        UserError: the policy is unknown.
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
            images: (B, 3, H, W), uint8; they are not modified.
            positions: position of each sample in the epoch's order, (B,), preferably on the CPU.
            epoch: number of the epoch.
        Returns:
            (B, 3, H, W), float32 in [0, 1], on the images' device and in their memory format.
        Raises:
            UserError: the images are not (B, 3, H, W) uint8, or there is not one position per
                image.
        """
        _check(images, positions)
        positions = positions.cpu().numpy() if isinstance(positions, Tensor) else positions
        u = uniforms(self.seed, epoch, positions, len(Channel))
        result = self._augment(images.contiguous(), u)
        if images.is_contiguous(memory_format=torch.channels_last):
            result = result.contiguous(memory_format=torch.channels_last)
        return result

    def _augment(self, images: Tensor, u: Array) -> Tensor:
        """Apply the policy's steps with the uniform numbers u, (B, len(Channel))."""
        policy, device = self.policy, images.device
        operations, magnitudes = autoaugment(u)
        operations = operations * policy.autoaugment
        if policy.flips:
            for axis, channel in ((3, Channel.FLIP_X), (2, Channel.FLIP_Y)):
                flipped = _to_device(u[:, channel] < 0.5, device)[:, None, None, None]
                images = torch.where(flipped, images.flip(axis), images)
        if policy.brightness or policy.saturation:
            factors = np.stack(
                [
                    1 + policy.brightness * (2 * u[:, Channel.BRIGHTNESS] - 1),
                    1 + policy.saturation * (2 * u[:, Channel.SATURATION] - 1),
                ]
            )
            brightness, saturation = _to_device(factors, device)[..., None, None, None]
            images = jitter(images, brightness, saturation)
        if operations.any():
            images = _recolour(images, operations, magnitudes)
        values = images.float()
        if policy.is_geometric:
            aspect = images.shape[-1] / images.shape[-2]
            values = warp(values, _inverse_map(policy, u, operations, magnitudes, aspect=aspect))
        if policy.cutout:
            values.mul_(_cutout_mask(policy, u, values))
        return values.div_(255).clamp_(max=1)


def _check(images: Tensor, positions: Tensor | NDArray[np.int64]) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or images.dtype != torch.uint8:
        actual = f"{tuple(images.shape)} {str(images.dtype).removeprefix('torch.')}"
        raise UserError(f"the images to augment must be (B, 3, H, W) uint8, not {actual}")
    if tuple(positions.shape) != (len(images),):
        actual = f"{tuple(positions.shape)} for {len(images)} images"
        raise UserError(f"augmentation needs one position per image, but the shape is {actual}")


def _to_device(array: NDArray[np.generic], device: torch.device) -> Tensor:
    """Copy an array to a device without waiting for it; float64 becomes float32."""
    tensor = torch.from_numpy(array)
    dtype = torch.float32 if tensor.dtype == torch.float64 else tensor.dtype
    return tensor.to(dtype).to(device, non_blocking=True)


def _recolour(images: Tensor, operations: NDArray[np.int64], magnitudes: Array) -> Tensor:
    """Apply the colour operations: every sample's first operation, then every sample's second.

    Each operation runs once on all samples that drew it.

    Args:
        images: (B, 3, H, W), uint8.
        operations: indices into `OPERATIONS`, (B, 2).
        magnitudes: magnitudes of the operations, (B, 2).
    """
    images = images.clone()
    for drawn, magnitude in zip(operations.T, magnitudes.T, strict=True):
        order = np.argsort(drawn, kind="stable")
        counts = np.bincount(drawn, minlength=len(OPERATIONS)).tolist()
        indices = torch.split(_to_device(order, images.device), counts)
        ordered = _to_device(magnitude[order], images.device)[:, None, None, None]
        strengths = torch.split(ordered, counts)
        for name, index, strength in zip(OPERATIONS, indices, strengths, strict=True):
            if name in COLOUR and len(index):
                images.index_copy_(0, index, COLOUR[name](images[index], strength))
    return images


def _inverse_map(
    policy: AugmentationPolicy,
    u: Array,
    operations: NDArray[np.int64],
    magnitudes: Array,
    *,
    aspect: float,
) -> Array:
    """Affine maps from the augmented image to the original, (B, 3, 3), in the units of `warp`.

    The steps are inverted from the last to the first. No sub-policy of AutoAugment has two
    geometric operations, so it adds one rotation or one shear, which keeps the top row in place.
    """
    centred = 2 * u - 1
    slope, degrees = (
        np.where(operations == OPERATIONS.index(name), magnitudes, 0.0).sum(1)
        for name in ("shear_x", "rotate")
    )
    top_row_shear = shear(-slope)
    top_row_shear[:, 0, 2] = -slope
    inverse = rotation(-degrees) @ top_row_shear
    inverse = rotation(-policy.angle * centred[:, Channel.ANGLE]) @ inverse
    inverse = shear(-np.tan(np.radians(policy.shear * centred[:, Channel.SHEAR]))) @ inverse
    zoom = (1 + policy.crop) * (1 + policy.scale * centred[:, Channel.SCALE])
    inverse[:, :2] /= zoom[:, None, None]
    slack = policy.crop / (1 + policy.crop)
    inverse[:, :2, 2] += slack * centred[:, [Channel.CROP_X, Channel.CROP_Y]] * [aspect, 1]
    return inverse


def _cutout_mask(policy: AugmentationPolicy, u: Array, values: Tensor) -> Tensor:
    """0 in the cutout's square, whose centre may be anywhere, and 1 elsewhere, (B, 1, H, W)."""
    height, width = values.shape[-2:]
    side = round(policy.cutout * height)
    inside = []
    for length, channel in ((height, Channel.CUT_Y), (width, Channel.CUT_X)):
        start = np.floor(u[:, channel] * length).astype(np.int64) - side // 2
        pixels = torch.arange(length, device=values.device)
        offset = pixels - _to_device(start, values.device)[:, None]
        inside.append((offset >= 0) & (offset < side))
    square = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return (~square).float()
