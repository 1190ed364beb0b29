"""Read a run's configuration: a YAML file or dictionaries, with `key=value` changes applied."""

import dataclasses
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from fairexit.config import DataConfig, ModelConfig, RunConfig
from fairexit.config_prune import PruneConfig
from fairexit.config_train import TrainConfig
from fairexit.errors import UserError, nearest, option, problem, short
from fairexit.files import read_yaml
from fairexit.plugins import load_plugins
from fairexit.yaml_text import parse_yaml

SECTIONS = {"data": DataConfig, "model": ModelConfig, "train": TrainConfig}


def load_config(
    path: Path,
    changes: Mapping[str, Any] | Sequence[str] = (),
    plugins: Sequence[str | Path] = (),
) -> RunConfig:
    """Read a configuration from a YAML file and apply changes.

    A relative `data.path` refers to the current folder. The files that `plugins` lists in the YAML
    file refer to the folder of that file.

    Args:
        path: the YAML file.
        changes: `{"train.epochs": 10}` or `["train.epochs=10"]`, applied in order.
        plugins: further plugin files, relative to the current folder.
    Raises:
        UserError: the file does not exist or is not valid YAML, a key is unknown, a value does not
            fit, or a plugin cannot be imported.
    """
    load_plugins(plugins)
    return build_config(_changed_tree(path, changes))


def resolve_config(
    config: str | Path | Mapping[str, Any] | RunConfig,
    changes: Mapping[str, Any] | Sequence[str] = (),
) -> RunConfig:
    """Make a configuration from a YAML file, nested dictionaries or a `RunConfig`, with changes.

    Args:
        config: the settings before the changes.
        changes: `{"train.epochs": 10}` or `["train.epochs=10"]`, applied in order.
    Raises:
        UserError: as for `load_config`.
    """
    return build_config(_changed_tree(config, changes))


def resolve_seeds(
    config: str | Path | Mapping[str, Any] | RunConfig,
    changes: Mapping[str, Any] | Sequence[str] = (),
    seeds: Sequence[int] | None = None,
) -> RunConfig | list[RunConfig]:
    """As `resolve_config`, but one configuration for each of several seeds.

    Args:
        config: the settings before the changes; its `seed` may be a list.
        changes: as for `resolve_config`.
        seeds: the seeds, in place of those of the configuration.
    Returns:
        A single configuration if neither `seeds` nor the setting `seed` is a list.
    Raises:
        UserError: as for `load_config`, or a seed occurs twice.
    """
    tree = _changed_tree(config, changes)
    listed = tree.get("seed") if seeds is None else list(seeds)
    if not isinstance(listed, list):
        return build_config(tree)
    configs = [build_config(tree | {"seed": seed}) for seed in listed]
    if not listed or len(set(listed)) < len(listed):
        shown = "seed" if seeds is None else option("seeds")
        raise UserError(f"{shown} is {short(listed)}; give different seeds, as [0, 1, 2]")
    return configs


def _changed_tree(
    config: str | Path | Mapping[str, Any] | RunConfig,
    changes: Mapping[str, Any] | Sequence[str],
) -> dict[str, Any]:
    """The settings as nested dictionaries, with changes; the plugins that they list are loaded."""
    if isinstance(config, str | Path):
        tree, folder = read_yaml(Path(config)), Path(config).parent
    else:
        plain = config.to_dict() if isinstance(config, RunConfig) else dict(config)
        tree, folder = deepcopy(plain), Path()
    load_listed_plugins(tree, folder)
    _change(tree, changes)
    return tree


def load_listed_plugins(tree: dict[str, Any], folder: Path) -> None:
    """Import the plugin files that settings list under `plugins`, and remove that key.

    The config.yaml that a run writes has checksums in place of the list. These stay, and nothing is
    imported.

    Args:
        tree: the settings, as nested dictionaries; changed in place.
        folder: the folder to which the files' paths are relative.
    Raises:
        UserError: `plugins` is not a list of files, or a file cannot be imported.
    """
    listed = tree.get("plugins")
    if isinstance(listed, dict):
        return
    files = tree.pop("plugins", None) or []
    if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
        raise UserError(
            f"plugins is {short(repr(listed))}; give a list of files, as [my_method.py]"
        )
    load_plugins(files, folder)


def parse_changes(changes: Sequence[str]) -> dict[str, Any]:
    """Parse changes like `dark_share=0.1` into a dictionary.

    Raises:
        UserError: a change is not KEY=VALUE, or its value is not valid YAML.
    """
    tree: dict[str, Any] = {}
    for change in changes:
        _apply(tree, change)
    return tree


