"""Soft nearest neighbour loss: how entangled features are with respect to a label."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from fairexit.losses.kernels import squared_distances
from fairexit.types import UNKNOWN


class Snnl(NamedTuple):
    """The loss (scalar), and how many samples have no partner of their label in the batch."""

    value: Tensor
    without_partner: Tensor


class ExactSnnl(NamedTuple):
    """The loss of S labels at T temperatures over many samples, and what each sample does to it.

    Attributes:
        value: (S, T) in nats, float64; NaN where no sample has a partner.
        influence: (S, T, N) float64, the derivative by the sample's weight, which is 1 in the mean
            and in the sums of others (the temperature held). Over the samples it sums to zero.
        counted: (S,), samples that the mean is over.
        without_partner: (S,), samples left out because no other has their label.
        unit: what the temperatures are in units of; 1 for raw ones.
    """

    value: Tensor
    influence: Tensor
    counted: Tensor
    without_partner: Tensor
    unit: float


def snnl(z: Tensor, labels: Tensor, temperature: float, relative: bool = True) -> Snnl:
    """Soft nearest neighbour loss (Frosst et al. 2019, eq. 1), in nats; differentiable.

    High: entangled, the label cannot be read off. Samples alone in their label have no partner and
    are left out of the mean; those of label UNKNOWN are left out altogether.

    Args:
        z: features, (N, D).
        labels: (N,), or UNKNOWN.
        temperature: T, above zero.
        relative: T is in units of the mean squared distance of all pairs, without gradient.
    """
    known = labels != UNKNOWN
    z, labels = _centred(z[known]), labels[known]
    closeness = squared_distances(z, z) / (-temperature * _unit(z.detach(), relative))
    others = ~torch.eye(len(z), dtype=torch.bool, device=z.device)
    partners = (labels[:, None] == labels[None, :]) & others
    paired = partners.any(1)
    terms = torch.where(paired, _log_ratio(closeness, others, partners), 0)
    return Snnl(terms.sum() / paired.sum().clamp_min(1), (~paired).sum())


@torch.no_grad()
def exact_snnl(
    z: Tensor,
    labels: Sequence[Tensor],
    temperatures: Sequence[float],
    *,
    relative: bool = True,
    block: int = 256,
) -> ExactSnnl:
    """The same loss over a whole set, exact, of several labels at several temperatures at once.

    Rows are taken in blocks, each against all columns, so that memory grows with N and not with its
    square. A row's nearest sample is taken out of its exponents; where the partners of a row are so
    far off that their sum still fades, that row is computed by log-sum-exp.

    Args:
        z: features, (N, D).
        labels: S of them, each (N,), from 0, or UNKNOWN.
        temperatures: T of them, above zero.
        relative: they are in units of the mean squared distance of all pairs of the N samples.
        block: rows at a time; it changes speed and memory only.
    Raises:
        ValueError: fewer than two samples.
    """
    if len(z) < 2:
        raise ValueError(f"SNNL needs at least 2 samples, got {len(z)}")
    z = _centred(z)
    unit = _unit(z, relative)
    z = z * (2 / unit).sqrt()
    # A row's own norm is the same for all its columns, so it drops out of every ratio.
    norms = z.square().sum(1) / -2
    tallies = [[_Tally(one, t, z.dtype) for t in temperatures] for one in labels]
    room = z.new_empty(2, min(block, len(z)), len(z))
    for start in range(0, len(z), block):
        rows = slice(start, min(start + block, len(z)))
        closeness, kernel = room[:, : rows.stop - start]
        torch.addmm(norms, z[rows], z.T, out=closeness)
        closeness.diagonal(start).fill_(-torch.inf)
        closeness -= closeness.amax(1, keepdim=True)
        for k, temperature in enumerate(temperatures):
            torch.mul(closeness, 1 / temperature, out=kernel).exp_()
            for tally in tallies:
                tally[k].add(rows, closeness, kernel)
    found = [[tally.result() for tally in row] for row in tallies]
    return ExactSnnl(
        torch.stack([torch.stack([value for value, _ in row]) for row in found]),
        torch.stack([torch.stack([influence for _, influence in row]) for row in found]),
        torch.stack([row[0].paired.sum() for row in tallies]),
        torch.stack([(row[0].known & ~row[0].paired).sum() for row in tallies]),
        float(unit),
    )


class _Tally:
    """The terms of one label at one temperature, gathered block by block."""

    def __init__(self, labels: Tensor, temperature: float, dtype: torch.dtype) -> None:
        self.temperature = temperature
        self.known = labels != UNKNOWN
        self.labels = labels.clamp_min(0)
        self.members = (F.one_hot(self.labels).T * self.known).to(dtype).contiguous()
        self.paired = self.known & (self.members.sum(1)[self.labels] > 1)
        self.terms = self.members.new_zeros(len(labels))
        self.pull = torch.zeros_like(self.members)
        # Terms that the number format drops stay far below a sum of this size.
        self.faint = torch.finfo(dtype).tiny * 1e12

    def add(self, rows: slice, closeness: Tensor, kernel: Tensor) -> None:
        """Take a block of rows: (B, N), their nearest at 0 and themselves at minus infinity."""
        sums = self.members @ kernel.T
        own, everyone = sums.gather(0, self.labels[None, rows])[0], sums.sum(0)
        clear = self.paired[rows] & (own > self.faint)
        self.terms[rows] = torch.where(clear, (everyone / own).log(), 0)
        gain = torch.where(clear, 1 / everyone - self.members[:, rows] / own, 0)
        self.pull.addmm_(gain, kernel)
        faint = (self.paired[rows] & ~clear).nonzero()[:, 0]
        if len(faint):
            self._add_faint(faint + rows.start, closeness[faint] / self.temperature)

    def _add_faint(self, rows: Tensor, closeness: Tensor) -> None:
        others = self.known.expand_as(closeness)
        partners = (self.labels[rows, None] == self.labels) & self.known
        self.terms[rows] = _log_ratio(closeness, others, partners)
        everyone, own = (_only(closeness, m).softmax(1).sum(0) for m in (others, partners))
        self.pull += everyone - own

    def result(self) -> tuple[Tensor, Tensor]:
        """Value and influence."""
        terms, count = self.terms.double(), self.paired.sum()
        value = terms.sum() / count
        pull = self.pull.gather(0, self.labels[None])[0].double()
        own = torch.where(self.paired, terms - value, 0)
        return value, (own + torch.where(self.known, pull, 0)) / count


def _centred(z: Tensor) -> Tensor:
    """Distances stay, their rounding shrinks; never in half precision."""
    z = z.to(torch.promote_types(z.dtype, torch.float32))
    return z - z.mean(0)


def _unit(z: Tensor, relative: bool) -> Tensor:
    """Mean squared distance of all pairs of centred features, 1 where there is none to speak of."""
    mean = 2 * z.square().sum() / len(z)
    return torch.where(mean > 0, mean, 1) if relative else torch.ones_like(mean)


def _log_ratio(closeness: Tensor, others: Tensor, partners: Tensor) -> Tensor:
    """log of the sum of exp(closeness) over the others, minus that over the partners, per row."""
    return _only(closeness, others).logsumexp(1) - _only(closeness, partners).logsumexp(1)


def _only(closeness: Tensor, those: Tensor) -> Tensor:
    # Not minus infinity: a row without any would have NaN as its gradient.
    return closeness.masked_fill(~those, torch.finfo(closeness.dtype).min)
