"""The section `prune` of a run's configuration."""

from typing import Literal, NamedTuple

from pydantic.dataclasses import dataclass as checked

from fairexit.config_train import STRICT
from fairexit.errors import UserError, nearest, short
from fairexit.plugins import load_installed
from fairexit.registry import UnknownNameError


class Traits(NamedTuple):
    """What the settings must know of a method that edits a network.

    Attributes:
        ratio: the ratio where none is given.
        beta: beta where none is given; None for a method without one.
        steps: number of steps where none is given.
        step_epochs: epochs after each step where none are given; None: no further training.
        units: what is edited one by one, weights or the channels of whole stages.
        may_edit_all: whether the ratio may be 1.
        refits: whether each step ends with a refit of the classifiers on one half of validation.
    """

    ratio: float = 0.35
    beta: float | None = None
    steps: int = 5
    step_epochs: int | None = None
    units: Literal["weights", "channels"] = "weights"
    may_edit_all: bool = False
    refits: bool = False


DEFAULTED = ("ratio", "beta", "steps", "step_epochs")
"""The settings of which each method has a default of its own."""

TRAITS = {
    "fairprune": Traits(beta=0.33),
    "magnitude": Traits(),
    "random": Traits(),
    "scp": Traits(ratio=0.1, step_epochs=1, units="channels"),
    # 9 h_u - 5 h_p of the source is in proportion to h_u - 5/9 h_p.
    "fairquantize": Traits(ratio=1.0, beta=5 / 9, steps=20, step_epochs=1, may_edit_all=True),
    "swift": Traits(ratio=0.5, steps=1, step_epochs=5, refits=True),
}
"""Method -> its traits.

Those of the library stand here and not with their classes, so that settings are read without torch.
`fairexit.pruning.criteria` enters those of plugins.
"""


def traits_of(method: str) -> Traits:
    """The traits of a method, which a plugin may have registered.

    Raises:
        UnknownNameError: there is no such method.
    """
    if method not in TRAITS:
        load_installed()
    if method not in TRAITS:
        raise UnknownNameError(
            f"prune.method is '{short(method)}', which is no pruning method; "
            f"{nearest(method, TRAITS)}"
        )
    return TRAITS[method]


