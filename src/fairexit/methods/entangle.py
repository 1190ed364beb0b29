"""Raise the attribute's entanglement, so that neighbours in feature space are of any group."""

from collections.abc import Sequence

from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from fairexit.losses.snnl import snnl
from fairexit.methods.base import Method, methods
from fairexit.models import ExitNet
from fairexit.types import Batch, Exit, Task


@methods.register("snnl")
class Entangle(Method):
    """Adds minus the soft nearest neighbour loss of the attribute (Frosst et al. 2019).

    Args:
        weight: of the penalty.
        temperature: T, in mean squared distances.
    """

    def __init__(
        self,
        net: ExitNet,
        task: Task,
        exit_weights: Sequence[float],
        *,
        weight: NonNegativeFloat = 0.1,
        temperature: PositiveFloat = 0.1,
    ) -> None:
        super().__init__(net, task, exit_weights)
        self.weight, self.temperature = weight, temperature

    def penalty(self, k: int, exit: Exit, batch: Batch) -> Tensor:
        found = snnl(exit.features, batch.groups, self.temperature)
        self.left_out += found.without_partner
        return -self.weight * found.value
