"""Soft nearest neighbour loss: how entangled features are with respect to a label."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from fairexit.losses.kernels import squared_distances
from fairexit.types import UNKNOWN


class Snnl(NamedTuple):
    """The loss (scalar), and the number of samples whose label no other sample has (scalar)."""

    value: Tensor
    without_partner: Tensor


class ExactSnnl(NamedTuple):
    """The loss of S labels at T temperatures over many samples, and each sample's influence on it.

    Attributes:
        value: (S, T) in nats, float64; NaN where no sample has a partner.
        influence: (S, T, N) float64, the derivative of the value with respect to the sample's
            weight in the mean and in the other samples' sums, at weights of 1 and with the
            temperature held fixed. It sums to zero over the samples.
        counted: (S,), number of samples in the mean.
        without_partner: (S,), number of samples left out because no other has their label.
        unit: unit of the temperatures; 1 if they are not relative.
        independent: (S, T), the mean value over the permuted labels; NaN without any.
    """

    value: Tensor
    influence: Tensor
    counted: Tensor
    without_partner: Tensor
    unit: float
    independent: Tensor


def snnl(z: Tensor, labels: Tensor, temperature: float, relative: bool = True) -> Snnl:
    """Soft nearest neighbour loss (Frosst et al. 2019, eq. 1), in nats; differentiable.

    High values mean that the features are entangled: the label cannot be read off them. A sample
    whose label no other sample has is left out of the mean; samples with the label UNKNOWN are left
    out altogether.

    Args:
        z: features, (N, D).
        labels: indices or UNKNOWN, (N,).
        temperature: T, above zero.
        relative: whether T is in units of the mean squared distance of all pairs, which has no
            gradient.
    Returns:
        The loss, and the number of samples without a partner.
    """
    known = labels != UNKNOWN
    # Masks in place of a selection, which would wait for the GPU.
    z = _centre(z, known)
    unit = _temperature_unit(z.detach(), relative, known.sum())
    closeness = squared_distances(z, z) / (-temperature * unit)
    others = known & ~torch.eye(len(z), dtype=torch.bool, device=z.device)
    partners = (labels[:, None] == labels[None, :]) & others
    paired = partners.any(1)
    terms = torch.where(paired, _log_ratio(closeness, others, partners), 0)
    return Snnl(terms.sum() / paired.sum().clamp_min(1), (known & ~paired).sum())


@torch.no_grad()
def exact_snnl(
    z: Tensor,
    labels: Sequence[Tensor],
    temperatures: Sequence[float],
    *,
    relative: bool = True,
    permuted: Sequence[Tensor] = (),
    block: int = 256,
) -> ExactSnnl:
    """Exact soft nearest neighbour loss of a whole set, for several labels and temperatures.

    Rows are processed in blocks, each against all columns, so memory grows linearly in N. The
    closeness of a row's nearest sample is subtracted from its exponents. If the partners of a row
    are so distant that their sum still underflows, that row is computed by log-sum-exp.

    Args:
        z: features, (N, D).
        labels: S labels, each (N,), indices from 0 or UNKNOWN.
        temperatures: T temperatures, above zero.
        relative: whether the temperatures are in units of the mean squared distance of all pairs
            of the N samples.
        permuted: for each of the S labels K permutations of it, (K, N), whose mean loss is what
            independence of the features gives.
        block: number of rows in a block; affects speed and memory only.
    Returns:
        Loss and influences of every label at every temperature.
    Raises:
        ValueError: fewer than two samples.
    """
    if len(z) < 2:
        raise ValueError(f"SNNL needs at least 2 samples, got {len(z)}")
    z = _centre(z)
    unit = _temperature_unit(z, relative)
    z = z * (2 / unit).sqrt()
    # The norm of the row's sample is the same in all its columns, so it cancels in every ratio.
    norms = z.square().sum(1) / -2
    sums = [[_Sums(label, t, z.dtype) for t in temperatures] for label in labels]
    null = [
        [[_Sums(label, t, z.dtype, influence=False) for label in drawn] for t in temperatures]
        for drawn in permuted
    ]
    buffers = z.new_empty(2, min(block, len(z)), len(z))
    for start in range(0, len(z), block):
        rows = slice(start, min(start + block, len(z)))
        closeness, kernel = buffers[:, : rows.stop - start]
        torch.addmm(norms, z[rows], z.T, out=closeness)
        closeness.diagonal(start).fill_(-torch.inf)
        closeness -= closeness.amax(1, keepdim=True)
        for k, temperature in enumerate(temperatures):
            torch.mul(closeness, 1 / temperature, out=kernel).exp_()
            for of_label in sums:
                of_label[k].add(rows, closeness, kernel)
            for at_temperatures in null:
                for of_permutation in at_temperatures[k]:
                    of_permutation.add(rows, closeness, kernel)
    value = torch.stack([torch.stack([s.value() for s in of_label]) for of_label in sums])
    independent = [[torch.stack([s.value() for s in drawn]).mean() for drawn in n] for n in null]
    return ExactSnnl(
        value,
        torch.stack([torch.stack([s.influence() for s in of_label]) for of_label in sums]),
        torch.stack([of_label[0].paired.sum() for of_label in sums]),
        torch.stack([(of_label[0].known & ~of_label[0].paired).sum() for of_label in sums]),
        float(unit),
        torch.tensor(independent).to(value) if null else torch.full_like(value, torch.nan),
    )


class _Sums:
    """Running sums of one label at one temperature, to which blocks of rows are added.

    Args:
        labels: indices from 0 or UNKNOWN, (N,).
        temperature: above zero.
        dtype: floating-point type of the features.
        influence: whether influences are summed too.
    """

    def __init__(
        self, labels: Tensor, temperature: float, dtype: torch.dtype, *, influence: bool = True
    ) -> None:
        self.temperature = temperature
        self.known = labels != UNKNOWN
        self.labels = labels.clamp_min(0)
        self.members = (F.one_hot(self.labels).T * self.known).to(dtype).contiguous()
        self.paired = self.known & (self.members.sum(1)[self.labels] > 1)
        self.terms = self.members.new_zeros(len(labels))
        self.column_influence = torch.zeros_like(self.members) if influence else None
        # Terms that underflow are far below a sum of this size.
        self.smallest = torch.finfo(dtype).tiny * 1e12

    def add(self, rows: slice, closeness: Tensor, kernel: Tensor) -> None:
        """Add a block of rows.

        Args:
            rows: the B rows of the block.
            closeness: minus the squared distances in the unit of the temperatures, (B, N), shifted
                so that each row's nearest sample is at 0; its own sample is at minus infinity.
            kernel: exp(closeness / temperature), (B, N).
        """
        by_label = self.members @ kernel.T
        partners, everyone = by_label.gather(0, self.labels[None, rows])[0], by_label.sum(0)
        accurate = self.paired[rows] & (partners > self.smallest)
        self.terms[rows] = torch.where(accurate, (everyone / partners).log(), 0)
        if self.column_influence is not None:
            slope = torch.where(accurate, 1 / everyone - self.members[:, rows] / partners, 0)
            self.column_influence.addmm_(slope, kernel)
        underflowing = (self.paired[rows] & ~accurate).nonzero()[:, 0]
        if len(underflowing):
            self._add_by_logsumexp(
                underflowing + rows.start, closeness[underflowing] / self.temperature
            )

    def _add_by_logsumexp(self, rows: Tensor, closeness: Tensor) -> None:
        """Add single rows (B,) whose sum over the partners underflows."""
        others = self.known.expand_as(closeness)
        partners = (self.labels[rows, None] == self.labels) & self.known
        self.terms[rows] = _log_ratio(closeness, others, partners)
        if self.column_influence is not None:
            everyone, partner = (_mask(closeness, m).softmax(1).sum(0) for m in (others, partners))
            self.column_influence += everyone - partner

    def value(self) -> Tensor:
        """The loss, a scalar."""
        return self.terms.double().sum() / self.paired.sum()

    def influence(self) -> Tensor:
        """Each sample's influence on the loss, (N,)."""
        assert self.column_influence is not None, "influences were not summed"
        by_row = torch.where(self.paired, self.terms.double() - self.value(), 0)
        by_column = self.column_influence.gather(0, self.labels[None])[0].double()
        return (by_row + torch.where(self.known, by_column, 0)) / self.paired.sum()


