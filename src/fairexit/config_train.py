"""The section `train` of a run's configuration."""

from dataclasses import field
from itertools import pairwise
from typing import Any, Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked

from fairexit.errors import UserError, nearest
from fairexit.metrics.record import METRICS
from fairexit.registry import UnknownNameError

STRICT = ConfigDict(extra="forbid")
Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]


@checked(frozen=True, config=STRICT)
class EarlyStopping:
    """When training ends before `train.epochs`.

    Attributes:
        patience: number of epochs in a row without a new best epoch by `train.select` after which
            training ends.
        min_epochs: smallest number of epochs that are trained in any case.
    """

    patience: int
    min_epochs: int = 0

    def __post_init__(self) -> None:
        if self.patience < 1:
            raise UserError(
                f"train.early_stopping.patience is {self.patience}; it must be positive"
            )
        if self.min_epochs < 0:
            raise UserError(
                f"train.early_stopping.min_epochs is {self.min_epochs}; it cannot be negative"
            )


@checked(frozen=True, config=STRICT)
class TrainConfig:
    """How the network is trained; see docs/training.md.

    Attributes:
        epochs: number of epochs; each draws as many images as the training split has.
        batch_size: largest number of images that are computed at a time, over all devices. An epoch
            is divided into batches of equal size, so that there is no small last batch.
        accumulate: number of batches whose gradients are added up for one step of the optimiser, so
            that a step has `batch_size` x `accumulate` images.
        optimizer: `sgd`, `adamw`, or the name of another optimiser of torch or timm. By default
            `adamw` for a backbone with layer or RMS normalisation and without batch normalisation
            (such as ViT and ConvNeXt), and `sgd` for all others (such as ResNet, VGG and
            EfficientNet).
        optimizer_options: further options of that optimiser, such as `{betas: [0.9, 0.95]}`.
        lr: highest learning rate; by default 0.01 for `sgd`, else the optimiser's own default
            (0.001 for `adamw`).
        momentum: Nesterov momentum of `sgd`, by default 0.9; 0 for plain SGD.
        weight_decay: weight decay; by default 1e-5 for `sgd`, else the optimiser's own default
            (0.01 for `adamw`). `sgd` decays every parameter, as in the paper; the others leave out
            biases, normalisation layers, and what the network excludes, such as the position
            embeddings of a ViT.
        head_lr: highest learning rate of everything outside the backbone's stages, that is the
            classifiers and adversaries; by default `lr`.
        layer_decay: factor between the learning rates of consecutive stages. The last stage learns
            at this factor times `lr`, the stage before it at its square, and so on.
        schedule: `step` (x 0.1 after each epoch of `milestones`), `cosine` to zero, `constant`.
        milestones: epochs after which `step` lowers the learning rate.
        warmup: epochs over which the learning rate rises linearly from zero to `lr`, rounded to
            whole steps; `cosine` starts at its end, and `step` counts from the start of training.
        restarts: epochs after which the schedule begins again, with its warm-up and milestones; a
            finished run can be continued so.
        restart_lr: highest learning rate after a restart; by default `lr`.
        clip: largest norm of the gradient; None does not clip.
        freeze: what keeps its trained weights and its statistics of batch normalisation: `none`;
            `trunk`, all stages; `backbone`, the stages and the final exit, so that only the
            internal exits learn; or a number of epochs for which the trunk is frozen at first.
        label_smoothing: share of each label that is spread evenly over all classes.
        class_weights: weight of each class in the loss: `none`, `balanced` (the same total weight
            for each class), a list in the order of the classes, or a section by class name, where
            classes that are left out have weight 1. All are divided by their mean over the images
            that an epoch draws.
        exit_weights: the weight of each exit's loss: `paper` (0.3, 0.45, 0.6, 0.75 after the
            stages, 0.9 for the final exit), `equal`, or a list. A plain network has weight 1.
        precision: `32-true`, `bf16-mixed`, `16-mixed`, or `auto` for the faster of the first two,
            which is measured when a run starts and recorded in it.
        average: `ema` or `swad` to validate and store an average of the weights over the steps of
            training, with new statistics of batch normalisation; `none` for the weights themselves.
        ema_decay: decay d of the moving average; in step n it is at most (1 + n) / (10 + n).
        early_stopping: ends training when validation no longer improves, as in
            `{patience: 10, min_epochs: 20}`; None trains all epochs.
        select: the criterion that decides which epoch's weights are kept: `loss` or the name of a
            metric, at the final exit on validation. For a gap such as `eodd`, the lowest gap of all
            epochs whose macro F1 is at most 0.01 below the best.
        save_every: also keeps the weights of every n-th epoch, as
            `checkpoints/epoch-<n>.safetensors`; None keeps none of them.
        device: `auto`, `cpu`, `cuda` and so on.
        devices: number of devices, on all machines together, with one process on each.
        capture: whether a GPU replays the steps from CUDA graphs: `auto` if they can be captured,
            or `none`.
        gather: whether losses and penalties are computed on the batch of all devices, so that a
            training does not depend on their number; if not, on each device's part of it.
        sync_batchnorm: whether batch normalisation uses the statistics of the batch of all
            devices; if not, those of each device's part.
    """

    epochs: int = 200
    batch_size: int = 256
    accumulate: int = 1
    optimizer: str | None = None
    optimizer_options: dict[str, Any] = field(default_factory=dict)
    lr: float | None = None
    momentum: float | None = None
    weight_decay: float | None = None
    head_lr: float | None = None
    layer_decay: float = 1.0
    schedule: Literal["step", "cosine", "constant"] = "step"
    milestones: list[int] = field(default_factory=lambda: [100])
    warmup: float = 0.0
    restarts: list[int] = field(default_factory=list)
    restart_lr: float | None = None
    clip: float | None = None
    freeze: Literal["none", "trunk", "backbone"] | int = "none"
    label_smoothing: float = 0.0
    class_weights: Literal["none", "balanced"] | list[float] | dict[str, float] = "none"
    exit_weights: Literal["paper", "equal"] | list[float] = "paper"
    precision: Precision = "32-true"
    average: Literal["none", "ema", "swad"] = "none"
    ema_decay: float = 0.999
    early_stopping: EarlyStopping | None = None
    select: str = "f1"
    save_every: int | None = None
    device: str = "auto"
    devices: int = 1
    capture: Literal["auto", "none"] = "auto"
    gather: bool = True
    sync_batchnorm: bool = False

    @property
    def images_per_step(self) -> int:
        """Largest number of images in one step of the optimiser, over all devices."""
        return self.batch_size * self.accumulate

    @property
    def images_per_penalty(self) -> int:
        """Largest number of images over which a loss or penalty is computed."""
        return self.batch_size if self.gather else self.batch_size // self.devices

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "lr", "head_lr", "restart_lr", "devices",
                     "save_every"):  # fmt: skip
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise UserError(f"train.{name} is {value}; it must be positive")
        for name in ("momentum", "weight_decay", "warmup"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise UserError(f"train.{name} is {value}; it cannot be negative")
        self._check_shares()
        self._check_schedule()
        if isinstance(self.freeze, int) and not 0 < self.freeze < self.epochs:
            raise UserError(
                f"train.freeze is {self.freeze}, but train.epochs is {self.epochs}; give a smaller "
                "number of at least 1, or trunk to freeze the trunk in all epochs"
            )
        if self.momentum is not None and self.optimizer not in (None, "sgd"):
            raise UserError(
                f"train.momentum belongs to sgd, but train.optimizer is '{self.optimizer}'; leave "
                "it out, or give train.optimizer_options"
            )
        if self.select != "loss" and self.select not in METRICS:
            hint = nearest(self.select, [*METRICS, "loss"])
            raise UnknownNameError(f"train.select is '{self.select}', which is no metric; {hint}")
        if self.clip is not None and not self.clip > 0:
            raise UserError(
                f"train.clip is {self.clip}; it must be positive, or null for no clipping"
            )

    def _check_shares(self) -> None:
        """Check the settings that are shares of one."""
        for name in ("label_smoothing", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(
                    f"train.{name} is {getattr(self, name)}; it must be from 0 to below 1"
                )
        if not 0 < self.layer_decay <= 1:
            raise UserError(
                f"train.layer_decay is {self.layer_decay}; it must be above 0 and at most 1"
            )

    def _check_schedule(self) -> None:
        """Check that restarts are in order, and that each period is longer than the warm-up."""
        bounds = [0, *self.restarts, self.epochs]
        lengths = [end - start for start, end in pairwise(bounds)]
        if min(lengths) < 1:
            raise UserError(
                f"train.restarts is {self.restarts}; give epochs in rising order, from 1 to below "
                f"train.epochs, which is {self.epochs}"
            )
        if self.warmup > min(lengths):
            what = "between two restarts" if self.restarts else "train.epochs"
            raise UserError(
                f"train.warmup is {self.warmup:g} epochs, but {what} is {min(lengths)}, so "
                "the learning rate would never reach train.lr; give a shorter warm-up"
            )
        if self.restart_lr is not None and not self.restarts:
            raise UserError(
                "train.restart_lr needs train.restarts, the epochs after which the schedule begins "
                "again"
            )
