"""The HSIC penalty: features independent of the attribute (Quadrianto et al. 2019)."""

from collections.abc import Sequence

from pydantic import NonNegativeFloat
from torch import Tensor

from fairexit.losses.hsic import hsic_by_class
from fairexit.methods.base import Method, methods
from fairexit.models import ExitNet
from fairexit.search_space import Axis
from fairexit.types import Batch, Exit, Task


@methods.register("hsic")
class Hsic(Method, capturable=True):
    """Penalises the HSIC between each exit's features and the attribute, summed over classes.

    HSIC is a statistic of the batch. A class adds no term where the batch has fewer than four
    samples of it, or samples of one group only. So in small batches the penalty does not see rare
    classes, and its mean over batches is below that of a large batch; it tends to it as the batch
    grows.

    Args:
        weight: lambda; the paper's 0.01 may have no effect, as the log's penalty ratio shows.
    """

    search_space = (Axis("method.weight", (0.01, 1000.0), log=True),)

    def __init__(
        self,
        net: ExitNet,
        task: Task,
        exit_weights: Sequence[float],
        *,
        weight: NonNegativeFloat = 0.01,
    ) -> None:
        super().__init__(net, task, exit_weights)
        self.weight = weight

    def penalty(self, k: int, exit: Exit, batch: Batch) -> Tensor:
        hsic = hsic_by_class(exit.features, batch.groups, batch.labels, self.task.num_classes)
        self.left_out += (~hsic.valid).sum()
        return self.weight * hsic.values.sum()