def build_config(tree: dict[str, Any]) -> RunConfig:
    """Make a configuration from nested dictionaries.

    Raises:
        UserError: a key is unknown, or a value does not fit.
    """
    fields = {f.name: f for f in dataclasses.fields(RunConfig)}
    for key in tree:
        if key not in fields:
            raise UserError(f"unknown key '{short(key)}'; {nearest(str(key), fields)}")
    parts: dict[str, Any] = {}
    for key, kind in SECTIONS.items():
        parts[key] = build_section(key, kind, tree.get(key) or {})
    if tree.get("prune") is not None:
        parts["prune"] = build_prune(tree["prune"])
    method = tree.get("method") or {"name": "erm"}
    if not isinstance(method, dict) or not isinstance(method.get("name"), str):
        keys = f"; its keys are: {short(', '.join(method))}" if isinstance(method, dict) else ""
        raise UserError(f"method needs a name, as in method: {{name: erm}}{keys}")
    seed = tree.get("seed", 0)
    if type(seed) is not int or seed < 0:
        several = "; several seeds are for `fairexit train`" if isinstance(seed, list) else ""
        raise UserError(
            f"seed is {short(repr(seed))}; it must be a whole number of at least 0{several}"
        )
    plugins = tree.get("plugins") or {}
    if not isinstance(plugins, dict):
        raise UserError(
            f"plugins is {short(repr(plugins))}; here it holds checksums, as {{FILE.py: SHA-256}}"
        )
    plugins = {str(name): str(digest) for name, digest in plugins.items()}
    return RunConfig(method=dict(method), seed=seed, plugins=plugins, **parts)


def build_prune(values: dict[str, Any]) -> PruneConfig:
    """Make the settings of a pruning; keys that are left out have their defaults.

    Raises:
        UserError: a key is unknown, or a value does not fit.
    """
    return build_section("prune", PruneConfig, values)


def build_section(name: str, kind: type, values: Any) -> Any:
    """Make a dataclass from a section of a configuration.

    Args:
        name: the section's name, for messages; empty for settings that are options of a command.
        kind: the dataclass.
        values: the section's keys and values.
    Raises:
        UserError: `values` is not a dictionary, a key is unknown, or a value does not fit.
    """

    def shown(key: Any) -> str:
        return f"{name}.{short(key)}" if name else option(key)

    if not isinstance(values, dict):
        raise UserError(f"{name} must be a section with keys, as in {name}: {{...}}")
    known = {f.name: str(f.type) for f in dataclasses.fields(kind)}
    values = dict(values)
    for key, value in values.items():
        if key not in known:
            what = f"key '{shown(key)}'" if name else f"option {shown(key)}"
            raise UserError(f"unknown {what}; {nearest(str(key), known)}")
        if isinstance(value, bool) and "bool" not in known[key]:
            raise UserError(f"{shown(key)} is {str(value).lower()}; it cannot be true or false")
        if isinstance(value, str) and "," in value and "list[" in known[key]:
            raise UserError(
                f"{shown(key)} is '{short(value)}'; write a list in brackets, {short(f'[{value}]')}"
            )
        part = subsection(get_type_hints(kind)[key])
        if part is not None and value is not None:
            values[key] = build_section(shown(key), part, value)
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, UserError):
            raise type(cause)(cause.render(shown)) from None
        where = first["loc"][0] if first["loc"] else ""
        if first["type"] == "missing":
            raise UserError(f"{shown(where)} is missing") from None
        raise UserError(
            f"{shown(where)} is {short(repr(values.get(where)))}; {problem(first)}"
        ) from None


def subsection(hint: Any) -> type | None:
    """The dataclass of a setting that is a section itself, None for other settings."""
    kinds = (kind for kind in get_args(hint) if isinstance(kind, type))
    return next((kind for kind in kinds if dataclasses.is_dataclass(kind)), None)


def _change(tree: dict[str, Any], changes: Mapping[str, Any] | Sequence[str]) -> None:
    """Apply changes to nested dictionaries, in place."""
    if isinstance(changes, Mapping):
        for key, value in changes.items():
            _set(tree, str(key), value, f"change '{short(key)}'")
    else:
        for change in changes:
            _apply(tree, change)


def _apply(tree: dict[str, Any], change: str) -> None:
    """Apply one `key=value` to nested dictionaries, in place."""
    key, equals, text = change.partition("=")
    shown = f"{option('changes')} {short(change)}"
    if not equals or not key:
        raise UserError(f"{shown}: write it as KEY=VALUE, for example train.epochs=10")
    try:
        value = parse_yaml(text)
    except UserError as error:
        raise error.at(shown) from None
    _set(tree, key, value, shown)


def _set(tree: dict[str, Any], key: str, value: Any, shown: str) -> None:
    """Set a key like `a.b` in nested dictionaries; messages show the change as `shown`."""
    *path, last = key.split(".")
    for step in path:
        if tree.get(step) is None:
            tree[step] = {}
        tree = tree[step]
        if not isinstance(tree, dict):
            raise UserError(f"{shown}: '{short(step)}' is not a section, so it has no keys")
    tree[last] = value
