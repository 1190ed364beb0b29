"""FairDisCo (Du et al. 2022): confusion about the attribute, and contrast between the classes."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from fairexit.losses.contrastive import supervised_contrastive
from fairexit.methods.adversarial import AdvConf
from fairexit.methods.base import methods
from fairexit.models import ExitNet
from fairexit.search_space import Axis
from fairexit.types import Batch, Exit, Task


@methods.register("fairdisco")
class FairDisCo(AdvConf, capturable=True):
    """Confuses a classifier of the attribute, and contrasts the classes (Du et al. 2022).

    Each exit has a classifier of the attribute, trained on detached features, whose prediction the
    trunk makes uniform, and a projection of the features, in which samples of one class approach
    each other and leave those of other classes. Target loss, classifier and contrast train at
    full strength from the start, as published. The published classifier is linear; ours has a
    hidden layer. The contrast is a statistic of the batch: a sample that is the only one of its
    class in the batch adds no term.

    Args:
        weight: alpha, the weight of the confusion.
        contrast: beta, the weight of the contrast.
        temperature: T of the contrast.
        projection: number of projected features.
    """

    search_space = (
        Axis("method.weight", (0.1, 10.0), log=True),
        Axis("method.contrast", (0.08, 8.0), log=True),
    )

    def __init__(
        self,
        net: ExitNet,
        task: Task,
        exit_weights: Sequence[float],
        *,
        weight: NonNegativeFloat = 1.0,
        contrast: NonNegativeFloat = 0.8,
        temperature: PositiveFloat = 0.1,
        projection: PositiveInt = 128,
        hidden: PositiveInt = 64,
        warmup: Annotated[float, Field(ge=0, le=1)] = 0.0,
    ) -> None:
        super().__init__(net, task, exit_weights, weight=weight, hidden=hidden, warmup=warmup)
        self.contrast, self.temperature = contrast, temperature
        self.projections = nn.ModuleList(
            nn.Sequential(
                nn.Linear(head.classifier.in_features, 4 * projection),
                nn.BatchNorm1d(4 * projection),
                nn.ReLU(),
                nn.Linear(4 * projection, projection),
            )
            for head in net.exit_heads
        )

    def penalty(self, k: int, exit: Exit, batch: Batch) -> Tensor:
        projected = self.projections[k](exit.features)
        contrast = supervised_contrastive(projected, batch.labels, self.temperature)
        self.left_out += contrast.without_partner
        return super().penalty(k, exit, batch) + self.contrast * contrast.value
