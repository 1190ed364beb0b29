"""A run's configuration: its sections as frozen dataclasses, their defaults and allowed values."""

import dataclasses
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic.dataclasses import dataclass as checked

from fairexit.config_prune import PruneConfig
from fairexit.config_train import STRICT, TrainConfig
from fairexit.errors import UserError


@checked(frozen=True, config=STRICT)
class DataConfig:
    """The data, and the groups between which the model should be fair.

    Attributes:
        path: folder of a prepared dataset.
        group: the sensitive attribute; by default the dataset's main one.
        fold: number of the test fold, for data that were prepared in folds.
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
    """The network; its fields but `start` are arguments of `fairexit.create_model`.

    Attributes:
        backbone: name of the network, one of `fairexit list backbones`.
        exits: `all`, `none` for the plain network, or the numbers of the stages that get an exit,
            from 1.
        head: layout of the classifiers at the internal exits.
        stem: `standard`, or `small` for small images (ResNets only).
        pretrained: true for the library's weights, or the path of a file with them.
        normalisation: what the network's first layer does to images with values from 0 to 1:
            `auto` (as the pretrained weights expect; without them nothing), `imagenet`, `half`
            (mean and standard deviation 0.5), `none`, or {mean: [R, G, B], std: [R, G, B]}.
        start: trained weights to start from: the folder of a run with the same backbone, or a file
            with a state dict. The trunk is loaded; an exit that the start has for the same classes
            is loaded too, and the others start fresh.
    """

    backbone: str = "resnet18"
    exits: Literal["all", "none"] | list[int] = "all"
    head: str = "conv"
    stem: str = "standard"
    pretrained: bool | Path = False
    normalisation: Literal["auto", "imagenet", "half", "none"] | dict[str, list[float]] = "auto"
    start: Path | None = None

    def __post_init__(self) -> None:
        if self.start is not None and self.pretrained:
            raise UserError(
                "model.start and model.pretrained are both given; the start has weights for the "
                "whole network, so leave out model.pretrained"
            )

    @property
    def untrained(self) -> "ModelConfig":
        """The same network with random weights."""
        return replace(self, pretrained=False, start=None)


@dataclass(frozen=True)
class RunConfig:
    """All settings of a run.

    Attributes:
        data: the dataset and the sensitive attribute.
        model: the network.
        method: `name`, and the options of that method.
        train: how the network is trained.
        prune: how the network is pruned after training; None does not prune.
        seed: seed of the weights, sampling, augmentation and pruning; `fairexit train` also takes a
            list, with one run for each.
        plugins: Python files with a method, head, backbone or metric of your own, relative to the
            folder of the configuration. In the config.yaml of a run: file name -> SHA-256 of those
            that define its method, head and backbone.
    """

    data: DataConfig
    model: ModelConfig = field(default_factory=ModelConfig)
    method: dict[str, Any] = field(default_factory=lambda: {"name": "erm"})
    train: TrainConfig = field(default_factory=TrainConfig)
    prune: PruneConfig | None = None
    seed: int = 0
    plugins: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """All settings, with their defaults, as nested dictionaries that JSON can hold."""
        return json.loads(json.dumps(dataclasses.asdict(self), default=str))

    def to_yaml(self) -> str:
        """All settings as YAML, in the form that a configuration file has."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False)
