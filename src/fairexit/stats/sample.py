"""The labelled samples from which all statistics of this package are computed."""

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
    """Labels, groups and clusters of N samples, and the predictions of R models (exits, seeds).

    Args:
        labels: true classes, (N,), in [0, C).
        answers: predicted classes, (R, N), in [0, C).
        groups: groups, (N,), in [0, M) or UNKNOWN; no statistic counts samples of unknown group.
        clusters: names of lesions or patients, (N,); a sample named "" is a cluster of its own.
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
        is_matrix = self.answers.ndim == 2 and len(self.answers) > 0
        if not is_matrix or self.clusters.shape != self.labels.shape:
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
        """The same samples with the predicted classes of other models, (R, N)."""
        return replace(self, answers=answers)

    @cached_property
    def counts(self) -> Ints:
        """Samples by model, group, true class and predicted class, (R, M, C, C)."""
        return count(
            self.labels,
            self.answers,
            self.groups,
            num_classes=self.num_classes,
            num_groups=self.num_groups,
        )

    @cached_property
    def cluster_numbers(self) -> Ints:
        """Index of each sample's cluster from 0, (N,)."""
        return cluster_index(self.clusters)

    def clusters_by_group(self) -> Ints:
        """Number of clusters with a sample of each group, (M,)."""
        known = self.groups != UNKNOWN
        pairs = np.unique(np.stack([self.cluster_numbers[known], self.groups[known]]), axis=1)
        return np.bincount(pairs[1], minlength=self.num_groups)

    def clusters_behind_rates(self) -> tuple[Ints, Ints]:
        """Number of clusters behind each true positive and each false positive rate, (M, C) each.

        A true positive rate is computed from the clusters with a sample of the class, a false
        positive rate from those with a sample of another class.
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

        clusters = np.bincount(owners % self.num_groups, minlength=self.num_groups)
        of_single_class = cell[first[classes == 1]]
        return total(cell), clusters[:, None] - total(of_single_class)
