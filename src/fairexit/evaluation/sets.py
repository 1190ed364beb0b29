"""Sets of classes that hold the true one with a stated probability, and who is referred."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError, option, short
from fairexit.evaluation.policy_parts import check_fields


@dataclass(frozen=True)
class GroupCut:
    """The cut of one group.

    Attributes:
        name: of the group.
        images: number of its validation images.
        clusters: number of clusters (lesions, patients) that they come from.
        cut: 1 minus the probability from which a class is in the set; None if validation has too
            few clusters for the coverage, so that the set holds every class.
    """

    name: str
    images: int
    clusters: int
    cut: float | None


@dataclass(frozen=True)
class PredictionSets:
    """How sets of classes are made of an answer's probabilities.

    A class is in the set if its probability at the exit that answers is at least 1 - cut. The cut
    is the largest of those of all groups. Romano et al. (2020) take each group's own, which needs
    the group of every new image; with the largest every group is covered, and no group is needed.

    Attributes:
        coverage: the probability with which the set holds the true class, in every group.
        attribute: whose groups are covered.
        groups: the cut of each group.
    """

    coverage: float
    attribute: str
    groups: tuple[GroupCut, ...]

    @property
    def cut(self) -> float:
        """The largest cut of the groups; infinity if a group has none."""
        return max(math.inf if group.cut is None else group.cut for group in self.groups)

    def members(self, probabilities: NDArray[Any]) -> NDArray[np.bool_]:
        """Which classes are in the set, (..., C), by their probabilities (..., C)."""
        return np.asarray(probabilities, np.float32) >= np.float32(1 - self.cut)

    @staticmethod
    def text(members: NDArray[np.bool_], classes: Sequence[str]) -> str:
        """The classes of one set (C,) as a JSON list, which no name can break."""
        inside = [name for name, is_member in zip(classes, members, strict=True) if is_member]
        return json.dumps(inside, ensure_ascii=False)

    @classmethod
    def from_dict(cls, values: Any) -> "PredictionSets":
        """The sets with these fields.

        Raises:
            UserError: a field is missing or unknown, or has another type.
        """
        check_fields(values, cls, "sets")
        groups = values["groups"]
        if not isinstance(groups, list | tuple) or not groups:
            raise UserError("the sets of a policy must have a list of groups")
        for group in groups:
            check_fields(group, GroupCut, "sets")
        sets = cls(
            values["coverage"], values["attribute"], tuple(GroupCut(**group) for group in groups)
        )
        cuts = [group.cut for group in sets.groups if group.cut is not None]
        if not all(type(value) in (int, float) for value in (sets.coverage, *cuts)):
            raise UserError("coverage and cuts of the sets of a policy must be numbers")
        return sets


def check_coverage(coverage: float) -> None:
    """Raise a UserError if the coverage is not between 0 and 1."""
    if not 0 < coverage < 1:
        raise UserError(
            f"{option('coverage')} is {short(str(coverage))}; it must be between 0 and 1, such as "
            "0.9"
        )


def referred(members: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whom a person should look at, (...): all whose set has not exactly one class, (..., C)."""
    return np.asarray(members.sum(-1) != 1)
