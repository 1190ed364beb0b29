"""Loading of pretrained weights, the library's or those of a local safetensors file."""

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
    """Load weights into a network in place; a classifier of another shape keeps its own weights.

    Args:
        family: family of the network.
        name: name of the network.
        network: the library's network, not yet cut.
        source: True for the library's own weights, or the path of a safetensors file that holds
            the library's state dict.
    Raises:
        UserError: the download fails, the file is missing or unreadable, or the weights belong to
            another network.
    """
    if source is True:
        origin, state = "the library's weights", _download(family, name)
    else:
        origin, state = str(source), _read(Path(source))
    try:
        state = family.adapt(state, network)
    except (KeyError, RuntimeError, ValueError) as error:
        raise UserError(f"pretrained: {origin} does not fit {name}: {error}") from error
    current = network.state_dict()
    classifier = family.classifier(network)
    layer = next(key for key, module in network.named_modules() if module is classifier)
    for key in (f"{layer}.weight", f"{layer}.bias"):
        if key in state and state[key].shape != current[key].shape:
            state[key] = current[key]
    _check(current, state, f"pretrained: {origin} does not fit {name}")
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


def _check(expected: dict[str, Tensor], state: dict[str, Tensor], problem: str) -> None:
    """Raise a UserError that starts with `problem` unless names and shapes are the same."""
    missing = sorted(expected.keys() - state.keys())
    unexpected = sorted(state.keys() - expected.keys())
    if missing:
        raise UserError(
            f"{problem}: it lacks {len(missing)} entries, of which the first is '{missing[0]}'"
        )
    if unexpected:
        raise UserError(
            f"{problem}: it has {len(unexpected)} entries that the network lacks, of which the "
            f"first is '{unexpected[0]}'"
        )
    for key, tensor in expected.items():
        if tensor.shape != state[key].shape:
            raise UserError(
                f"{problem}: '{key}' has the shape {tuple(state[key].shape)}, not "
                f"{tuple(tensor.shape)}"
            )
