"""Pretrained weights: the library's, or those in a local safetensors file."""

from pathlib import Path
from typing import Literal

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from fairexit.errors import UserError
from fairexit.models.backbone import Family


def load_pretrained(
    family: Family, name: str, network: nn.Module, source: Literal[True] | str | Path
) -> None:
    """Fill the library's network in place; a classifier of another shape stays as it is.

    Args:
        family: where the network comes from.
        name: its name.
        network: not yet cut.
        source: True for the library's own weights, or the path of a safetensors file that holds
            the library's state dict.
    Raises:
        UserError: no download, no such file, or weights of another network.
    """
    if source is True:
        where, state = "the library's weights", _download(family, name)
    else:
        where, state = str(source), _read(Path(source))
    try:
        state = family.adapt(state, network)
    except (KeyError, RuntimeError, ValueError) as error:
        raise UserError(f"pretrained: {where} does not fit {name}: {error}") from error
    own = network.state_dict()
    classifier = family.classifier(network)
    layer = next(key for key, module in network.named_modules() if module is classifier)
    for key in (f"{layer}.weight", f"{layer}.bias"):
        if key in state and state[key].shape != own[key].shape:
            state[key] = own[key]
    _check(own, state, f"pretrained: {where} does not fit {name}")
    network.load_state_dict(state)


def _download(family: Family, name: str) -> dict[str, Tensor]:
    try:
        return family.weights(name)
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"the pretrained weights of {name} cannot be fetched ({type(error).__name__}); set "
            "pretrained to the path of a local safetensors file that holds the weights"
        ) from error


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return dict(load_file(path))
    except FileNotFoundError:
        raise UserError(f"pretrained: there is no file {path}") from None
    except (SafetensorError, OSError) as error:
        raise UserError(f"pretrained: {path} is not a safetensors file: {error}") from None


def _check(own: dict[str, Tensor], state: dict[str, Tensor], problem: str) -> None:
    missing, unexpected = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing:
        raise UserError(
            f"{problem}: it lacks {len(missing)} entries, of which the first is '{missing[0]}'"
        )
    if unexpected:
        raise UserError(
            f"{problem}: it has {len(unexpected)} entries that the network lacks, of which the "
            f"first is '{unexpected[0]}'"
        )
    for key, tensor in own.items():
        if tensor.shape != state[key].shape:
            raise UserError(
                f"{problem}: '{key}' has the shape {tuple(state[key].shape)}, not "
                f"{tuple(tensor.shape)}"
            )
