"""Multi-exit networks, built by name."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

from fairexit.errors import UserError, nearest, short
from fairexit.models.backbone import Backbone, Family, backbones
from fairexit.models.exitnet import ExitNet
from fairexit.models.heads import Head, heads
from fairexit.models.normalisation import Normalise
from fairexit.models.pretrained import load_pretrained, resolve_normalisation
from fairexit.registry import UnknownNameError

__all__ = [
    "Backbone",
    "ExitNet",
    "Head",
    "backbone_family",
    "backbones",
    "create_model",
    "heads",
    "list_models",
]


def create_model(
    name: str,
    num_classes: int,
    *,
    exits: str | Sequence[int] = "all",
    head: str = "conv",
    stem: str = "standard",
    pretrained: bool | str | Path = False,
    normalisation: str | Mapping[str, Sequence[float]] = "auto",
    image_size: int | None = None,
    mixture: int | None = None,
) -> ExitNet:
    """Build a network by name, cut into four stages, with classifiers after some of them.

    >>> create_model("resnet18", 8, exits=[2, 4]).exit_names
    ['2', '4', 'f']

    Args:
        name: one of `list_models()`.
        num_classes: number of classes C.
        exits: "all", "none" (the plain network), or stage numbers from 1 in rising order.
        head: layout of the internal classifiers, one of `heads.names()`.
        stem: "standard", or "small" for small images (ResNets only).
        pretrained: True for the library's weights, or the path of a file with the library's state
            dict: safetensors, or a checkpoint of PyTorch, read with `weights_only`. A classifier
            with another number of classes is not loaded.
        normalisation: what the network's first layer does to images with values from 0 to 1:
            "auto" (as the pretrained weights expect; without them nothing), "imagenet", "half"
            (mean and standard deviation 0.5), "none", or `{"mean": [...], "std": [...]}`.
        image_size: height and width in pixels; required by networks that are built for a single
            size, and checked for all others.
        mixture: number of classifiers at each exit, whose mean probability is the prediction; by
            default each exit has one linear classifier.
    Returns:
        The network, in training mode.
    Raises:
        UserError: an unknown name or option, too small images, or weights that cannot be loaded.
    """
    if num_classes < 2:
        raise UserError(f"num_classes is {num_classes}; a classifier needs at least 2 classes")
    if image_size is not None and image_size < 1:
        raise UserError(f"image_size is {image_size}; it must be a number of pixels of at least 1")
    heads.check(head, {})  # a misspelt head is an error even without exits
    family = backbone_family(name)
    if stem not in family.stems:
        raise UserError(f"{name} has no stem '{short(stem)}'; {nearest(stem, family.stems)}")
    network = family.network(name, num_classes, stem=stem, image_size=image_size)
    values = resolve_normalisation(family, name, normalisation, pretrained)
    if pretrained:
        load_pretrained(family, name, network, pretrained)
    backbone = family.cut(network, image_size=image_size)
    if values is not None:
        backbone.normalise = Normalise(values)
    numbers = _stage_numbers(exits, len(backbone.stages))
    branches = {n: heads.create(head, backbone.widths[n - 1], num_classes) for n in numbers}
    config = {
        "name": name,
        "num_classes": num_classes,
        "exits": exits if isinstance(exits, str) else numbers,
        "head": head,
        "stem": stem,
        "pretrained": False,
        "normalisation": "none" if values is None else values.to_dict(),
        "image_size": image_size,
    }
    net = ExitNet(backbone, branches, num_classes, config)
    if mixture is not None:
        net.mix(mixture)
    if image_size is not None:
        net.exit_costs(image_size)  # a dry run: images that do not fit are reported now
    return net


def list_models(pattern: str = "*") -> list[str]:
    """Names that `create_model` takes: torchvision's, then timm's as "timm/<name>".

    >>> list_models("resnet*")
    ['resnet18', 'resnet34', 'resnet50']

    Args:
        pattern: shell-style pattern, such as "timm/convnext*".
    """
    families = [backbones.create(key) for key in backbones.names()]
    families.sort(key=lambda family: family.prefix)
    return [n for family in families for n in family.names() if fnmatchcase(n, pattern)]


def backbone_family(name: str) -> Family:
    """The family of networks that a name belongs to.

    Raises:
        UserError: the name belongs to no family, or to two.
    """
    families = {}
    for key in backbones.names():
        family = backbones.create(key)
        # timm is imported only for names with its prefix
        if name.startswith(family.prefix) and name in family.names():
            families[key] = family
    if len(families) > 1:
        origins = " and ".join(f"'{key}' ({backbones.origin(key)})" for key in families)
        raise UserError(f"backbone '{name}' belongs to two families, {origins}; rename one")
    if families:
        return families.popitem()[1]
    known = list_models()
    close = get_close_matches(name, known, n=1)
    hint = nearest(name, close) if close else "fairexit.list_models() returns all of them"
    raise UnknownNameError(f"there is no backbone '{short(name)}'; {hint}")


def _stage_numbers(exits: str | Sequence[int], count: int) -> list[int]:
    """Numbers of the stages that get an exit, from 1, in rising order."""
    if exits == "all":
        return list(range(1, count + 1))
    if exits == "none":
        return []
    allowed = set(range(1, count + 1))
    if (
        not isinstance(exits, list | tuple)
        or not all(type(number) is int and number in allowed for number in exits)
        or len(set(exits)) < len(exits)
    ):
        raise UserError(
            f"exits is {short(repr(exits))}; it must be 'all', 'none' or a list of different "
            f"stages from 1 to {count}"
        )
    if list(exits) != sorted(exits):
        # Weights and thresholds of the exits are lists in the order of the network.
        raise UserError(
            f"exits is {short(repr(exits))}; list the stages in rising order, {sorted(exits)}, and "
            "every other list of the exits in the same order"
        )
    return list(exits)
