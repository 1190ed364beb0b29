"""The sections of a run's configuration, with their defaults and what they allow."""

from dataclasses import field
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked

from fairexit.errors import UserError, nearest
from fairexit.metrics.record import METRICS
from fairexit.registry import UnknownNameError

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
            raise UnknownNameError(f"train.select is '{self.select}', which is no metric; {hint}")
        if self.clip is not None and not self.clip > 0:
            raise UserError(
                f"train.clip is {self.clip}; it must be positive, or null for no clipping"
            )


def _setting(default: Any, description: str) -> Any:
    """A field with a sentence that says what it does, which the command line shows as help."""
    return field(default=default, metadata={"description": description})


@checked(frozen=True, config=STRICT)
class PruneConfig:
    """How a trained network is pruned; see docs/pruning.md."""

    method: Literal["fairprune", "magnitude", "random"] = _setting(
        "fairprune", "How weights are ranked: FairPrune, or the plain controls."
    )
    ratio: float | list[float] = _setting(
        0.35, "Share of the prunable parameters that are zero at the end; several are a sweep."
    )
    beta: float | list[float] = _setting(
        0.33, "How much the privileged group's curvature counts; several are a sweep."
    )
    steps: int = _setting(5, "Number of equal steps in which the ratio is reached.")
    one_shot: bool = _setting(
        False, "Compute the curvature only once, for the unpruned network; a sweep always does."
    )
    group: str | None = _setting(None, "The sensitive attribute.")
    privileged: str = _setting(
        "auto", "The privileged group; auto: every group that is not the unprivileged one."
    )
    unprivileged: str = _setting(
        "auto",
        "The unprivileged group; auto: every group that is not the privileged one, or, if neither "
        "is named, the group with the lowest macro F1 on validation.",
    )
    curvature: Literal["mc", "exact"] = _setting(
        "mc", "Estimate the Gauss-Newton diagonal by random projections (mc), or compute it."
    )
    draws: int = _setting(1, "Random projections per image, for the curvature mc.")
    images: int = _setting(512, "Largest number of training images of each group that are used.")
    sampling: Literal["natural", "balanced"] = _setting(
        "natural",
        "How these images are drawn: in their class mix, or balanced over classes.",
    )
    layers: list[str] | None = _setting(
        None, "Prune only the layers whose names begin so; can be repeated."
    )
    parameters: Literal["weights", "all"] = _setting(
        "weights",
        "Prune the weights of convolutions and linear layers, or biases and normalisation too.",
    )
    tolerance: float = _setting(0.02, "Loss of macro F1 on validation that is allowed.")
    patience: int = _setting(
        1, "Stop after this many steps in a row without a lower Eodd on validation."
    )
    stop: bool = _setting(
        True,
        "Let validation stop the pruning and choose a step, or go on to the ratio and take it.",
    )
    finetune: int = _setting(0, "Epochs of further training with the zeros held, on one device.")
    finetune_lr: float | None = _setting(None, "Highest learning rate of the further training.")
    chunk: int = _setting(
        16, "Images at a time for the curvature; it changes memory and speed only."
    )
    device: str = _setting("auto", "Where to compute: auto, cpu, cuda, cuda:1 and so on.")
    devices: int = _setting(
        1, "Processes that share the images of the curvature; on GPUs one GPU each."
    )

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
