"""Checks of the parts of a study's YAML file."""

import re
from collections.abc import Mapping
from typing import Any

from fairexit.config import RunConfig
from fairexit.errors import UserError, nearest, short

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]*")


def check_keys(tree: Mapping[str, Any], known: tuple[str, ...], source: str) -> None:
    """Raise a UserError for the first unknown key; `source` names the file."""
    for key in tree:
        if key not in known:
            raise UserError(f"{source}: unknown key '{short(key)}'; {nearest(str(key), known)}")


def check_name(kind: str, name: str) -> None:
    """Raise a UserError unless a name can be part of a folder's name.

    Args:
        kind: what is named, "dataset" or "row".
        name: the name.
    """
    if not NAME.fullmatch(name):
        raise UserError(
            f"{kind} '{short(name)}': a name must begin with a letter or digit and have only "
            "letters, digits and . _ + = -"
        )


def check_precision(config: RunConfig) -> None:
    """Raise a UserError if each run would measure its own precision."""
    if config.train.precision == "auto":
        raise UserError(
            "train.precision is auto, which each run would measure anew, but runs that are "
            "compared must compute alike; set it to 32-true or bf16-mixed"
        )


def mapping(value: Any, key: str) -> dict[str, Any]:
    """A section of named sections; an empty one becomes `{}`.

    Raises:
        UserError: `value` or one of its entries is not a section.
    """
    if not isinstance(value, dict):
        raise UserError(f"{key} must be a section with names, as in {key}: {{...}}")
    for name, section in value.items():
        if not isinstance(section or {}, dict):
            raise UserError(
                f"{key}.{short(name)} must be a section of settings, as in {short(name)}: {{...}}"
            )
    return {str(name): section or {} for name, section in value.items()}


def distinct_integers(tree: Mapping[str, Any], key: str, default: list[Any]) -> list[Any]:
    """The list under a key, such as `seeds`, or the default where the key is absent.

    Raises:
        UserError: it is not a list of different whole numbers, or is empty.
    """
    if key not in tree:
        return default
    values = tree[key]
    is_list = isinstance(values, list) and all(type(value) is int for value in values)
    if not is_list or not values or len(set(values)) < len(values):
        raise UserError(
            f"{key} is {short(values)}; it must be a list of different whole numbers, as in "
            "[0, 1, 2]"
        )
    return values
