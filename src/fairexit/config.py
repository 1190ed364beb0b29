"""A run's configuration: its sections as frozen dataclasses, their defaults and allowed values."""

import dataclasses
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic.dataclasses import dataclass as checked

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


@checked(frozen=True, config=STRICT)
class PruneConfig:
    """How a trained network is pruned; see docs/pruning.md.

    Attributes:
        method: how weights are ranked: FairPrune, or the plain controls.
        ratio: share of the prunable parameters that are zero at the end; several are a sweep.
        beta: weight of the privileged group's curvature; several are a sweep.
        steps: number of equal steps in which the ratio is reached.
        one_shot: compute the curvature only once, for the unpruned network; a sweep always does so.
        group: the sensitive attribute; by default the run's own.
        privileged: the privileged group; auto: every group that is not the unprivileged one.
        unprivileged: the unprivileged group; auto: every group that is not the privileged one, or,
            if neither is named, the group with the lowest macro F1 on validation.
        curvature: estimate the Gauss-Newton diagonal by random projections (mc), or compute it.
        draws: random projections per image, for the curvature mc.
        images: largest number of training images of each group that are used.
        sampling: how these images are drawn: with natural class frequencies, or balanced over
            classes.
        layers: prune only this layer, or only the layers inside this module; can be repeated.
        parameters: prune the weights of convolutions and linear layers, or biases and normalisation
            too.
        tolerance: largest loss of macro F1 on validation that is allowed.
        patience: end the walk after this many steps in a row without a lower Eodd on validation, or
            when F1 has fallen by more than the tolerance; null walks all steps.
        stop: let validation end the pruning and choose a step, or prune to the full ratio and keep
            it.
        finetune: epochs of further training, on one device; the zeros stay zero.
        finetune_lr: highest learning rate of the further training; by default a tenth of train.lr.
        chunk: images per batch for the curvature; this changes only memory and speed.
        device: where to compute: auto, cpu, cuda, cuda:1 and so on.
        devices: processes among which the curvature's images are divided; each GPU has one process.
    """

    method: Literal["fairprune", "magnitude", "random"] = "fairprune"
    ratio: float | list[float] = 0.35
    beta: float | list[float] = 0.33
    steps: int = 5
    one_shot: bool = False
    group: str | None = None
    privileged: str = "auto"
    unprivileged: str = "auto"
    curvature: Literal["mc", "exact"] = "mc"
    draws: int = 1
    images: int = 512
    sampling: Literal["natural", "balanced"] = "natural"
    layers: list[str] | None = None
    parameters: Literal["weights", "all"] = "weights"
    tolerance: float = 0.02
    patience: int | None = None
    stop: bool = True
    finetune: int = 0
    finetune_lr: float | None = None
    chunk: int = 16
    device: str = "auto"
    devices: int = 1

    @property
    def ratios(self) -> list[float]:
        """All ratios, in rising order."""
        return sorted(self.ratio) if isinstance(self.ratio, list) else [self.ratio]

    @property
    def betas(self) -> list[float]:
        """All betas, in rising order."""
        return sorted(self.beta) if isinstance(self.beta, list) else [self.beta]

    @property
    def sweeps(self) -> bool:
        """Whether several ratios or betas are tried."""
        return len(self.ratios) * len(self.betas) > 1

    def __post_init__(self) -> None:
        for name, values, end in (("ratio", self.ratios, 1.0), ("beta", self.betas, float("inf"))):
            if not values:
                raise UserError(f"prune.{name} is empty; give at least one number")
            for value in values:
                if not 0 <= value < end:
                    allowed = "from 0 to below 1" if end == 1 else "0 or more, and finite"
                    raise UserError(f"prune.{name} is {value}; it must be {allowed}")
        for name in ("steps", "draws", "images", "patience", "chunk", "devices"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"prune.{name} is {value}; it must be positive")
        if self.steps > 255:
            raise UserError(f"prune.steps is {self.steps}; it must be at most 255")
        for name in ("tolerance", "finetune"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UserError(f"prune.{name} is {getattr(self, name)}; it cannot be negative")
        if self.finetune_lr is not None and not 0 < self.finetune_lr < float("inf"):
            raise UserError(f"prune.finetune_lr is {self.finetune_lr}; it must be positive")
        if self.sweeps and not self.stop:
            raise UserError(
                "prune.stop is false, but validation must choose among several ratios or betas; "
                "set it to true or give one ratio and one beta"
            )


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
