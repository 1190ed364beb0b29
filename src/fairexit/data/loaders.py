"""Batches of a prepared dataset, reproducible for any batch size, device or restart."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fairexit.data.augment import Augment
from fairexit.data.prepared import Prepared
from fairexit.types import Batch


def balancing_weights(strata: NDArray[np.int64], power: float) -> NDArray[np.float64]:
    """Sampling weights of the samples, such that strata are balanced wholly or in part.

    Args:
        strata: index of each sample's stratum, (N,).
        power: a stratum's total weight is proportional to its count to the power 1 - `power`.
    Returns:
        Weights that sum to one, (N,).
    """
    counts = np.bincount(strata)[strata].astype(float)
    weights = counts**-power
    return weights / weights.sum()


POWERS = {"natural": 0.0, "sqrt": 0.5, "balanced": 1.0, "group-balanced": 1.0}
"""The `power` of `balancing_weights` for each way of sampling."""

CHUNK = 1024
"""Images that are copied to a device at a time."""
SPARED = 0.25
"""Share of a GPU's free memory that images may take; the step needs the rest."""


class Loader:
    """Batches of selected rows of a prepared dataset.

    Images are read from the memory map, or lie on the device, and are augmented as whole batches in
    this process; as nothing has to be decoded, there are no worker processes.

    Args:
        data: the dataset.
        rows: row numbers, (N,).
        attribute: the sensitive attribute.
        batch_size: largest number of images in a batch.
        device: device on which the batches are placed.
        weights: factor on each row's probability to be drawn in training, (N,); None for equal
            ones.
        rank: index of this process.
        world: number of processes; each gets its own part of the rows, without padding. For
            `evaluation` it is drawn at random: every second row may be of the same group.
        resident: whether the images of the rows are copied to the device at once.
    """

    def __init__(
        self,
        data: Prepared,
        rows: NDArray[np.int64],
        attribute: str,
        *,
        batch_size: int,
        device: torch.device,
        weights: Tensor | None = None,
        rank: int = 0,
        world: int = 1,
        resident: bool = False,
    ) -> None:
        self.rows = rows
        self.batch_size = batch_size
        self.device = device
        self._weights = None if weights is None else weights.numpy()
        self.rank, self.world = rank, world
        self._images = _Resident(data.images, rows, device) if resident else data.images
        self._labels = torch.from_numpy(data.labels)
        self._groups = torch.from_numpy(data.groups(attribute))
        self._clusters = torch.from_numpy(data.clusters)
        self._targets = torch.stack([self._labels, self._groups]).to(device)
        order = np.random.default_rng(0).permutation(len(rows))
        self._process_rows = rows[np.sort(order[rank::world])]

    @property
    def labels(self) -> Tensor:
        """Classes of the rows, (N,)."""
        return self._labels[self.rows]

    @property
    def groups(self) -> Tensor:
        """Groups of the rows, or UNKNOWN, (N,)."""
        return self._groups[self.rows]

    @property
    def evaluated_groups(self) -> Tensor:
        """Groups of this process's rows, or UNKNOWN, in the order of `evaluation`."""
        return self._groups[self._process_rows]

    @property
    def evaluated_clusters(self) -> Tensor:
        """Cluster numbers of this process's rows, in the order of `evaluation`."""
        return self._clusters[self._process_rows]

    def evaluation(self, augment: Augment) -> Iterator[Batch]:
        """This process's rows, once and in order; `augment` should only scale the values."""
        for start in range(0, len(self._process_rows), self.batch_size):
            rows = self._process_rows[start : start + self.batch_size]
            yield self._batch(rows, np.arange(len(rows)), augment, epoch=0)

    def training(self, augment: Augment, sampling: str, seed: int, epoch: int) -> Iterator[Batch]:
        """One epoch in random order.

        Rows are drawn with replacement, unless sampling is natural and all weights are equal.
        The order depends on seed and epoch only, so a resumed run sees the same batches.

        Args:
            augment: the augmentation.
            sampling: one of `POWERS`.
            seed: seed of the order.
            epoch: number of the epoch.
        """
        order = self.order(sampling, seed, epoch)
        batches = np.array_split(np.arange(len(order)), self.steps(len(order)))
        for positions in batches:
            part = positions[self.rank :: self.world]
            yield self._batch(order[part], part, augment, epoch)

    def steps(self, images: int | None = None) -> int:
        """Number of batches in an epoch of that many images; by default of all rows."""
        return -(-(len(self.rows) if images is None else images) // self.batch_size)

    def images_of(self, step: int) -> int:
        """Number of images of all processes in one batch of an epoch.

        Args:
            step: number of the batch, from 0.
        """
        images, steps = len(self.rows), self.steps()
        return images // steps + (step < images % steps)

    def order(self, sampling: str, seed: int, epoch: int) -> NDArray[np.int64]:
        """The rows of one training epoch, in order, (N,)."""
        rng = np.random.default_rng([seed, epoch])
        if sampling == "natural" and self._weights is None:
            return rng.permutation(self.rows)
        return rng.choice(self.rows, len(self.rows), p=self._draw_probabilities(sampling))

    def expected_draws(self, sampling: str) -> Tensor:
        """Mean number of times that an epoch draws each row, (N,)."""
        return torch.from_numpy(len(self.rows) * self._draw_probabilities(sampling))

    def _draw_probabilities(self, sampling: str) -> NDArray[np.float64]:
        """Probability of each row at one draw, (N,)."""
        strata = self.labels.numpy()
        if sampling == "group-balanced":
            # An unknown group is -1; it is a further stratum of each class.
            strata = strata * (int(self.groups.max()) + 2) + self.groups.numpy() + 1
        probabilities = balancing_weights(strata, POWERS[sampling])
        if self._weights is None:
            return probabilities
        weighted = probabilities * self._weights
        return weighted / weighted.sum()

    def _batch(
        self, rows: NDArray[np.int64], positions: NDArray[np.int64], augment: Augment, epoch: int
    ) -> Batch:
        images, index = self._images[rows], torch.from_numpy(rows)
        if isinstance(images, np.ndarray):
            images = torch.from_numpy(images)
        if self.device.type == "cuda":
            # A copy of this size from pageable memory would wait for the GPU's pending work.
            images = images if images.is_cuda else images.pin_memory()
            index = index.pin_memory()
        labels, groups = self._targets[:, index.to(self.device, non_blocking=True)]
        # Images are stored as H x W x 3, so this view is channels-last already.
        images = images.to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        augmented = augment(images, positions, epoch)
        return Batch(augmented.contiguous(memory_format=torch.channels_last), labels, groups)


class _Resident:
    """Images on a device, by their row number in the dataset.

    Args:
        images: those of the dataset, (N, H, W, 3) uint8.
        rows: the rows that are needed.
        device: the device.
    """

    def __init__(
        self, images: NDArray[np.uint8], rows: NDArray[np.int64], device: torch.device
    ) -> None:
        self._images = torch.empty((len(rows), *images.shape[1:]), dtype=torch.uint8, device=device)
        for start in range(0, len(rows), CHUNK):
            part = slice(start, start + CHUNK)
            self._images[part] = torch.from_numpy(images[rows[part]]).to(device)
        self._position = torch.zeros(len(images), dtype=torch.long)
        self._position[rows] = torch.arange(len(rows))

    def __getitem__(self, rows: NDArray[np.int64]) -> Tensor:
        index = self._position[rows]
        if self._images.is_cuda:
            index = index.pin_memory()
        return self._images.index_select(0, index.to(self._images.device, non_blocking=True))


def fits(data: Prepared, rows: NDArray[np.int64], device: torch.device) -> bool:
    """Whether the images of some rows should lie on a device: on a GPU with memory to spare."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return len(rows) * data.images[0].nbytes <= SPARED * free
