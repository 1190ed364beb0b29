"""The sections of a run's configuration, with their defaults and what they allow."""

from dataclasses import field
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked

from fairexit.errors import UserError, nearest
from fairexit.metrics.record import METRICS

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
        select: what is best on validation decides which epoch's weights are kept: `loss`, or the
            name of a metric, at the final exit; by a gap such as `eodd` the lowest among the epochs
            whose macro F1 loses at most 0.01 against the best.
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
    select: str = "f1"
    device: str = "auto"
    devices: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "lr", "devices"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UserError(f"train.{name} is {getattr(self, name)}; it must be positive")
        for name in ("momentum", "weight_decay", "warmup"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UserError(f"train.{name} is {getattr(self, name)}; it cannot be negative")
        if self.select != "loss" and self.select not in METRICS:
            hint = nearest(self.select, [*METRICS, "loss"])
            raise UserError(f"train.select is '{self.select}', which is no metric; {hint}")
        if self.clip is not None and not self.clip > 0:
            raise UserError(
                f"train.clip is {self.clip}; it must be positive, or null for no clipping"
            )


@checked(frozen=True, config=STRICT)
class PruneConfig:
    """How a trained network is pruned; see docs/pruning.md.

    Attributes:
        method: `fairprune`, or the plain controls `magnitude` and `random`.
        ratio: share of the prunable parameters that are zero at the end; several: a sweep.
        beta: how much the privileged group's curvature counts; several: a sweep.
        steps: equal steps in which the ratio is reached.
        one_shot: curvature of the unpruned network only; a sweep always does so.
        group: the sensitive attribute; by default the run's own.
        privileged, unprivileged: groups; what is not named is all the other groups. If neither is,
            the unprivileged group is the one with the lowest macro F1 on validation.
        curvature: `mc` (random projections) or `exact` generalised Gauss-Newton diagonal.
        draws: projections per image, for `mc`.
        images: at most so many training images of each group.
        sampling: of these images; `natural`, or `balanced` over classes, with replacement.
        layers: prune these layers only, by name or by the beginning of it.
        parameters: `weights` of convolutions and linear layers, or `all`, biases and
            normalisation too.
        tolerance: loss of macro F1 on validation that is allowed.
        patience: stop after so many steps without a lower Eodd on validation.
        stop: false: go to the ratio and take it, whatever validation says.
        finetune: epochs of further training with the zeros held, on one device.
        finetune_lr: its highest learning rate; by default a tenth of `train.lr`.
        chunk: images at a time; it changes memory and speed only.
        device: `auto`, `cpu`, `cuda` ...
        devices: processes that share the images of the curvature; on GPUs one each.
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
    patience: int = 1
    stop: bool = True
    finetune: int = 0
    finetune_lr: float | None = None
    chunk: int = 16
    device: str = "auto"
    devices: int = 1

    @property
    def ratios(self) -> list[float]:
        return sorted(self.ratio) if isinstance(self.ratio, list) else [self.ratio]

    @property
    def betas(self) -> list[float]:
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
            if getattr(self, name) < 1:
                raise UserError(f"prune.{name} is {getattr(self, name)}; it must be positive")
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
