"""A run's configuration: YAML in, `key=value` changes on top, frozen dataclasses out."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from fairexit.errors import UserError, nearest, option, short
from fairexit.files import read_yaml
from fairexit.plugins import load_plugins
from fairexit.settings import DataConfig, ModelConfig, PruneConfig, TrainConfig

__all__ = [
    "DataConfig",
    "ModelConfig",
    "PruneConfig",
    "RunConfig",
    "TrainConfig",
    "build_config",
    "build_prune",
    "build_section",
    "load_config",
    "load_listed_plugins",
    "parse_changes",
    "resolve_config",
]


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run.

    Attributes:
        method: `name` and the method's own options.
        prune: what is done after training, or nothing.
        seed: of weights, sampling, augmentation and pruning.
        plugins: file name -> SHA-256 of the plugin files that the method, head and backbone come
            from; training fills it in.
    """

    data: DataConfig
    model: ModelConfig = field(default_factory=ModelConfig)
    method: dict[str, Any] = field(default_factory=lambda: {"name": "erm"})
    train: TrainConfig = field(default_factory=TrainConfig)
    prune: PruneConfig | None = None
    seed: int = 0
    plugins: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, everything spelled out."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self), default=str))
        return plain

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.to_dict(), sort_keys=False)


SECTIONS = {"data": DataConfig, "model": ModelConfig, "train": TrainConfig}


def load_config(
    path: Path,
    changes: Mapping[str, Any] | Sequence[str] = (),
    plugins: Sequence[str | Path] = (),
) -> RunConfig:
    """Read a YAML file and apply changes like `train.epochs=10`.

    A relative `data.path` refers to the current folder, the files that `plugins` lists in the YAML
    file to the folder of that file.

    Args:
        path: the YAML file.
        changes: what to change, as `key=value`.
        plugins: further plugin files, relative to the current folder.
    Raises:
        UserError: no such file, bad YAML, an unknown key, a value that does not fit, or a plugin
            that cannot be imported.
    """
    load_plugins(plugins)
    tree = read_yaml(path)
    load_listed_plugins(tree, path.parent)
    return _changed(tree, changes)


def resolve_config(
    config: str | Path | Mapping[str, Any] | RunConfig,
    changes: Mapping[str, Any] | Sequence[str] = (),
) -> RunConfig:
    """A configuration from a YAML file, nested dictionaries or a `RunConfig`, with changes.

    Args:
        config: what is changed.
        changes: `{"train.epochs": 10}` or `["train.epochs=10"]`, applied in order.
    Raises:
        UserError: as for `load_config`.
    """
    if isinstance(config, str | Path):
        return load_config(Path(config), changes)
    tree = config.to_dict() if isinstance(config, RunConfig) else deepcopy(dict(config))
    load_listed_plugins(tree, Path())
    return _changed(tree, changes)


def load_listed_plugins(tree: dict[str, Any], folder: Path) -> None:
    """Import the plugin files that settings list, and take the list out of them.

    A run's own config.yaml has checksums in place of the list. They stay, and nothing is imported.

    Args:
        tree: the settings, as a YAML file has them.
        folder: what the files are relative to.
    Raises:
        UserError: `plugins` is no list of files, or one of them cannot be imported.
    """
    listed = tree.get("plugins")
    if isinstance(listed, dict):
        return
    files = tree.pop("plugins", None) or []
    if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
        raise UserError(f"plugins is {listed!r}; give a list of files, as [my_method.py]")
    load_plugins(files, folder)


def parse_changes(changes: Sequence[str]) -> dict[str, Any]:
    """Changes like `dark_share=0.1` as a dictionary."""
    tree: dict[str, Any] = {}
    for change in changes:
        _apply(tree, change)
    return tree


def build_config(tree: dict[str, Any]) -> RunConfig:
    """A configuration from nested dictionaries.

    Raises:
        UserError: an unknown key or a value that does not fit.
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
        keys = f"; its keys are: {short(', '.join(map(str, method)))}" * isinstance(method, dict)
        raise UserError(f"method needs a name, as in method: {{name: erm}}{keys}")
    seed = tree.get("seed", 0)
    if type(seed) is not int or seed < 0:
        raise UserError(f"seed is {short(repr(seed))}; it must be a whole number of at least 0")
    plugins = tree.get("plugins") or {}
    if not isinstance(plugins, dict):
        raise UserError(
            f"plugins is {short(repr(plugins))}; here it holds checksums, as {{FILE.py: SHA-256}}"
        )
    plugins = {str(name): str(digest) for name, digest in plugins.items()}
    return RunConfig(method=dict(method), seed=seed, plugins=plugins, **parts)


def build_prune(values: dict[str, Any]) -> PruneConfig:
    """The settings of a pruning; what is left out has its default.

    Raises:
        UserError: an unknown key or a value that does not fit.
    """
    found: PruneConfig = build_section("prune", PruneConfig, values)
    return found


def build_section(name: str, kind: type, values: Any) -> Any:
    """A dataclass from a section of a file.

    Args:
        name: of the section, for messages.
        kind: the dataclass.
        values: what the section holds.
    Raises:
        UserError: it holds no keys, an unknown one, or a value that does not fit.
    """
    if not isinstance(values, dict):
        raise UserError(f"{name} must be a section with keys, as in {name}: {{...}}")
    known = {f.name: str(f.type) for f in dataclasses.fields(kind)}
    for key, value in values.items():
        if key not in known:
            raise UserError(f"unknown key '{name}.{short(key)}'; {nearest(str(key), known)}")
        if isinstance(value, bool) and "bool" not in known[key]:
            raise UserError(f"{name}.{key} is {str(value).lower()}; it cannot be true or false")
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, UserError):
            raise type(cause)(cause.render(f"{name}.{{}}".format)) from None
        where = first["loc"][0] if first["loc"] else ""
        if first["type"] == "missing":
            raise UserError(f"{name}.{where} is missing") from None
        raise UserError(
            f"{name}.{where} is {short(repr(values.get(where)))}: {first['msg'].lower()}"
        ) from None


def _changed(tree: dict[str, Any], changes: Mapping[str, Any] | Sequence[str]) -> RunConfig:
    if isinstance(changes, Mapping):
        for key, value in changes.items():
            _set(tree, key, value, f"change '{key}'")
    else:
        for change in changes:
            _apply(tree, change)
    return build_config(tree)


def _apply(tree: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    shown = f"{option('changes')} {short(change)}"
    if not equals or not key:
        raise UserError(f"{shown}: write it as KEY=VALUE, for example train.epochs=10")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise UserError(f"{shown}: the value is not valid YAML") from None
    _set(tree, key, value, shown)


def _set(tree: dict[str, Any], key: str, value: Any, what: str) -> None:
    """Set `a.b` in nested dictionaries; `what` names the change in messages."""
    *path, last = key.split(".")
    for step in path:
        tree = tree.setdefault(step, {})
        if not isinstance(tree, dict):
            raise UserError(f"{what}: '{short(step)}' is not a section, so it has no keys")
    tree[last] = value
