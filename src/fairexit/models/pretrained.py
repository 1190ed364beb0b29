"""Loading of pretrained weights, the library's or those of a local file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from fairexit.errors import UserError, reason, short
from fairexit.models.backbone import Family
from fairexit.models.normalisation import FORMS, Normalisation, parse_normalisation
from fairexit.models.weight_files import is_exit_net, read_weights, without_prefix


def load_pretrained(
    family: Family, name: str, network: nn.Module, source: Literal[True] | str | Path
) -> None:
    """Load weights into a network in place; a classifier of another shape keeps its own weights.

    Args:
        family: family of the network.
        name: name of the network.
        network: the library's network, not yet cut.
        source: True for the library's own weights, or the path of a file that holds the library's
            state dict, see `read_weights`.
    Raises:
        UserError: the download fails, the file is missing or unreadable, or the weights belong to
            another network.
    """
    if source is True:
        origin, state = "the library's weights", _download(family, name)
    else:
        origin, state = str(source), read_weights(Path(source))
    current = network.state_dict()
    state = without_prefix(state, current)
    if is_exit_net(state):
        raise UserError(
            f"pretrained: {origin} holds a trained network of fairexit; give it, or the run's "
            "folder, as model.start"
        )
    try:
        state = family.adapt(state, network)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"{origin} does not fit {name}: {short(reason(error), 200)}") from error
    # Files of PyTorch before 0.4.1 lack these counters.
    counters = {key for key in current if key.endswith(".num_batches_tracked")}
    state |= {key: current[key] for key in counters - state.keys()}
    classifier = family.classifier(network)
    layer = next(key for key, module in network.named_modules() if module is classifier)
    for key in (f"{layer}.weight", f"{layer}.bias"):
        if key in state and state[key].shape != current[key].shape:
            state[key] = current[key]
    check_fits(current, state, f"{origin} does not fit {name}")
    network.load_state_dict(state)


def resolve_normalisation(
    family: Family,
    name: str,
    setting: str | Mapping[str, Sequence[float]],
    pretrained: bool | str | Path,
) -> Normalisation | None:
    """The normalisation of a network's input; None if there is none.

    Args:
        family: family of the network.
        name: name of the network.
        setting: as for `create_model`.
        pretrained: as for `create_model`.
    Raises:
        UserError: the setting is not valid, or it is "auto" and the weights' own is not known.
    """
    if setting != "auto":
        return parse_normalisation(setting)
    if not pretrained:
        return None
    known = family.normalisations(name)
    if pretrained is True and known:
        return known[0]
    if len(set(known)) == 1:
        return known[0]
    which = "differ among the published weights" if known else "are not known"
    raise UserError(
        f"pretrained: the mean and standard deviation that weights of {name} expect {which}; set "
        f"model.normalisation to one of: {FORMS.removeprefix('auto, ')}"
    )


def _download(family: Family, name: str) -> dict[str, Tensor]:
    try:
        return family.weights(name)
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"the pretrained weights of {name} cannot be fetched ({type(error).__name__}); set "
            "pretrained to the path of a local safetensors file that holds the weights"
        ) from error


def check_fits(expected: dict[str, Tensor], state: dict[str, Tensor], problem: str) -> None:
    """Raise a UserError that starts with `problem` unless names and shapes are the same."""
    missing = sorted(expected.keys() - state.keys())
    unexpected = sorted(state.keys() - expected.keys())
    if missing:
        other = next((name for name in state if name.endswith(f".{missing[0]}")), None)
        prefix = f"; it calls it '{short(other)}', and only some names begin so" if other else ""
        others = (
            f", and has {len(unexpected)} others, of which the first is '{short(unexpected[0])}'"
            if unexpected and not other
            else ""
        )
        raise UserError(
            f"{problem}: it lacks {len(missing)} entries, of which the first is "
            f"'{missing[0]}'{prefix}{others}"
        )
    if unexpected:
        raise UserError(
            f"{problem}: it has {len(unexpected)} entries that the network lacks, of which the "
            f"first is '{short(unexpected[0])}'"
        )
    for key, tensor in expected.items():
        if tensor.shape != state[key].shape:
            raise UserError(
                f"{problem}: '{key}' has the shape {tuple(state[key].shape)}, not "
                f"{tuple(tensor.shape)}"
            )
