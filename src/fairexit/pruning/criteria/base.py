"""The interface of a method that edits a network."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fairexit.config import RunConfig
from fairexit.config_prune import TRAITS, PruneConfig, Traits
from fairexit.data.augment import Augment
from fairexit.data.loaders import Loader
from fairexit.data.prepared import Prepared
from fairexit.models import ExitNet
from fairexit.pruning.edits import Edit, to_zero
from fairexit.pruning.groups import Rows
from fairexit.pruning.layers import choose_layers, prunable_parameters
from fairexit.pruning.masks import Masks
from fairexit.pruning.units import Units, units_of_weights
from fairexit.registry import Registry
from fairexit.search_space import Axis
from fairexit.types import Batch, Task

C = TypeVar("C")

RATIO = Axis("prune.ratio", (0.05, 0.9), log=False)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A trained network, and what an edit may know of it.

    Attributes:
        net: the network in evaluation mode, on its device.
        data: the prepared data.
        task: the classes, and the groups between which the edited network is to be fair.
        rows: rows of training images of the unprivileged and of the privileged groups.
        exit_weights: alpha, one per exit.
        run: all settings of the run.
    """

    net: ExitNet
    data: Prepared
    task: Task
    rows: tuple[Rows, Rows]
    exit_weights: list[float]
    run: RunConfig

    @property
    def config(self) -> PruneConfig:
        """The settings of the editing."""
        assert self.run.prune is not None
        return self.run.prune

    def batches(self, rows: Rows | None = None) -> Iterator[Batch]:
        """Images that are not augmented, in batches of `prune.chunk`.

        Args:
            rows: rows of the data; by default those of all groups.
        """
        loader = Loader(
            self.data,
            np.concatenate(self.rows) if rows is None else rows,
            self.task.group,
            batch_size=self.config.chunk,
            device=next(self.net.parameters()).device,
        )
        return loader.evaluation(Augment("none", 0))


class Division(NamedTuple):
    """The rows that train the network between steps, and those that measure it."""

    training: NDArray[np.int64]
    measuring: NDArray[np.int64]


class Criterion(ABC):
    """Says what is edited, in which order, and how.

    Args:
        subject: the network.

    Attributes:
        units: what is edited one by one.
    """

    search_space: ClassVar[tuple[Axis, ...]] = (RATIO,)
    """The settings that `fairexit tune` searches by default."""
    within: ClassVar[bool] = False
    """Whether units are ranked within their block, or all together."""
    edit: ClassVar[Edit] = staticmethod(to_zero)
    """What an edit makes of a weight."""
    edited: ClassVar[str] = "zeros"
    """What tables call the edited units."""
    uses_curvature: ClassVar[bool] = False
    """Whether scores hold the Gauss-Newton diagonal, which approximates that of smooth layers."""
    traits: ClassVar[Traits] = Traits()
    """What the settings must know of the method: its defaults, and what it edits."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.units = self.find_units(subject.net, subject.config)
        config = subject.config
        self._unpruned = self.measure(0) if config.one_shot or config.sweeps else None

    @classmethod
    def find_units(cls, net: ExitNet, config: PruneConfig) -> Units:
        """The units of a network; by default the weights of the layers that the settings choose.

        Raises:
            UserError: the settings name a layer or a stage that cannot be edited.
        """
        return units_of_weights(prunable_parameters(choose_layers(net, config), config.parameters))

    def __call__(self, step: int, beta: float | None) -> dict[str, Tensor]:
        """The scores of the units; those with the lowest scores are edited first.

        Args:
            step: number of the step, which decides random draws.
            beta: weight of the privileged group's curvature; None for a method without.
        Returns:
            Block name -> scores, of the block's shape, on the CPU.
        """
        return self.score(self.measure(step) if self._unpruned is None else self._unpruned, beta)

    @abstractmethod
    def measure(self, step: int) -> Any:
        """What is expensive in the scores; computed once if the settings say so."""

    @abstractmethod
    def score(self, measured: Any, beta: float | None) -> dict[str, Tensor]:
        """The scores, given what `measure` returns; otherwise as `__call__`."""

    @classmethod
    def held(cls, masks: Masks, net: ExitNet) -> Masks:
        """What further training holds: parameter name -> True where it stays as it is.

        Args:
            masks: parameter name -> True where it is not edited.
            net: the network.
        """
        return {name: ~mask for name, mask in masks.items()}

    @classmethod
    def settings(cls, run: RunConfig) -> RunConfig:
        """The settings of the training between steps, given those of the run."""
        return run

    @classmethod
    def division(cls, data: Prepared, task: Task, run: RunConfig) -> Division:
        """The rows that train the network between steps, and those that measure it.

        Args:
            data: the prepared data.
            task: the classes and groups.
            run: the settings of the run.
        """
        fold = run.data.fold
        return Division(data.rows("train", fold), data.rows("val", fold))

    def finish(self) -> None:
        """Complete a step, after the training; by default there is nothing to do."""
        return


class Criteria(Registry[Criterion]):
    """The registry of these methods, which tells the settings what each is like."""

    def register(self, name: str) -> Callable[[type[C]], type[C]]:
        enter = super().register(name)

        def enter_with_traits(cls: type[C]) -> type[C]:
            enter(cls)
            TRAITS[name] = self._entries[name].cls.traits
            return cls

        return enter_with_traits

    def _remove(self, name: str) -> None:
        super()._remove(name)
        TRAITS.pop(name, None)


criteria = Criteria("pruning method", "fairexit.pruning.criteria", Criterion, ("subject",))
