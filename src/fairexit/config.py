"""A run's configuration: YAML in, `key=value` changes on top, frozen dataclasses out."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from fairexit.errors import UserError, nearest

STRICT = ConfigDict(extra="forbid")


@checked(frozen=True, config=STRICT)
class DataConfig:
    """Which data, and between which groups to be fair.

    Attributes:
        path: folder of a prepared dataset.
        group: the sensitive attribute; by default the dataset's main one.
        fold: the test fold, for data in folds.
        augment: `none`, `flips`, `affine`, `paper` or `released`; see `fairexit.data.augment`.
        sampling: `natural`; `balanced` over classes, with replacement; `sqrt`, balanced by the
            square root of the class counts; `group-balanced` over class x group.
    """

    path: Path
    group: str | None = None
    fold: int | None = None
    augment: Literal["none", "flips", "affine", "paper", "released"] = "paper"
    sampling: Literal["natural", "balanced", "sqrt", "group-balanced"] = "natural"


@checked(frozen=True, config=STRICT)
class ModelConfig:
    """The network; see `fairexit.create_model`."""

    backbone: str = "resnet18"
    exits: Literal["all", "none"] | list[int] = "all"
    head: str = "conv"
    stem: str = "standard"
    pretrained: bool | Path = False


@checked(frozen=True, config=STRICT)
class TrainConfig:
    """How it is trained.

    Attributes:
        epochs: passes over as many images as the training split has.
        batch_size: images a step, over all devices. An epoch is cut into equal batches of at most
            this size, so that no small one is left over.
        lr: learning rate at its highest.
        momentum: of SGD, Nesterov's form; 0 for plain SGD.
        weight_decay: of SGD.
        schedule: `step` (x 0.1 after each epoch of `milestones`), `cosine` to zero, `constant`.
        milestones: epochs after which `step` lowers the rate.
        warmup: epochs over which the rate rises linearly from zero.
        clip: largest norm of the gradient, or none.
        exit_weights: the weight of each exit's loss: `paper` (0.3, 0.45, 0.6, 0.75 after the
            stages, 0.9 for the final exit), `equal`, or a list. A plain network has weight 1.
        precision: `32-true`, `bf16-mixed` or `16-mixed`.
        select: the validation criterion of the best epoch, at the final exit.
        device: `auto`, `cpu`, `cuda` ...
        devices: how many.
    """

    epochs: int = 200
    batch_size: int = 256
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 1e-5
    schedule: Literal["step", "cosine", "constant"] = "step"
    milestones: list[int] = field(default_factory=lambda: [100])
    warmup: float = 0.0
    clip: float | None = None
    exit_weights: Literal["paper", "equal"] | list[float] = "paper"
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    select: Literal["f1", "accuracy", "balanced_accuracy", "eodd", "eopp1", "loss"] = "f1"
    device: str = "auto"
    devices: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "lr", "devices"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UserError(f"train.{name} is {getattr(self, name)}; it must be positive")
        for name in ("momentum", "weight_decay", "warmup"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UserError(f"train.{name} is {getattr(self, name)}; it cannot be negative")
        if self.clip is not None and not self.clip > 0:
            raise UserError(f"train.clip is {self.clip}; it must be positive, or null for none")


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run.

    Attributes:
        method: `name` and the method's own options.
        seed: of weights, sampling and augmentation.
    """

    data: DataConfig
    model: ModelConfig = field(default_factory=ModelConfig)
    method: dict[str, Any] = field(default_factory=lambda: {"name": "erm"})
    train: TrainConfig = field(default_factory=TrainConfig)
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, everything spelled out."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self), default=str))
        return plain

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.to_dict(), sort_keys=False)


SECTIONS = {"data": DataConfig, "model": ModelConfig, "train": TrainConfig}


def load_config(path: Path, changes: list[str] | None = None) -> RunConfig:
    """Read a YAML file and apply changes like `train.epochs=10`.

    A relative `data.path` is meant from the current folder.

    Raises:
        UserError: no such file, bad YAML, an unknown key or a value that does not fit.
    """
    if not path.is_file():
        raise UserError(f"no file {path}")
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8-sig")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path} must hold keys like data: and train:")
    for change in changes or []:
        _apply(tree, change)
    return build_config(tree)


def parse_changes(changes: list[str]) -> dict[str, Any]:
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
            raise UserError(f"unknown key '{key}'; {nearest(str(key), fields)}")
    parts: dict[str, Any] = {}
    for key, kind in SECTIONS.items():
        parts[key] = _section(key, kind, tree.get(key) or {})
    method = tree.get("method") or {"name": "erm"}
    if not isinstance(method, dict) or not isinstance(method.get("name"), str):
        raise UserError("method needs a name, as in method: {name: erm}")
    seed = tree.get("seed", 0)
    if type(seed) is not int or seed < 0:
        raise UserError(f"seed is {seed!r}; it must be a whole number, not negative")
    return RunConfig(method=dict(method), seed=seed, **parts)


def _section(name: str, kind: type, values: Any) -> Any:
    if not isinstance(values, dict):
        raise UserError(f"{name} must hold keys, as in {name}: {{...}}")
    known = {f.name: str(f.type) for f in dataclasses.fields(kind)}
    for key, value in values.items():
        if key not in known:
            raise UserError(f"unknown key '{name}.{key}'; {nearest(str(key), known)}")
        if isinstance(value, bool) and "bool" not in known[key]:
            raise UserError(f"{name}.{key} is {value}; true and false mean nothing there")
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        if "error" in first.get("ctx", {}):
            raise UserError(str(first["ctx"]["error"])) from None
        where = first["loc"][0] if first["loc"] else ""
        if first["type"] == "missing":
            raise UserError(f"{name}.{where} is missing") from None
        raise UserError(
            f"{name}.{where} is {values.get(where)!r}: {first['msg'].lower()}"
        ) from None


def _apply(tree: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    if not equals or not key:
        raise UserError(f"--set {change}: write it as key=value, for example train.epochs=10")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise UserError(f"--set {change}: the value is not YAML") from None
    *path, last = key.split(".")
    for step in path:
        tree = tree.setdefault(step, {})
        if not isinstance(tree, dict):
            raise UserError(f"--set {change}: '{step}' holds no keys")
    tree[last] = value
