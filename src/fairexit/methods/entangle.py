"""Entanglement of the attribute: neighbours in feature space should come from every group."""

from collections.abc import Sequence

from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from fairexit.losses.snnl import snnl
from fairexit.methods.base import Method, methods
from fairexit.models import ExitNet
from fairexit.search_space import Axis
from fairexit.types import Batch, Exit, Task


@methods.register("snnl")
class Entangle(Method, capturable=True):
    """Maximises the soft nearest neighbour loss of the attribute (Frosst et al. 2019).

    The loss is a statistic of the batch: a sample's neighbours are those of the same batch. A
    sample that is the only one of its group in the batch is left out, and a batch of one group has
    the loss 0. The mean over batches tends to the value of the whole training split as the batch
    grows.

    Args:
        weight: weight of the penalty, which is minus that loss.
        temperature: T, in units of the mean squared distance.
    """

    search_space = (
        Axis("method.weight", (0.01, 100.0), log=True),
        Axis("method.temperature", (0.01, 1.0), log=True),
    )

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
        entanglement = snnl(exit.features, batch.groups, self.temperature)
        self.left_out += entanglement.without_partner
        return -self.weight * entanglement.value
