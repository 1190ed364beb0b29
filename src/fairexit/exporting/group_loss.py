"""What 8 bits do to each group: answers of the 8-bit model against those of the float one."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError
from fairexit.metrics.rates import BY_GROUP
from fairexit.predictions.data import Predictions
from fairexit.stats.paired import draw_pairs
from fairexit.stats.sample import Sample

MEASURES = ("accuracy", "recall")
LOSS = 0.01
"""A loss of more than this share that is shown to be no chance is refused."""


@dataclass(frozen=True)
class GroupChange:
    """A measure of one group in both models, and their difference.

    Attributes:
        group: name of the group.
        measure: `accuracy`, or `recall`, the mean over the classes.
        before: of the float model.
        after: of the 8-bit model.
        low: lower end of the paired 95 % interval of the difference.
        high: its upper end.
    """

    group: str
    measure: str
    before: float
    after: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        return self.after - self.before

    @property
    def is_shown(self) -> bool:
        """Whether the interval says that the 8-bit model is worse."""
        return self.high < 0

    def __str__(self) -> str:
        return (
            f"{self.measure} of {self.group}: {self.before:.4f} -> {self.after:.4f}, "
            f"{self.difference:+.4f} (95 % interval {self.low:+.4f} to {self.high:+.4f})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the manifest."""
        return {**vars(self), "difference": self.difference}


def group_changes(
    predictions: Predictions, attribute: str, before: NDArray[np.int64], after: NDArray[np.int64]
) -> list[GroupChange]:
    """Measures of each group in two models, with paired intervals by clusters.

    Args:
        predictions: the samples: labels, groups and clusters.
        attribute: the sensitive attribute.
        before: predicted classes of the float model, (N,).
        after: those of the 8-bit model, (N,).
    """
    groups, names = predictions.group(attribute)
    sample = Sample(
        labels=predictions.labels,
        answers=np.stack([before, after]),
        groups=groups,
        clusters=predictions.clusters,
        num_classes=len(predictions.classes),
        num_groups=len(names),
    )
    drawn = draw_pairs(sample, metrics={name: BY_GROUP[name] for name in MEASURES})
    changes = []
    for measure in MEASURES:
        interval = drawn.contrast(measure, [(1, [1]), (-1, [0])]).interval()
        values = drawn.point(measure)
        for m, group in enumerate(names):
            changes.append(
                GroupChange(
                    group,
                    measure,
                    before=float(values[0, m]),
                    after=float(values[1, m]),
                    low=float(interval.low[m]),
                    high=float(interval.high[m]),
                )
            )
    return changes


def check_groups(changes: list[GroupChange]) -> list[str]:
    """Warnings about groups that may lose by the quantisation.

    Raises:
        UserError: a group loses more than LOSS, and the interval shows that it is no chance.
    """
    lost = [change for change in changes if change.difference < -LOSS and change.is_shown]
    if lost:
        raise UserError(
            f"8 bits cost a group more than {LOSS:g}: {lost[0]}; nothing was written; export it "
            "without int8"
        )
    doubtful = [change for change in changes if change.difference < -LOSS or change.is_shown]
    return [f"8 bits may cost a group: {change}" for change in doubtful]
