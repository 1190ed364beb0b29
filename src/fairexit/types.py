"""What passes between the parts: the task, a batch, what an exit says."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

UNKNOWN = -1
"""Group index of a sample whose attribute is not known; every group metric leaves it out."""


@dataclass(frozen=True)
class Task:
    """What is to be told apart, and between whom it must be fair.

    The classes and groups are the dataset's, never those that a batch or split happens to hold:
    an absent last class must not change a mean.
    """

    classes: tuple[str, ...]
    group: str
    groups: tuple[str, ...]

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def num_groups(self) -> int:
        return len(self.groups)


class Batch(NamedTuple):
    """A batch on one device: images (B, 3, H, W) float, labels (B,), groups (B,) or UNKNOWN."""

    images: "Tensor"
    labels: "Tensor"
    groups: "Tensor"


class Exit(NamedTuple):
    """What one exit says: logits (B, C) and z, the vector its last linear layer reads (B, D)."""

    logits: "Tensor"
    features: "Tensor"
