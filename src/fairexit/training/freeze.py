"""Freezing: parts of a network whose weights and statistics do not change in training."""

import math

from torch import nn

from fairexit.config import RunConfig
from fairexit.errors import UserError
from fairexit.models import ExitNet


class Freeze:
    """Holds the frozen parts of a network as they are.

    Their parameters have no gradient, and the parts stay in evaluation mode: batch normalisation
    keeps its statistics, and nothing is dropped out. What is frozen depends on the epoch alone, so
    a resumed run needs no state.

    Args:
        net: the network.
        setting: `train.freeze`. What stays frozen to the end is frozen at once, so that the
            optimizer can leave it out.
    """

    def __init__(self, net: ExitNet, setting: str | int) -> None:
        self.until = setting if isinstance(setting, int) else math.inf
        parts: dict[str | int, nn.Module | None] = {"none": None, "backbone": net.backbone}
        self.part = parts.get(setting, net.backbone.stages)
        if self.part is not None and self.until == math.inf:
            self.part.requires_grad_(False)

    @property
    def late(self) -> set[int]:
        """Identities of the parameters that are frozen at first and learn later."""
        if self.part is None or self.until == math.inf:
            return set()
        return {id(parameter) for parameter in self.part.parameters()}

    def begin(self, epoch: int) -> None:
        """Prepare an epoch, from 0; the network has just been set to training mode."""
        if self.part is None:
            return
        is_frozen = epoch < self.until
        self.part.requires_grad_(not is_frozen)
        self.part.train(not is_frozen)


def check_freeze(config: RunConfig) -> None:
    """Raise a UserError if what is to be frozen has not been trained, or if nothing would learn."""
    freeze, model = config.train.freeze, config.model
    if freeze == "none":
        return
    if not model.pretrained and model.start is None:
        raise UserError(
            f"train.freeze is {freeze}, but the network starts from random weights; give trained "
            "ones as model.pretrained or model.start"
        )
    if freeze == "backbone" and model.start is None:
        raise UserError(
            "train.freeze is backbone, but the final classifier is new; give model.start, or "
            "freeze only the trunk"
        )
    if freeze == "backbone" and model.exits in ("none", []):
        raise UserError(
            "train.freeze is backbone, but model.exits is none, so nothing would be trained; give "
            "exits, or freeze only the trunk"
        )
    if isinstance(freeze, int) and config.train.devices > 1:
        raise UserError(
            f"train.freeze is {freeze}, but freezing until an epoch needs a single device, and "
            f"train.devices is {config.train.devices}"
        )
