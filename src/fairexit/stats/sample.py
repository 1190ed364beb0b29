"""The labelled samples that every statistic here is computed from."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.cluster_index import cluster_index
from fairexit.errors import UserError
from fairexit.metrics.counts import check_samples, count
from fairexit.types import UNKNOWN

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Sample:
    """What R models (exits, seeds) answered on the same N samples.

    Args:
        labels: true classes, (N,), in [0, C).
        answers: predicted classes, (R, N), in [0, C).
        groups: groups, (N,), in [0, M) or UNKNOWN; no statistic counts samples of unknown group.
        clusters: names of lesions or patients, "" for a sample of its own, (N,).
        num_classes: C.
        num_groups: M.
    Raises:
        UserError: lengths differ, an index is out of range, or no group is known.
    """

    labels: NDArray[np.integer[Any]]
    answers: NDArray[np.integer[Any]]
    groups: NDArray[np.integer[Any]]
    clusters: NDArray[Any]
    num_classes: int
    num_groups: int

    def __post_init__(self) -> None:
        check_samples(
            self.labels,
            self.answers,
            self.groups,
            num_classes=self.num_classes,
            num_groups=self.num_groups,
        )
        many = self.answers.ndim == 2 and len(self.answers) > 0
        if not many or self.clusters.shape != self.labels.shape:
            raise UserError(
                f"answers {self.answers.shape} and clusters {self.clusters.shape} do not fit "
                f"{len(self.labels)} labels; answers must be (models, samples), and every sample "
                "must have a cluster"
            )
        if not (self.groups != UNKNOWN).any():
            raise UserError("no sample has a known group, so there is nothing to resample")

    def __len__(self) -> int:
        return len(self.labels)

    def with_answers(self, answers: NDArray[np.integer[Any]]) -> "Sample":
        """The same samples as answered by other models, (R, N)."""
        return replace(self, answers=answers)

    @cached_property
    def counts(self) -> Ints:
        """Samples by model, group, true class and answer, (R, M, C, C)."""
        return count(
            self.labels,
            self.answers,
            self.groups,
            num_classes=self.num_classes,
            num_groups=self.num_groups,
        )

    @cached_property
    def cluster_numbers(self) -> Ints:
        """The clusters as numbers from 0, (N,)."""
        return cluster_index(self.clusters)

    def clusters_by_group(self) -> Ints:
        """Clusters with a sample of each group, (M,)."""
        known = self.groups != UNKNOWN
        pairs = np.unique(np.stack([self.cluster_numbers[known], self.groups[known]]), axis=1)
        return np.bincount(pairs[1], minlength=self.num_groups)

    def clusters_behind_rates(self) -> tuple[Ints, Ints]:
        """Clusters behind each true positive rate and behind each false positive rate, (M, C).

        A true positive rate rests on the clusters with a sample of the class, a false positive rate
        on those with a sample of another class.
        """
        known = self.groups != UNKNOWN
        owner = self.cluster_numbers[known] * self.num_groups + self.groups[known]
        cell = np.unique(owner * self.num_classes + self.labels[known])
        owners, first, classes = np.unique(
            cell // self.num_classes, return_index=True, return_counts=True
        )
        shape = (self.num_groups, self.num_classes)

        def total(cells: Ints) -> Ints:
            group = cells // self.num_classes % self.num_groups
            flat = group * self.num_classes + cells % self.num_classes
            return np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)

        of_group = np.bincount(owners % self.num_groups, minlength=self.num_groups)
        only_one_class = cell[first[classes == 1]]
        return total(cell), of_group[:, None] - total(only_one_class)
