"""Fair feature distillation (Jung et al. 2021): every group's features approach the teacher's."""

from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from fairexit.losses.mmd import mmd_by_cell
from fairexit.methods.base import methods
from fairexit.methods.stages import Distilled
from fairexit.models import ExitNet
from fairexit.search_space import Axis
from fairexit.types import Batch, Exit, Task


@methods.register("mfd")
class Mfd(Distilled, capturable=True):
    """Penalises half the MMD^2 of teacher and student features, summed over classes and groups.

    MMD^2 is a statistic of the batch: the estimator is biased upwards by about 1 / n for a cell of
    n samples, and a cell that the batch lacks adds no term. The mean over batches tends to the
    value of the whole training split as the batch grows.

    Args:
        weight: weight of the penalty; the default is that of the released scripts, 5 x 0.02. The
            paper's lambda of 0.01 is a tenth of it.
        sigma: width of the kernel, in units of the mean squared distance.
        teacher: folder of a finished run of the same network; by default a teacher is first
            trained by ERM with the same seed and settings.
    """

    search_space = (Axis("method.weight", (0.01, 100.0), log=True),)

    def __init__(
        self,
        net: ExitNet,
        task: Task,
        exit_weights: Sequence[float],
        *,
        weight: NonNegativeFloat = 0.1,
        sigma: PositiveFloat = 0.5,
        teacher: Path | None = None,
    ) -> None:
        super().__init__(net, task, exit_weights)
        self.weight, self.sigma, self.teacher_run = weight, sigma, teacher
        self._teacher_features: list[Tensor] = []

    def outputs(self, batch: Batch) -> list[Exit]:
        with torch.no_grad():
            exits = self.teacher(batch.images)
            self._teacher_features = self.gather([exit.features.float() for exit in exits])
        return super().outputs(batch)

    def penalty(self, k: int, exit: Exit, batch: Batch) -> Tensor:
        mmd = mmd_by_cell(
            self._teacher_features[k],
            exit.features,
            batch.labels,
            batch.groups,
            num_classes=self.task.num_classes,
            num_groups=self.task.num_groups,
            sigma=self.sigma,
        )
        self.left_out += (~mmd.valid).sum()
        return self.weight * 0.5 * mmd.values.sum()
