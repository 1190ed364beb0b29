"""Convert images (files, Pillow images, arrays, tensors) to the input of a network."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fairexit.data.images import AnyPicture, is_picture, to_pixels
from fairexit.errors import UserError

AnyImage = AnyPicture | Tensor
"""A file, a Pillow image, an array (H, W, 3) of uint8, or a tensor (3, H, W): uint8, or floating
point from 0 to 1."""

ACCEPTED = "give files, Pillow images, uint8 arrays (H, W, 3) or (N, H, W, 3), or tensors (3, H, W)"


def as_list(images: AnyImage | Iterable[AnyImage]) -> list[AnyImage]:
    """A list of single images, from one image, several, or a batch in one array or tensor.

    Raises:
        UserError: an item is not an image, or an array or tensor has another shape or type.
    """
    if isinstance(images, str | Path | Image.Image):
        return [images]
    if isinstance(images, np.ndarray | Tensor) and images.ndim != 4:
        images = [images]
    if not isinstance(images, Iterable):
        raise UserError(f"{type(images).__name__} is not an image; {ACCEPTED} or (N, 3, H, W)")
    items: list[AnyImage] = list(images)
    for image in items:
        _check(image)
    return items


def to_network(image: AnyImage, size: int, fit: str) -> Tensor | str:
    """Convert an image to the input of a network.

    Args:
        image: an image that `as_list` returned.
        size: side of the network's images in pixels.
        fit: how the image is brought to that size: `squash` or `crop`.
    Returns:
        The image, (3, size, size), from 0 to 1; or a text that says why it cannot be read.
    Raises:
        UserError: a floating-point tensor has another size; these are not resized.
    """
    if isinstance(image, Tensor) and image.is_floating_point():
        if image.shape[1:] != (size, size):
            raise UserError(
                f"a floating-point tensor must be (3, {size}, {size}), not {tuple(image.shape)}; "
                "uint8 ones are resized"
            )
        return image.detach().float().cpu()
    if isinstance(image, Tensor):
        image = image.detach().cpu().permute(1, 2, 0).numpy()
    decoded = to_pixels(image, size, fit)
    if decoded.pixels is None:
        return decoded.reason
    return to_tensor(decoded.pixels)


def to_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """Pixels (size, size, 3) as the input of a network, (3, size, size), from 0 to 1."""
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float().div_(255)


def _check(image: object) -> None:
    """Raise a UserError unless this is a single image in an accepted form."""
    if isinstance(image, Tensor):
        _check_tensor(image)
    elif not is_picture(image):
        shown = type(image).__name__
        if isinstance(image, np.ndarray):
            shown = f"array of {image.dtype} {image.shape}"
        raise UserError(f"{shown} is not an image; {ACCEPTED}")


def _check_tensor(image: Tensor) -> None:
    """Raise a UserError unless a tensor is an image."""
    shown = f"tensor of {str(image.dtype).removeprefix('torch.')} {tuple(image.shape)}"
    is_accepted = image.dtype == torch.uint8 or image.is_floating_point()
    if image.ndim != 3 or image.shape[0] != 3 or not is_accepted:
        raise UserError(f"{shown} is not an image; {ACCEPTED} or (N, 3, H, W)")
    if image.is_floating_point() and not ((image >= 0) & (image <= 1)).all():
        raise UserError(f"{shown}: values must lie between 0 and 1; do not normalise further")
