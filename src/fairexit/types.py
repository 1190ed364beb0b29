"""What passes between the parts: the task, a batch, what an exit says."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

UNKNOWN = -1
"""Group index of a sample whose attribute is not known; every group metric leaves it out."""

UNKNOWN_NAMES = ("", "unknown", "unk", "na", "n/a", "nan", "none", "null")
"""What stands in tables, in any case, where an attribute is not known."""

PROBABILITY = re.compile(r"p(\d+|f)?/(.*)", re.DOTALL)
"""Name of a probability column: the exit (none in a plain network) and the class."""

RESERVED = (
    "id",
    "path",
    "label",
    "cluster",
    "split",
    "fold",
    "prediction",
    "confidence",
    "exit",
    "cost",
)
"""Columns of our tables that no attribute may be called after."""


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