def _centre(z: Tensor, known: Tensor | None = None) -> Tensor:
    """Subtract the mean, in float32 or better: distances stay, their rounding errors shrink.

    Args:
        z: features, (N, D).
        known: False for rows that have no part in the mean and become 0, (N,); None for no such.
    """
    z = z.to(torch.promote_types(z.dtype, torch.float32))
    if known is None:
        return z - z.mean(0)
    mean = torch.where(known[:, None], z, 0).sum(0) / known.sum().clamp_min(1)
    return torch.where(known[:, None], z - mean, 0)


def _temperature_unit(z: Tensor, relative: bool, count: Tensor | int | None = None) -> Tensor:
    """Mean squared distance of all pairs of centred features; 1 if it is 0 or not relative.

    Args:
        z: centred features, (N, D).
        relative: whether it is wanted.
        count: number of the rows that are not left out; by default N.
    """
    mean = 2 * z.square().sum() / (len(z) if count is None else count)
    return torch.where(mean > 0, mean, 1) if relative else torch.ones_like(mean)


def _log_ratio(closeness: Tensor, others: Tensor, partners: Tensor) -> Tensor:
    """Log of the sum of exp(closeness) over the others, minus that over the partners, per row."""
    return _mask(closeness, others).logsumexp(1) - _mask(closeness, partners).logsumexp(1)


def _mask(closeness: Tensor, included: Tensor) -> Tensor:
    """Hide all other entries from a softmax or log-sum-exp."""
    # Not minus infinity: a row with nothing included would have a NaN gradient.
    return closeness.masked_fill(~included, torch.finfo(closeness.dtype).min)