@checked(frozen=True, config=STRICT)
class PruneConfig:
    """How a trained network is edited to make it fairer; see docs/pruning.md.

    Attributes:
        method: what is edited, and how: fairprune, or magnitude and random as its controls, set
            weights to zero; scp sets channels to zero; fairquantize rounds weights to powers of
            two; swift holds weights while the others are trained, and refits the classifiers; or
            the name of a plugin's.
        ratio: share of the weights or channels that are edited at the end; several are a sweep. By
            default 0.35; for scp 0.1, for fairquantize 1, for swift 0.5.
        beta: weight of the privileged group's curvature; several are a sweep. By default 0.33 for
            fairprune and 5/9 for fairquantize; the other methods do without.
        steps: number of equal steps in which the ratio is reached; by default 5, for fairquantize
            20, for swift 1.
        step_epochs: epochs of further training after each step, on one device; what is edited stays
            as it is. By default none; for scp and fairquantize 1, for swift 5.
        one_shot: compute what decides (the curvature, the SNNL, the gradients) only once, for the
            unpruned network; a sweep always does so.
        group: the sensitive attribute; by default the run's own.
        privileged: the privileged group; auto: every group that is not the unprivileged one.
        unprivileged: the unprivileged group; auto: every group that is not the privileged one, or,
            if neither is named, the group with the lowest macro F1 on validation.
        curvature: estimate the Gauss-Newton diagonal by random projections (mc), or compute it.
        draws: random projections per image, for the curvature mc.
        images: largest number of training images of each group that are used.
        sampling: how these images are drawn: with natural class frequencies, or balanced over
            classes.
        layers: edit only this layer, or only the layers inside this module; can be repeated.
        stages: for scp, a stage whose channels are edited, from 1; can be repeated. By default the
            last stage.
        parameters: edit the weights of convolutions and linear layers, or biases and normalisation
            too.
        tolerance: largest loss of macro F1 on validation that is allowed.
        patience: end the walk after this many steps in a row without a lower Eodd on validation, or
            when F1 has fallen by more than the tolerance; null walks all steps.
        stop: let validation end the pruning and choose a step, or prune to the full ratio and keep
            it.
        finetune: epochs of further training after the last step, on one device; what is edited
            stays as it is.
        finetune_lr: highest learning rate of the further training; by default a tenth of train.lr.
        finetune_data: the images of the further training, by default train; val, for swift only, is
            the half of validation to which the classifiers are fitted.
        chunk: images per batch for the curvature; this changes only memory and speed.
        device: where to compute: auto, cpu, cuda, cuda:1 and so on.
        devices: processes among which the curvature's images are divided; each GPU has one process.
    """

    method: str = "fairprune"
    ratio: float | list[float] | None = None
    beta: float | list[float] | None = None
    steps: int | None = None
    step_epochs: int | None = None
    one_shot: bool = False
    group: str | None = None
    privileged: str = "auto"
    unprivileged: str = "auto"
    curvature: Literal["mc", "exact"] = "mc"
    draws: int = 1
    images: int = 512
    sampling: Literal["natural", "balanced"] = "natural"
    layers: list[str] | None = None
    stages: list[int] | None = None
    parameters: Literal["weights", "all"] = "weights"
    tolerance: float = 0.02
    patience: int | None = None
    stop: bool = True
    finetune: int = 0
    finetune_lr: float | None = None
    finetune_data: Literal["train", "val"] | None = None
    chunk: int = 16
    device: str = "auto"
    devices: int = 1

    @property
    def traits(self) -> Traits:
        """What the method is like."""
        return traits_of(self.method)

    @property
    def ratios(self) -> list[float]:
        """All ratios, in rising order."""
        assert self.ratio is not None, "filled in by __post_init__"
        return sorted(self.ratio) if isinstance(self.ratio, list) else [self.ratio]

    @property
    def betas(self) -> list[float | None]:
        """All betas, in rising order; one None for a method that has none."""
        return [*sorted(self.beta)] if isinstance(self.beta, list) else [self.beta]

    @property
    def sweeps(self) -> bool:
        """Whether several ratios or betas are tried."""
        return len(self.ratios) * len(self.betas) > 1

    @property
    def further_epochs(self) -> int:
        """Epochs of further training, if all steps are walked."""
        steps = len(self.ratios) if self.sweeps else self.number_of_steps
        return self.finetune + steps * (self.step_epochs or 0)

    @property
    def number_of_steps(self) -> int:
        """`steps`, which `__post_init__` has filled in."""
        assert self.steps is not None
        return self.steps

    def __post_init__(self) -> None:
        for name in DEFAULTED:
            if getattr(self, name) is None:
                object.__setattr__(self, name, getattr(self.traits, name))
        self._check_ranges()
        self._check_method()
        if self.sweeps and not self.stop:
            raise UserError(
                "prune.stop is false, but validation must choose among several ratios or betas; "
                "set it to true or give one ratio and one beta"
            )

    def _check_ranges(self) -> None:
        """Raise a UserError for a number that is out of range."""
        for name, values in (("ratio", self.ratios), ("beta", self.betas)):
            if not values:
                raise UserError(f"prune.{name} is empty; give at least one number")
            for value in values:
                self._check_number(name, value)
        for name in ("steps", "draws", "images", "patience", "chunk", "devices"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"prune.{name} is {value}; it must be positive")
        if self.number_of_steps > 255:
            raise UserError(f"prune.steps is {self.steps}; it must be at most 255")
        for name in ("tolerance", "finetune", "step_epochs"):
            if not 0 <= (getattr(self, name) or 0) < float("inf"):
                raise UserError(f"prune.{name} is {getattr(self, name)}; it cannot be negative")
        if self.finetune_lr is not None and not 0 < self.finetune_lr < float("inf"):
            raise UserError(f"prune.finetune_lr is {self.finetune_lr}; it must be positive")

    def _check_number(self, name: str, value: float | None) -> None:
        """Raise a UserError for a ratio or beta that is out of range."""
        whole = self.traits.may_edit_all and name == "ratio"
        if value is None or (0 <= value < (1 if name == "ratio" else float("inf"))):
            return
        if whole and value == 1:
            return
        allowed = "from 0 to 1" if whole else "from 0 to below 1"
        allowed = allowed if name == "ratio" else "0 or more, and finite"
        raise UserError(f"prune.{name} is {value}; it must be {allowed}")

    def _check_method(self) -> None:
        """Raise a UserError for a setting that the method does not have."""
        units = self.traits.units
        if self.traits.beta is None and self.beta is not None:
            raise UserError(
                f"prune.beta is {short(self.beta)}, but method '{self.method}' has no beta; leave "
                "it out"
            )
        if units == "weights" and self.stages is not None:
            raise UserError(
                f"prune.stages is {short(self.stages)}, but method '{self.method}' edits weights; "
                "name layers in prune.layers, or choose scp"
            )
        if units == "channels" and self.layers is not None:
            raise UserError(
                f"prune.layers is given, but method '{self.method}' edits channels of whole "
                "stages; number them in prune.stages"
            )
        if not self.traits.refits and self.finetune_data == "val":
            raise UserError(
                f"prune.finetune_data is val, but method '{self.method}' is "
                "chosen on all of validation; choose train"
            )
        if self.traits.refits and self.finetune:
            raise UserError(
                f"prune.finetune is {self.finetune}, but method '{self.method}' refits the "
                "classifiers at the end of each step, which further training would undo; set "
                "prune.step_epochs"
            )
