"""Batches out of a prepared dataset, the same for any batch size, device or restart."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fairexit.data.augment import Augment
from fairexit.data.prepared import Prepared
from fairexit.types import Batch


def balancing_weights(strata: NDArray[np.int64], power: float) -> NDArray[np.float64]:
    """Sampling weights that sum to one: a stratum weighs its count to the power 1 - `power`."""
    counts = np.bincount(strata)[strata].astype(float)
    weights = counts**-power
    return weights / weights.sum()


POWERS = {"natural": 0.0, "sqrt": 0.5, "balanced": 1.0, "group-balanced": 1.0}


class Loader:
    """Batches of chosen rows of a prepared dataset.

    Images are gathered from the memory map and augmented as a whole batch, in this process: there
    is no decoder to wait for.

    Args:
        data: the dataset.
        rows: which of its rows.
        attribute: the sensitive attribute.
        batch_size: largest number of images in a batch.
        device: where the batches go.
        rank, world: this process and how many there are; each gets its own share of the rows,
            none padded.
    """

    def __init__(
        self,
        data: Prepared,
        rows: NDArray[np.int64],
        attribute: str,
        *,
        batch_size: int,
        device: torch.device,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.rows = rows
        self.batch_size = batch_size
        self.device = device
        self.rank, self.world = rank, world
        self._images = data.images
        self._labels = torch.from_numpy(data.labels)
        self._groups = torch.from_numpy(data.groups(attribute))
        self._clusters = torch.from_numpy(data.clusters)

    @property
    def labels(self) -> Tensor:
        """Classes of the rows, (N,)."""
        return self._labels[self.rows]

    @property
    def groups(self) -> Tensor:
        """Groups of the rows or UNKNOWN, (N,)."""
        return self._groups[self.rows]

    @property
    def clusters(self) -> Tensor:
        """Numbers of the clusters of this process's rows, in the order of `evaluation`."""
        return self._clusters[self._mine]

    @property
    def _mine(self) -> NDArray[np.int64]:
        return self.rows[self.rank :: self.world]

    def evaluation(self, augment: Augment) -> Iterator[Batch]:
        """Every row once, in order; `augment` should change nothing but the scale."""
        for start in range(0, len(self._mine), self.batch_size):
            chosen = self._mine[start : start + self.batch_size]
            yield self._batch(chosen, np.arange(len(chosen)), augment, epoch=0)

    def training(self, augment: Augment, sampling: str, seed: int, epoch: int) -> Iterator[Batch]:
        """One epoch in random order; with replacement where classes are balanced.

        The order depends on seed and epoch alone, so a restarted run meets the same batches.
        """
        order = self.order(sampling, seed, epoch)
        batches = np.array_split(np.arange(len(order)), self.steps(len(order)))
        for positions in batches:
            mine = positions[self.rank :: self.world]
            yield self._batch(order[mine], mine, augment, epoch)

    def steps(self, images: int | None = None) -> int:
        """Number of batches in an epoch."""
        return -(-(len(self.rows) if images is None else images) // self.batch_size)

    def order(self, sampling: str, seed: int, epoch: int) -> NDArray[np.int64]:
        """The rows of one training epoch."""
        rng = np.random.default_rng([seed, epoch])
        if sampling == "natural":
            return rng.permutation(self.rows)
        strata = self.labels.numpy()
        if sampling == "group-balanced":
            # Unknown groups are -1, one more stratum of each class.
            strata = strata * (int(self.groups.max()) + 2) + self.groups.numpy() + 1
        weights = balancing_weights(strata, POWERS[sampling])
        return rng.choice(self.rows, len(self.rows), p=weights)

    def _batch(
        self, rows: NDArray[np.int64], positions: NDArray[np.int64], augment: Augment, epoch: int
    ) -> Batch:
        # Stored rows are H x W x 3, so this view is channels-last already.
        images = torch.from_numpy(self._images[rows]).permute(0, 3, 1, 2)
        if self.device.type == "cuda":
            # Else a copy of this size waits for what the GPU is at.
            images = images.pin_memory()
        ready: Tensor = augment(images.to(self.device, non_blocking=True), positions, epoch)
        return Batch(
            ready.contiguous(memory_format=torch.channels_last),
            self._labels[rows].to(self.device, non_blocking=True),
            self._groups[rows].to(self.device, non_blocking=True),
        )
