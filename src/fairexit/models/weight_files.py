"""Files of weights: safetensors, and PyTorch's, of which only tensors are read."""

import pickle
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from fairexit.errors import UserError, reason, short

WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "weights")
"""Names under which checkpoints of other tools keep the state dict."""
SIGNATURES = (b"PK", b"\x80")
"""First bytes of PyTorch's files, the zip archive and the older plain pickle."""


def read_weights(path: Path, setting: str = "pretrained") -> dict[str, Tensor]:
    """The state dict in a safetensors file or in a checkpoint of PyTorch (.pth, .pt, .ckpt).

    A checkpoint is read with `weights_only`, so no code in it runs. The state dict may lie under a
    name, such as Lightning's `state_dict`.

    Args:
        path: the file.
        setting: the setting that names it, for messages.
    Raises:
        UserError: there is no such file, or it holds no state dict or more than plain values.
    """
    if not path.exists():
        raise UserError(f"{setting}: there is no file {path}")
    if not path.is_file():
        raise UserError(f"{setting}: {path} is not a safetensors file: it is not a regular file")
    try:
        with path.open("rb") as file:
            head = file.read(9)
        # A safetensors file begins with a length, which may be any bytes, and then a brace.
        is_torch = head.startswith(SIGNATURES) and head[8:] != b"{"
        if is_torch:
            content = torch.load(path, map_location="cpu", weights_only=True)
            return _state_dict(content, f"{setting}: {path}")
        return dict(load_file(path))
    except UserError:
        raise
    except pickle.UnpicklingError:
        raise UserError(
            f"{setting}: {path} holds more than weights or is damaged, and code in it is not run; "
            "save the state dict alone, best as safetensors"
        ) from None
    except SafetensorError as error:
        raise UserError(
            f"{setting}: {path} is not a safetensors file: {short(reason(error), 200)}"
        ) from None
    except Exception as error:  # PyTorch's reader of archives raises errors of many types
        raise UserError(f"{setting}: {path} cannot be read: {short(reason(error), 200)}") from None


def _state_dict(content: Any, shown: str) -> dict[str, Tensor]:
    """The state dict in what a checkpoint, `shown` in messages, holds."""
    wrapped = [content[name] for name in WRAPPERS if isinstance(content, dict) and name in content]
    for state in [*wrapped, content]:
        if isinstance(state, Mapping) and state and all(map(_is_entry, state.items())):
            return dict(state)
    raise UserError(
        f"{shown} holds no state dict, neither alone nor under "
        f"{', '.join(repr(name) for name in WRAPPERS)}"
    )


def _is_entry(entry: tuple[Any, Any]) -> bool:
    return isinstance(entry[0], str) and isinstance(entry[1], Tensor)


def is_exit_net(names: Iterable[str]) -> bool:
    """Whether the names of a state dict are those of an `ExitNet`, not of a library's network."""
    return any(name.startswith("backbone.stages.") for name in names)


def without_prefix(state: dict[str, Tensor], expected: Collection[str]) -> dict[str, Tensor]:
    """Take off what stands before every name, such as DataParallel's `module.`.

    Lightning puts `model.` (the attribute's name) before every name, torch.compile `_orig_mod.`;
    several of them are taken off one after another. A first part that the network's names have is
    not a prefix.

    Args:
        state: the weights.
        expected: the network's own names.
    """
    own = {name.split(".")[0] for name in expected}
    while state:
        first = {name.partition(".")[0] for name in state}
        if len(first) > 1 or first <= own or not all("." in name for name in state):
            break
        state = {name.partition(".")[2]: tensor for name, tensor in state.items()}
    return state
