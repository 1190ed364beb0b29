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
        gather: whether, with several processes, losses are those of the batch of all.
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
    gather: bool = True
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

    def take(
        self, batch: Batch, rate: float, *, measure: bool, images: int | None = None
    ) -> tuple[Tensor, float | None]:
        """Take a step.

        Args:
            batch: this process's images of the step.
            rate: the learning rate.
            measure: whether to measure the penalty's ratio, on the first part.
            images: number of images of the step in all processes; by default those of this one.
        Returns:
            The total loss, and the target losses and penalties of the exits, (1 + 2 E,), of which
            the mean over the processes is that of the step, valid until the next step; the ratio.
        """
        for settings in self.optimizer.param_groups:
            settings["lr"] = rate * settings["lr_scale"]
        self.optimizer.zero_grad()
        if self._captured is None or measure:  # the ratio is read back
            images = len(batch.labels) if images is None else images
            values, ratio = self._gradients(batch, images, measure=measure)
        else:
            values, ratio = self._captured(batch), None
        if self.clip is not None:
            # What is not finite is told after the epoch; half precision's scaler skips such steps.
            self.fabric.clip_gradients(
                self.module, self.optimizer, max_norm=self.clip, error_if_nonfinite=False
            )
        self.optimizer.step()
        # The gradient, momentum and weight decay have moved them.
        for parameter, is_held, fixed in self.held:
            parameter.detach().copy_(torch.where(is_held, fixed, parameter.detach()))
        if self.average is not None:
            self.average.after_step()
        return values, ratio

    def _values(self, batch: Batch) -> Tensor:
        """Compute the gradients of a batch; the numbers for the log."""
        return self._gradients(batch, len(batch.labels), measure=False)[0]

    def _gradients(
        self, batch: Batch, images: int, *, measure: bool
    ) -> tuple[Tensor, float | None]:
        """Compute the gradients of a batch; arguments and results as for `take`.

        Each part counts with its share of the images, so that the gradient is that of the whole
        batch, but for what a part decides alone: batch normalisation, and losses that are not means
        over the images.
        """
        values, ratio = torch.zeros((), device=self.fabric.device), None
        parts, world = divided(batch, self.accumulate), self.fabric.world_size
        sizes = part_sizes(images, self.accumulate, world)
        gathers = self.gather and world > 1
        for number, (part, size) in enumerate(zip(parts, sizes, strict=True), start=1):
            # The gradient is the mean over the processes, whose parts may differ by an image.
            share = (size if gathers else world * len(part.labels)) / images
            # With several processes, gradients are exchanged once.
            with self.fabric.no_backward_sync(self.module, enabled=number < len(parts)):
                losses = self.module(
                    part, measure=measure and number == 1, images=size if gathers else None
                )
                self.fabric.backward(losses.total * share)
            ratio = losses.ratio if number == 1 else ratio
            means = torch.cat([losses.total.detach()[None], losses.targets, losses.penalties])
            values = values + share * means
        return values, ratio


def divided(batch: Batch, number: int) -> list[Batch]:
    """A batch in parts of nearly equal size, in order."""
    return [Batch(*part) for part in zip(*(t.tensor_split(number) for t in batch), strict=True)]


def part_sizes(images: int, number: int, world: int) -> list[int]:
    """Number of images of all processes in each part of a batch that every process divides.

    Args:
        images: number of images of the batch.
        number: number of parts.
        world: number of processes, of which process r has the images r, r + `world` and so on.
    """
    shares = [len(range(rank, images, world)) for rank in range(world)]
    return [sum(len(range(part, share, number)) for share in shares) for part in range(number)]
