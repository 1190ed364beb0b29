"""A network that starts from trained weights: those of a run, or a state dict in a file."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fairexit.config import ModelConfig
from fairexit.data.prepared import Prepared
from fairexit.errors import UserError, short
from fairexit.models import ExitNet, create_model
from fairexit.models.normalisation import Normalisation, parse_normalisation
from fairexit.models.pretrained import check_fits
from fairexit.models.weight_files import is_exit_net, read_weights, without_prefix
from fairexit.runs import Run, open_run
from fairexit.types import Task

SETTING = "model.start"
CLASSIFIER = "backbone.head.classifier"


class Start(NamedTuple):
    """Trained weights under the names of an `ExitNet`.

    Attributes:
        origin: where they are from, for messages.
        state: name -> tensor.
        normalisation: of the network's input; None if there is none.
        classes: the classes in order; None if they are not known.
    """

    origin: str
    state: dict[str, Tensor]
    normalisation: Normalisation | None
    classes: tuple[str, ...] | None


class Started(NamedTuple):
    """A network with the weights that it starts from.

    Attributes:
        net: the network.
        loaded: names of the exits whose classifiers are loaded.
        note: what was loaded and what starts fresh, for the user; empty without a start.
    """

    net: ExitNet
    loaded: tuple[str, ...] = ()
    note: str = ""


def start_network(model: ModelConfig, task: Task, image_size: int) -> Started:
    """Build the network of a run, with the weights that it starts from.

    From `model.start` the trunk is loaded. An exit is loaded if the start has the same exit for the
    same classes; otherwise it starts fresh.

    Args:
        model: the settings of the network.
        task: the classes and groups.
        image_size: side of the images in pixels.
    Raises:
        UserError: the settings are not valid, or the weights cannot be read or do not fit.
    """
    if model.start is None:
        return Started(_create(model, task, image_size))
    if not model.start.exists():
        raise UserError(f"{SETTING}: there is no file or folder {model.start}")
    if model.start.is_dir():
        start = _of_run(open_run(model.start), model)
    else:
        state = read_weights(model.start, SETTING)
        ours = without_prefix(state, ("backbone.", "heads."))
        if not is_exit_net(ours):
            return _of_library(state, model, task, image_size)
        start = Start(str(model.start), ours, _stored_normalisation(ours), None)
    if model.normalisation != "auto":
        given = parse_normalisation(model.normalisation)
        if given != start.normalisation:
            raise UserError(
                f"model.normalisation is {_text(given)}, but the network in {start.origin} was "
                f"trained with {_text(start.normalisation)}; leave the setting out"
            )
    net = _create(model, task, image_size, normalisation=start.normalisation)
    return _load(net, start, task.classes)


def other_division(start: Path, data: Prepared, fold: int | None) -> str | None:
    """A warning if a run was trained on the same dataset, but divided in another way.

    Args:
        start: the run's folder, or a file of which this is not known.
        data: the data that are trained on now.
        fold: the test fold.
    """
    if not start.is_dir():
        return None
    info = open_run(start).description
    settings = info["run"].get("data", {})
    same = (info["data"]["checksums"], settings.get("fold")) == (data.info["checksums"], fold)
    if same or info["data"]["name"] != data.name:
        return None
    return (
        f"warning: {start} was trained on {data.name} with another division into splits, so its "
        "training may have included images of this run's validation and test splits"
    )


def _create(
    model: ModelConfig,
    task: Task,
    image_size: int,
    *,
    pretrained: bool | Path | None = None,
    normalisation: Any = "auto",
) -> ExitNet:
    return create_model(
        model.backbone,
        task.num_classes,
        exits=model.exits,
        head=model.head,
        stem=model.stem,
        pretrained=model.pretrained if pretrained is None else pretrained,
        normalisation=model.normalisation if normalisation == "auto" else normalisation or "none",
        image_size=image_size,
    )


def _of_run(run: Run, model: ModelConfig) -> Start:
    """The weights of a finished run's best epoch."""
    network = run.description["model"]
    for key, setting in (("name", "backbone"), ("stem", "stem")):
        if network.get(key) != getattr(model, setting):
            raise UserError(
                f"{SETTING}: {run.path} has the {setting} {short(network.get(key))}, but "
                f"model.{setting} is {getattr(model, setting)}; start from a run with the same one"
            )
    normalisation = parse_normalisation(network.get("normalisation", "none"))
    classes = tuple(run.description["label2id"])
    return Start(str(run.path), read_weights(run.weights, SETTING), normalisation, classes)


def _of_library(
    state: dict[str, Tensor], model: ModelConfig, task: Task, image_size: int
) -> Started:
    """A network from a state dict under the names of the library, such as torchvision."""
    if model.normalisation == "auto":
        raise UserError(
            f"{SETTING}: {model.start} does not say how the input of its network was normalised; "
            "set model.normalisation to none for values from 0 to 1, to imagenet, to half, or to "
            "{mean: [R, G, B], std: [R, G, B]}"
        )
    net = _create(model, task, image_size, pretrained=model.start)
    weight = net.backbone.head.classifier.weight
    assert isinstance(weight, Tensor)
    is_loaded = any(t.shape == weight.shape and torch.equal(t, weight) for t in state.values())
    return _report(net, str(model.start), {"f"} if is_loaded else set())


def _stored_normalisation(state: dict[str, Tensor]) -> Normalisation | None:
    """The normalisation that a network's state dict holds."""
    names = [f"backbone.normalise.{part}" for part in Normalisation._fields]
    if not all(name in state for name in names):
        return None
    # float32 has seven digits; more would be those of its rounding.
    values = [[float(f"{v:.7g}") for v in state[name].flatten().tolist()] for name in names]
    return parse_normalisation(dict(zip(Normalisation._fields, values, strict=True)))


def _load(net: ExitNet, start: Start, classes: tuple[str, ...]) -> Started:
    """Load the trunk, and the exits that are the same."""
    own, state = net.state_dict(), _trunk(start.state)
    check_fits(_trunk(own), state, f"{SETTING}: {start.origin} does not fit {net.config['name']}")
    exits = {name: CLASSIFIER if name == "f" else f"heads.{name}" for name in net.exit_names}
    loaded = set()
    for name, prefix in exits.items():
        expected = {k: t.shape for k, t in own.items() if k.startswith(f"{prefix}.")}
        given = {k: t for k, t in start.state.items() if k.startswith(f"{prefix}.")}
        fits = expected == {k: t.shape for k, t in given.items()}
        if fits and start.classes in (None, classes):
            loaded.add(name)
            state |= given
    net.load_state_dict(own | state)
    return _report(net, start.origin, loaded)


def _trunk(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The part of a state dict that is not an exit's; what the final classifier reads is trunk."""
    return {
        key: tensor
        for key, tensor in state.items()
        if key.startswith("backbone.") and not key.startswith(f"{CLASSIFIER}.")
    }


def _report(net: ExitNet, origin: str, loaded: set[str]) -> Started:
    """Say which exits are loaded."""
    fresh = [name for name in net.exit_names if name not in loaded]
    kept = [name for name in net.exit_names if name in loaded]
    parts = [f"{SETTING}: the trunk is loaded from {origin}"]
    if kept:
        parts.append(f"these exits are loaded: {', '.join(kept)}")
    if fresh:
        parts.append(f"these exits start fresh: {', '.join(fresh)}")
    return Started(net, tuple(kept), "; ".join(parts))


def _text(values: Normalisation | None) -> str:
    return "none" if values is None else str(values.to_dict())
