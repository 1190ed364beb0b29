"""The normalisation of a network's input: (x - mean) / std of each colour channel."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fairexit.errors import UserError, nearest, short


class Normalisation(NamedTuple):
    """Mean and standard deviation of the red, green and blue channel, for values from 0 to 1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def to_dict(self) -> dict[str, list[float]]:
        """Plain values for config.json."""
        return {"mean": list(self.mean), "std": list(self.std)}


NAMED = {
    "imagenet": Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": Normalisation((0.5,) * 3, (0.5,) * 3),
    "none": None,
}
"""The normalisations that `model.normalisation` can name."""
FORMS = "auto, imagenet, half, none, or {mean: [R, G, B], std: [R, G, B]} with every std above 0"


class Normalise(nn.Module):
    """Computes (x - mean) / std of images (B, 3, H, W), as the first layer of a network.

    It is a layer and not a preparation of the images, so that training, every exit, exported files
    and new images all have it, and every input has values from 0 to 1. The padding of the first
    convolution adds its zeros to the normalised image, as where the images are prepared.

    Args:
        values: mean and standard deviation of each channel.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, values: Normalisation) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(values.mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(values.std).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


def parse_normalisation(
    setting: str | Mapping[str, Sequence[float]] | Normalisation,
) -> Normalisation | None:
    """The values that a setting names or gives; None for "none".

    >>> parse_normalisation("half").mean
    (0.5, 0.5, 0.5)

    Raises:
        UserError: an unknown name, or values that are not three means and three deviations.
    """
    if isinstance(setting, Normalisation):
        return setting
    if isinstance(setting, str):
        if setting not in NAMED:
            hint = nearest(setting, ["auto", *NAMED])
            raise UserError(f"normalisation is '{short(setting)}'; {hint}")
        return NAMED[setting]
    if isinstance(setting, Mapping) and set(setting) == {"mean", "std"}:
        mean, std = setting["mean"], setting["std"]
        if _is_triple(mean) and _is_triple(std) and all(value > 0 for value in std):
            return Normalisation(tuple(map(float, mean)), tuple(map(float, std)))
    raise UserError(f"normalisation is {short(setting)}; it must be {FORMS}")


def _is_triple(values: Any) -> bool:
    return (
        isinstance(values, list | tuple)
        and len(values) == 3
        and all(type(v) in (int, float) and abs(v) < float("inf") for v in values)
    )
