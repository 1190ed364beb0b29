"""Hilbert-Schmidt independence criterion between features and the sensitive attribute."""

from typing import NamedTuple

import torch
from torch import Tensor

from fairexit.losses.kernels import gaussian, squared_distances
from fairexit.types import UNKNOWN

SMALLEST = 4
"""The unbiased estimator divides by n - 3."""


class ClassHsic(NamedTuple):
    """HSIC of each class (C,), and whether it could be computed (C,); elsewhere it is 0."""

    values: Tensor
    valid: Tensor


def hsic(k: Tensor, other: Tensor) -> Tensor:
    """Unbiased estimator of HSIC from two kernel matrices (Song et al. 2012, eq. 5).

    Zero in expectation when the two are independent; may be negative on a sample. Any symmetric
    kernels will do: the diagonals are set to zero, not subtracted.

    Args:
        k: kernel matrix of the one variable, (N, N).
        other: of the other, (N, N).
    Returns:
        Scalar, no unit.
    Raises:
        ValueError: N < 4, where the estimator divides by zero.
    """
    if len(k) < SMALLEST:
        raise ValueError(f"HSIC needs at least {SMALLEST} samples, got {len(k)}")
    one_class = torch.zeros(len(k), dtype=torch.long, device=k.device)
    return _estimate(_off_diagonal(k), _off_diagonal(other), one_class, 1)[0]


def hsic_by_class(z: Tensor, groups: Tensor, labels: Tensor, num_classes: int) -> ClassHsic:
    """HSIC between features and attribute among the samples of each class.

    The penalty of Quadrianto et al. 2019. Rows of z are scaled to unit length; the kernels are
    Gaussian, exp(-d^2 / (2 mean d^2)), the mean over all pairs of the class's samples and without
    gradient. A class with fewer than four samples of known group, or with one group only, has no
    term. All classes are computed at once, on one (N, N) matrix.

    Args:
        z: features, (N, D).
        groups: group indices or UNKNOWN, (N,).
        labels: classes, (N,), in [0, C).
        num_classes: C.
    Returns:
        HSIC and validity of each class, no unit; differentiable in z.
    """
    known = groups != UNKNOWN
    z, groups, labels = _unit(z[known].float()), groups[known], labels[known]
    same = labels[:, None] == labels[None, :]
    sizes = torch.bincount(labels, minlength=num_classes)

    def kernel(distances: Tensor) -> Tensor:
        within = torch.where(same, distances, 0).detach()
        total = torch.zeros(num_classes, device=z.device).index_add_(0, labels, within.sum(1))
        mean = total / sizes.square().clamp_min(1)
        # Where all is equal the kernel is 1 whatever the scale.
        scale = torch.where(mean > 0, mean, 1)
        return _off_diagonal(torch.where(same, gaussian(distances, scale[labels, None]), 0))

    # One-hot attributes are 0 or 2 apart.
    other = (groups[:, None] != groups[None, :]).float() * 2
    mixed = torch.zeros(num_classes, device=z.device)
    mixed.index_add_(0, labels, torch.where(same, other, 0).sum(1))
    valid = (sizes >= SMALLEST) & (mixed > 0)
    values = _estimate(kernel(squared_distances(z, z)), kernel(other), labels, num_classes)
    return ClassHsic(torch.where(valid, values, 0), valid)


def _unit(z: Tensor) -> Tensor:
    """Rows of unit length; a row of zeros stays, with a gradient like the others'."""
    square = z.square().sum(1, keepdim=True)
    return z / torch.where(square > 0, square, 1).sqrt()


def _off_diagonal(k: Tensor) -> Tensor:
    return k.masked_fill(torch.eye(len(k), dtype=torch.bool, device=k.device), 0)


def _estimate(k: Tensor, other: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """The estimator of each class, from kernels that are zero on the diagonal and across classes.

    All three of its terms are sums of row-wise products, so one pass over the rows does.
    """
    rows_k, rows_l = k.sum(1), other.sum(1)
    rows = torch.stack([(k * other).sum(1), rows_k, rows_l, rows_k * rows_l], dim=1)
    sums = rows.new_zeros(num_classes, 4).index_add(0, labels, rows)
    n = torch.bincount(labels, minlength=num_classes).clamp_min(SMALLEST).to(rows.dtype)
    trace, total_k, total_l, cross = sums.unbind(1)
    value = trace + total_k * total_l / ((n - 1) * (n - 2)) - 2 * cross / (n - 2)
    return value / (n * (n - 3))
