"""Methods that need another run: a teacher, an identification network, or a trained trunk."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fairexit.errors import UserError
from fairexit.methods.base import Method
from fairexit.models import ExitNet


class Distilled(Method):
    """A method with a frozen teacher of the same architecture, which the training setup provides.

    Attributes:
        teacher_run: folder of the teacher's run; None if a teacher has to be trained first.
    """

    teacher_run: Path | None = None
    _teacher: tuple[ExitNet] | None = None

    @property
    def teacher(self) -> ExitNet:
        """The frozen teacher."""
        assert self._teacher is not None, "no teacher has been set"
        return self._teacher[0]

    def set_teacher(self, teacher: ExitNet) -> None:
        """Set a trained network as the teacher and freeze it.

        Raises:
            UserError: the teacher's classes, exits or architecture differ from the student's.
        """
        if teacher.num_classes != self.net.num_classes:
            raise UserError(
                f"the teacher has {teacher.num_classes} classes, but the student has "
                f"{self.net.num_classes}; train a teacher on the same data"
            )
        expected, actual = self.net.config, teacher.config
        for key in ("name", "head", "stem"):
            if actual[key] != expected[key]:
                raise UserError(
                    f"the teacher's {key} is {actual[key]}, but the student's is {expected[key]}; "
                    "train a teacher with the same network"
                )
        if teacher.exit_names != self.net.exit_names:
            raise UserError(
                f"the teacher has the exits {', '.join(teacher.exit_names)}, but the student has "
                f"{', '.join(self.net.exit_names)}; train a teacher with the same exits"
            )
        # The tuple hides it from the module tree: it is not trained, saved or set to training mode.
        self._teacher = (teacher.eval().requires_grad_(False),)


class Upweighted(Method):
    """A method that draws more often the training images that an earlier network gets wrong.

    The training setup trains that network by ERM and calls `set_errors`.

    Attributes:
        identification_epochs: epochs of training of the earlier network.
        factor: how many times as often such an image is drawn.
    """

    identification_epochs: int
    factor: float

    def set_errors(self, wrong: Tensor) -> None:
        """Set the training images that the earlier network gets wrong.

        Args:
            wrong: True for those images, in the order of the training split, (N,).
        """
        self.draw_weights = 1 + (self.factor - 1) * wrong.double()


class HeldOut(NamedTuple):
    """Images on which the trunk was not trained.

    Attributes:
        features: the features of each exit, (N, D_k).
        labels: class indices, (N,).
        groups: group indices or UNKNOWN, (N,).
        fits: True for the images to fit on; the others choose among the fitted layers, (N,).
    """

    features: list[NDArray[np.float32]]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    fits: NDArray[np.bool_]


class Refitted(Method, ABC):
    """A method that refits the last layers of a network that ERM has trained."""

    @abstractmethod
    def refit(self, held_out: HeldOut, seed: int) -> dict[str, Any]:
        """Refit the last layer of each exit of the network, in place.

        Args:
            held_out: features of images that have trained nothing yet.
            seed: seed of all draws.
        Returns:
            A record of what was done, which JSON can hold.
        Raises:
            UserError: the images do not suffice.
        """
