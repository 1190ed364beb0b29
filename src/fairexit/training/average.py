"""Averages of the weights over the steps of training."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import update_bn

from fairexit.config_train import TrainConfig
from fairexit.methods import Distilled, Method
from fairexit.training.stopping import swad_window


class Average(ABC):
    """A method whose weights are an average of those in training.

    Args:
        method: the method in training, prepared and on its device.

    Attributes:
        method: a copy of it that has the average.
    """

    def __init__(self, method: Method) -> None:
        # A teacher is frozen, so both share it.
        shared = {id(t): t for t in [vars(method).get("_teacher")] if isinstance(method, Distilled)}
        self.source, self.method = method, copy.deepcopy(method, shared)

    @abstractmethod
    def after_step(self) -> None:
        """Take in the weights after a step of the optimiser."""

    @abstractmethod
    def after_epoch(self, losses: Sequence[float]) -> None:
        """Complete the average after an epoch.

        Args:
            losses: validation loss of the weights in training after each epoch; empty unless
                `needs_losses`.
        """

    needs_losses = False
    """Whether `after_epoch` needs the losses."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """The state after an epoch, for a checkpoint."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore that state."""

    @torch.no_grad()
    def refresh(self, images: Iterable[Tensor]) -> None:
        """Compute the statistics of batch normalisation anew for the averaged weights.

        All other buffers are those of the method in training, and so are the statistics of frozen
        parts.

        Args:
            images: batches of training images, (B, 3, H, W); read only if the network has batch
                normalisation.
        """
        buffers = dict(self.source.named_buffers())
        for name, buffer in self.method.named_buffers():
            buffer.copy_(buffers[name])
        update_bn(images, self.method.net)
        frozen = {name for name, p in self.source.named_parameters() if not p.requires_grad}
        for name, buffer in self.method.named_buffers():
            if f"{name.rpartition('.')[0]}.weight" in frozen:
                buffer.copy_(buffers[name])

    def _weights(self) -> tuple[list[Tensor], list[Tensor]]:
        """Averaged and current values of all parameters, without gradient."""
        averaged, current = (
            [p.detach() for p in method.parameters()] for method in (self.method, self.source)
        )
        return averaged, current


class Ema(Average):
    """The exponential moving average: w <- d w + (1 - d) theta after each step.

    It starts at the initial weights. In step n, from 0, d is at most (1 + n) / (10 + n), so that
    these are soon forgotten.

    Args:
        method: the method in training.
        decay: d.
    """

    def __init__(self, method: Method, decay: float) -> None:
        super().__init__(method)
        self.decay, self.steps = decay, 0

    def after_step(self) -> None:
        averaged, current = self._weights()
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(averaged, current, 1 - decay)
        self.steps += 1

    def after_epoch(self, losses: Sequence[float]) -> None:
        pass

    def state_dict(self) -> dict[str, Any]:
        return {"method": self.method.state_dict(), "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.method.load_state_dict(state["method"])
        self.steps = state["steps"]


class Swad(Average):
    """The mean of the weights after every step of the epochs in `swad_window` (Cha et al. 2021).

    Epochs above the window's limit wait outside the average until one below the limit follows.
    """

    needs_losses = True

    def __init__(self, method: Method) -> None:
        super().__init__(method)
        self.steps, self.epoch_steps, self.waiting_steps = 0, 0, 0
        weights, _ = self._weights()
        self.epoch_mean = [torch.zeros_like(w) for w in weights]
        self.waiting_mean = [torch.zeros_like(w) for w in weights]

    def after_step(self) -> None:
        _, current = self._weights()
        self.epoch_steps += 1
        torch._foreach_lerp_(self.epoch_mean, current, 1 / self.epoch_steps)

    def after_epoch(self, losses: Sequence[float]) -> None:
        averaged, _ = self._weights()
        window, epoch = swad_window(losses), len(losses) - 1
        self.waiting_steps += self.epoch_steps
        torch._foreach_lerp_(
            self.waiting_mean, self.epoch_mean, self.epoch_steps / self.waiting_steps
        )
        if window.start == epoch:
            self.steps, self.waiting_steps = 0, self.epoch_steps
            torch._foreach_copy_(self.waiting_mean, self.epoch_mean)
        if window.end == epoch:
            self.steps += self.waiting_steps
            torch._foreach_lerp_(averaged, self.waiting_mean, self.waiting_steps / self.steps)
            self.waiting_steps = 0
        self.epoch_steps = 0

    def state_dict(self) -> dict[str, Any]:
        return {
            "method": self.method.state_dict(),
            "steps": self.steps,
            "waiting_mean": self.waiting_mean,
            "waiting_steps": self.waiting_steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.method.load_state_dict(state["method"])
        torch._foreach_copy_(self.waiting_mean, state["waiting_mean"])
        self.steps, self.waiting_steps = state["steps"], state["waiting_steps"]


def create_average(method: Method, config: TrainConfig) -> Average | None:
    """The average that `train.average` names, None for `none`."""
    if config.average == "ema":
        return Ema(method, config.ema_decay)
    return Swad(method) if config.average == "swad" else None
