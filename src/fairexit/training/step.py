"""One step of the optimiser: gradients of a batch, or of its parts one after the other."""

from dataclasses import dataclass, field
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from fairexit.training.average import Average
from fairexit.training.capture import Captured, Recorder
from fairexit.types import Batch


@dataclass(kw_only=True)
class Stepper:
    """Takes steps of the optimiser.

    Args:
        fabric: the devices, processes and precision.
        module: the method as Fabric has wrapped it.
        optimizer: the optimiser as Fabric has wrapped it; its groups have a `lr_scale`.
        accumulate: number of parts of a batch whose gradients are added up.
        clip: largest norm of the gradient; None does not clip.
        average: takes in the weights after each step; None if there is none.
        held: triples of a parameter, True where it is held, and the values that it has there.
        recorder: records the forward and backward passes, which are replayed from then on; None
            computes them as usual. Of the rest of a step, each operation takes all parameters at
            once, so that there are few to launch.
    """

    fabric: Fabric
    module: Any
    optimizer: Any
    accumulate: int = 1
    clip: float | None = None
    average: Average | None = None
    held: list[tuple[nn.Parameter, Tensor, Tensor]] = field(default_factory=list)
    recorder: Recorder | None = None

    def __post_init__(self) -> None:
        self._captured: Captured | None = None
        if self.recorder is not None:
            parameters = [*self.module.parameters()]
            self._captured = Captured(self._values, parameters, self.recorder)

    def forget(self) -> None:
        """Forget what was recorded, because other parameters are trained from now on."""
        if self._captured is not None:
            self._captured.forget()

    def take(self, batch: Batch, rate: float, *, measure: bool) -> tuple[Tensor, float | None]:
        """Take a step.

        Args:
            batch: the images of the step.
            rate: the learning rate.
            measure: whether to measure the penalty's ratio, on the first part.
        Returns:
            The total loss, and the target losses and penalties of the exits, (1 + 2 E,), valid
            until the next step; the ratio.
        """
        for settings in self.optimizer.param_groups:
            settings["lr"] = rate * settings["lr_scale"]
        self.optimizer.zero_grad()
        if self._captured is None or measure:  # the ratio is read back
            values, ratio = self._gradients(batch, measure=measure)
        else:
            values, ratio = self._captured(batch), None
        if self.clip is not None:
            self.fabric.clip_gradients(self.module, self.optimizer, max_norm=self.clip)
        self.optimizer.step()
        # The gradient, momentum and weight decay have moved them.
        for parameter, is_held, fixed in self.held:
            parameter.detach().copy_(torch.where(is_held, fixed, parameter.detach()))
        if self.average is not None:
            self.average.after_step()
        return values, ratio

    def _values(self, batch: Batch) -> Tensor:
        """Compute the gradients of a batch; the numbers for the log."""
        return self._gradients(batch, measure=False)[0]

    def _gradients(self, batch: Batch, *, measure: bool) -> tuple[Tensor, float | None]:
        """Compute the gradients of a batch; arguments and results as for `take`.

        Each part counts with its share of the images, so that the gradient is that of the whole
        batch, but for what a part decides alone: batch normalisation, and losses that are not means
        over the images.
        """
        values, ratio = torch.zeros((), device=self.fabric.device), None
        parts = divided(batch, self.accumulate)
        for number, part in enumerate(parts, start=1):
            share = len(part.labels) / len(batch.labels)
            # With several processes, gradients are exchanged once.
            with self.fabric.no_backward_sync(self.module, enabled=number < len(parts)):
                losses = self.module(part, measure=measure and number == 1)
                self.fabric.backward(losses.total * share)
            ratio = losses.ratio if number == 1 else ratio
            means = torch.cat([losses.total.detach()[None], losses.targets, losses.penalties])
            values = values + share * means
        return values, ratio


def divided(batch: Batch, number: int) -> list[Batch]:
    """A batch in parts of nearly equal size, in order."""
    return [Batch(*part) for part in zip(*(t.tensor_split(number) for t in batch), strict=True)]
