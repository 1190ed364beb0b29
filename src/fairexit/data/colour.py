"""Colour operations on batches of uint8 images, with one magnitude per sample.

Images are (N, 3, H, W) uint8, magnitudes (N, 1, 1, 1) float32. All sums are sums of integers, so a
sample's result never depends on the rest of the batch. Results are rounded to the nearest level;
Pillow and torchvision truncate, up to twice, so their results may be up to two levels lower.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def _to_uint8(values: Tensor) -> Tensor:
    """Round floats to the nearest uint8 level; overwrites its argument."""
    return values.add_(0.5).clamp_(0, 255).to(torch.uint8)


def _grey(values: Tensor) -> Tensor:
    """Luma of ITU-R 601, (N, 1, H, W)."""
    red, green, blue = values.unbind(1)
    return (red * 0.299).add_(green * 0.587).add_(blue * 0.114).unsqueeze(1)


def jitter(images: Tensor, brightness: Tensor, saturation: Tensor) -> Tensor:
    """Blend with the grey image by `saturation` and scale by `brightness`; clipped only once."""
    values = images.float()
    grey = _grey(values).mul_((1 - saturation) * brightness)
    return _to_uint8(values.mul_(saturation * brightness).add_(grey))


def color(images: Tensor, magnitude: Tensor) -> Tensor:
    """Multiply the saturation by 1 + magnitude; factor 0 gives grey, factor 1 the same image."""
    return jitter(images, torch.ones_like(magnitude), 1 + magnitude)


def contrast(images: Tensor, magnitude: Tensor) -> Tensor:
    """Multiply the distance from the image's mean grey by 1 + magnitude."""
    values = images.float()
    total = _grey(values).round_().to(torch.int64).sum((1, 2, 3), keepdim=True)
    mean = total.float() / (images.shape[-2] * images.shape[-1])
    return _to_uint8(values.mul_(1 + magnitude).sub_(mean * magnitude))


def sharpness(images: Tensor, magnitude: Tensor) -> Tensor:
    """Multiply the distance from a smoothed image by 1 + magnitude; border pixels do not change.

    The smoothed image is the mean over a 3 x 3 neighbourhood whose centre weighs 5 of 13.
    """
    values = images.to(torch.int16)
    rows = values[..., :-2, :] + values[..., 1:-1, :] + values[..., 2:, :]
    box = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    centre = values[..., 1:-1, 1:-1]
    detail = centre.float() - (box + 4 * centre).float().div_(13).round_()
    result = images.clone()
    result[..., 1:-1, 1:-1] = _to_uint8(detail.mul_(magnitude).add_(centre))
    return result


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the `bits` highest bits of each value."""
    dropped = (8 - bits).to(torch.uint8)
    return (images >> dropped) << dropped


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Invert the values at or above the threshold."""
    return torch.where(images >= threshold.ceil().to(torch.uint8), 255 - images, images)


def invert(images: Tensor) -> Tensor:
    """Replace each value by 255 minus the value."""
    return 255 - images


def autocontrast(images: Tensor) -> Tensor:
    """Stretch each channel's range to 0 ... 255; a constant channel does not change."""
    low = images.amin((2, 3), keepdim=True).float()
    high = images.amax((2, 3), keepdim=True).float()
    flat = high == low
    low, gain = low.masked_fill(flat, 0), torch.where(flat, 1, 255 / (high - low))
    return _to_uint8((images.float() - low).mul_(gain))


def equalize(images: Tensor) -> Tensor:
    """Flatten each channel's histogram, with Pillow's integer arithmetic."""
    index = images.flatten(2).to(torch.int64)
    histogram = index.new_zeros((*index.shape[:2], 256), dtype=torch.int32)
    increment = torch.ones((), dtype=torch.int32, device=images.device)
    histogram.scatter_add_(2, index, increment.expand(index.shape))
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
