"""Masks that say which parameters are edited: storing and reading them."""

from collections.abc import Mapping

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from fairexit.errors import UserError, reason
from fairexit.runs import Run

Masks = dict[str, Tensor]
"""Parameter name -> True where it is not edited, of the parameter's shape."""


def pack(masks: Masks) -> dict[str, Tensor]:
    """Masks as flat uint8 tensors with eight parameters per byte, to be stored."""
    return {k: torch.from_numpy(np.packbits(v.cpu().numpy().ravel())) for k, v in masks.items()}


def unpack(packed: Mapping[str, Tensor], net: nn.Module) -> Masks:
    """Invert `pack`.

    Args:
        packed: parameter name -> packed mask.
        net: the network, whose parameters have the shapes.
    Raises:
        ValueError: the masks belong to another network.
    """
    parameters = dict(net.named_parameters())
    masks = {}
    for name, bits in packed.items():
        if name not in parameters or len(bits) != -(-parameters[name].numel() // 8):
            raise ValueError(f"the mask of '{name}' fits no parameter")
        shape = parameters[name].shape
        flat = np.unpackbits(bits.numpy(), count=shape.numel())
        masks[name] = torch.from_numpy(flat.astype(bool)).view(shape)
    return masks


def load_masks(run: Run, net: nn.Module) -> Masks:
    """The masks of a pruned run.

    Args:
        run: the pruned run.
        net: its network.
    Raises:
        UserError: the run has not been pruned, or the file is damaged.
    """
    if not run.masks.is_file():
        raise UserError(f"{run.path} has not been pruned; prune it with `fairexit prune`")
    try:
        return unpack(load_file(run.masks), net)
    except Exception as error:
        raise UserError(
            f"{run.masks} is damaged ({reason(error)}); prune again into another folder"
        ) from None
