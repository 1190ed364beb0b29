"""The units that are edited one by one: weights, or whole channels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fairexit.pruning.masks import Masks


@dataclass(frozen=True)
class Block:
    """Units that lie together: the weights of a layer, or the channels of a stage.

    Attributes:
        shape: shape of the units: that of the one parameter, or (C,) for channels.
        parameters: name -> parameter that the units consist of. Its first dimensions are `shape`;
            all further ones belong to the same unit.
    """

    shape: torch.Size
    parameters: Mapping[str, nn.Parameter]


Units = Mapping[str, Block]
"""Name -> block. The units are numbered block by block, P of them in all."""


def units_of_weights(parameters: Mapping[str, nn.Parameter]) -> Units:
    """Each weight is a unit, and each parameter a block."""
    return {name: Block(p.shape, {name: p}) for name, p in parameters.items()}


def parameters_of(units: Units) -> dict[str, nn.Parameter]:
    """Name -> parameter, of all blocks."""
    return {name: p for block in units.values() for name, p in block.parameters.items()}


def sizes(units: Units) -> list[int]:
    """Number of units in each block."""
    return [block.shape.numel() for block in units.values()]


def masks_of(edited: Tensor, units: Units, number: int = 255) -> Masks:
    """The masks of the parameters after a step of a trail.

    Args:
        edited: number of the step at which each unit was edited, 0 where it was not, (P,) uint8.
        units: the units.
        number: number of the step; by default the last one.
    """
    kept = (edited == 0) | (edited > number)
    masks = {}
    for block, part in zip(units.values(), torch.split(kept, sizes(units)), strict=True):
        for name, p in block.parameters.items():
            ones = [1] * (p.ndim - len(block.shape))
            masks[name] = part.view(*block.shape, *ones).expand(p.shape)
    return masks


def count_edited(edited: Tensor, units: Units, number: int) -> list[dict[str, Any]]:
    """For each block its name, the number of units, and how many are edited after a step."""
    is_edited = (edited > 0) & (edited <= number)
    parts = torch.split(is_edited, sizes(units))
    return [
        {"name": name, "units": part.numel(), "edited": int(part.sum())}
        for name, part in zip(units, parts, strict=True)
    ]
