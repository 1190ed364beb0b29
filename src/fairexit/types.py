"""Types that every part uses: the task, a batch, and the output of an exit."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

UNKNOWN = -1
"""Group index of a sample whose attribute is not known; every group metric leaves it out."""

UNKNOWN_NAMES = (
    "",
    "unknown",
    "unk",
    "na",
    "n/a",
    "nan",
    "none",
    "null",
    "<na>",
    "#n/a",
    "?",
    "-",
    "--",
)
"""Values in tables, in upper or lower case, that mean that an attribute is not known."""

PROBABILITY = re.compile(r"p(\d+|f)?/(.*)", re.DOTALL)
"""Name of a probability column: the exit (absent for a plain network) and the class."""

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
    "problem",
)
"""Column names with a fixed meaning, which no attribute may have."""


@dataclass(frozen=True)
class Task:
    """The classes to predict, and the groups between which the predictions must be fair.

    The classes and groups are those of the dataset, not those that occur in a batch or split:
    a missing last class must not change a mean.

    Attributes:
        classes: names of the classes, C of them.
        group: name of the sensitive attribute.
        groups: values of the attribute, M of them.
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
    """Output of one exit: logits (B, C) and the input z of its last linear layer, (B, D)."""

    logits: "Tensor"
    features: "Tensor"
