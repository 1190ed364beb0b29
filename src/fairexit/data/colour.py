"""Colour operations on a batch of bytes, each sample with a magnitude of its own.

Images are (N, 3, H, W) uint8, magnitudes (N, 1, 1, 1) float32. All sums are of integers, so that a
sample's result never depends on its neighbours. Results are rounded to the nearest level; Pillow
and torchvision cut fractions off, up to twice, and so may lie up to two levels lower.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def _bytes(values: Tensor) -> Tensor:
    """Round floats to the nearest byte, in place."""
    return values.add_(0.5).clamp_(0, 255).to(torch.uint8)


def _grey(values: Tensor) -> Tensor:
    """Luma of ITU-R 601, (N, 1, H, W)."""
    red, green, blue = values.unbind(1)
    return (red * 0.299).add_(green * 0.587).add_(blue * 0.114).unsqueeze(1)


def jitter(images: Tensor, brightness: Tensor, saturation: Tensor) -> Tensor:
    """Blend with the grey image by `saturation`, then scale by `brightness`; clipped once."""
    values = images.float()
    grey = _grey(values).mul_((1 - saturation) * brightness)
    return _bytes(values.mul_(saturation * brightness).add_(grey))


def color(images: Tensor, magnitude: Tensor) -> Tensor:
    """Saturation by the factor 1 + magnitude; 0 would be grey, 1 leaves the image."""
    return jitter(images, torch.ones_like(magnitude), 1 + magnitude)


def contrast(images: Tensor, magnitude: Tensor) -> Tensor:
    """Distance from the image's mean grey by the factor 1 + magnitude."""
    values = images.float()
    total = _grey(values).round_().to(torch.int64).sum((1, 2, 3), keepdim=True)
    mean = total.float() / (images.shape[-2] * images.shape[-1])
    return _bytes(values.mul_(1 + magnitude).sub_(mean * magnitude))


def sharpness(images: Tensor, magnitude: Tensor) -> Tensor:
    """Distance from a smoothed image by the factor 1 + magnitude; the outermost pixels stay.

    Smoothed: mean of the 3 x 3 neighbourhood where the centre weighs 5 of 13.
    """
    values = images.to(torch.int16)
    rows = values[..., :-2, :] + values[..., 1:-1, :] + values[..., 2:, :]
    box = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    centre = values[..., 1:-1, 1:-1]
    detail = centre.float() - (box + 4 * centre).float().div_(13).round_()
    result = images.clone()
    result[..., 1:-1, 1:-1] = _bytes(detail.mul_(magnitude).add_(centre))
    return result


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the `bits` highest bits of each value."""
    dropped = (8 - bits).to(torch.uint8)
    return (images >> dropped) << dropped


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Invert the values at or above the threshold."""
    return torch.where(images >= threshold.ceil().to(torch.uint8), 255 - images, images)


def invert(images: Tensor) -> Tensor:
    """255 minus each value."""
    return 255 - images


def autocontrast(images: Tensor) -> Tensor:
    """Stretch each channel's range to 0 ... 255; a channel of one value stays."""
    low = images.amin((2, 3), keepdim=True).float()
    high = images.amax((2, 3), keepdim=True).float()
    flat = high == low
    low, gain = low.masked_fill(flat, 0), torch.where(flat, 1, 255 / (high - low))
    return _bytes((images.float() - low).mul_(gain))


def equalize(images: Tensor) -> Tensor:
    """Flatten each channel's histogram, with Pillow's integer arithmetic."""
    index = images.flatten(2).to(torch.int64)
    histogram = index.new_zeros((*index.shape[:2], 256), dtype=torch.int32)
    one = torch.ones((), dtype=torch.int32, device=images.device)
    histogram.scatter_add_(2, index, one.expand(index.shape))
    below = histogram.cumsum(2) - histogram
    step = below.masked_fill(histogram == 0, 0).amax(2, keepdim=True) // 255
    table = ((below + step // 2) // step.clamp(min=1)).clamp_(max=255)
    unchanged = torch.arange(256, device=images.device)
    table = torch.where(step == 0, unchanged, table).to(torch.uint8)
    return table.gather(2, index).view_as(images)


COLOUR: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "color": color,
    "contrast": contrast,
    "sharpness": sharpness,
    "posterize": posterize,
    "solarize": solarize,
    "invert": lambda images, _: invert(images),
    "autocontrast": lambda images, _: autocontrast(images),
    "equalize": lambda images, _: equalize(images),
}
"""AutoAugment's colour operations by name."""
