"""Hilbert-Schmidt independence criterion between features and the sensitive attribute."""

from typing import NamedTuple

import torch
from torch import Tensor

from fairexit.losses.kernels import gaussian, indicators, squared_distances
from fairexit.types import UNKNOWN

SMALLEST = 4
"""Fewest samples that the unbiased estimator takes; it divides by n - 3."""


class ClassHsic(NamedTuple):
    """HSIC of each class (C,), and whether it could be computed (C,); if not, it is 0."""

    values: Tensor
    valid: Tensor


def hsic(k_x: Tensor, k_y: Tensor) -> Tensor:
    """Unbiased estimator of HSIC from two kernel matrices (Song et al. 2012, eq. 5).

    Zero in expectation when the variables x and y are independent; may be negative on a sample.
    Any symmetric kernels are allowed: the diagonals are set to zero, not subtracted.

    Args:
        k_x: kernel matrix of x, (N, N).
        k_y: kernel matrix of y, (N, N).
    Returns:
        Scalar, no unit.
    Raises:
        ValueError: N < 4, where the estimator divides by zero.
    """
    if len(k_x) < SMALLEST:
        raise ValueError(f"HSIC needs at least {SMALLEST} samples, got {len(k_x)}")
    labels = torch.zeros(len(k_x), dtype=torch.long, device=k_x.device)
    return _estimate(_off_diagonal(k_x), _off_diagonal(k_y), labels, 1)[0]


def hsic_by_class(z: Tensor, groups: Tensor, labels: Tensor, num_classes: int) -> ClassHsic:
    """HSIC between features and attribute among the samples of each class.

    This is the penalty of Quadrianto et al. 2019. Rows of z are scaled to unit length. The kernels
    are Gaussian, exp(-d^2 / (2 mean d^2)); the mean is over all pairs of samples of the class and
    has no gradient. A class with fewer than four samples of known group, or with a single group,
    is not valid. All classes are computed at once, on one (N, N) matrix.

    Args:
        z: features, (N, D).
        groups: group indices or UNKNOWN, (N,).
        labels: classes, (N,), in [0, C).
        num_classes: C.
    Returns:
        HSIC (no unit; differentiable in z) and validity of each class.
    """
    z = _unit_rows(z.float())
    # Samples of unknown group are one more class, which is left out at the end. To select the
    # others would wait for the GPU.
    labels = torch.where(groups == UNKNOWN, num_classes, labels)
    parts = num_classes + 1
    same = labels[:, None] == labels[None, :]
    sizes = indicators(labels, parts).sum(0)

    def kernel(distances: Tensor) -> Tensor:
        within = torch.where(same, distances, 0).detach()
        total = torch.zeros(parts, device=z.device).index_add_(0, labels, within.sum(1))
        mean = total / sizes.square().clamp_min(1)
        # If all samples are equal, the kernel is 1 at any scale.
        scale = torch.where(mean > 0, mean, 1)
        return _off_diagonal(torch.where(same, gaussian(distances, scale[labels, None]), 0))

    # The squared distance of two one-hot attributes is 0 or 2.
    apart = (groups[:, None] != groups[None, :]).float() * 2
    mixed = torch.zeros(parts, device=z.device)
    mixed.index_add_(0, labels, torch.where(same, apart, 0).sum(1))
    valid = (sizes >= SMALLEST) & (mixed > 0)
    values = _estimate(kernel(squared_distances(z, z)), kernel(apart), labels, parts)
    return ClassHsic(torch.where(valid, values, 0)[:-1], valid[:-1])


def _unit_rows(z: Tensor) -> Tensor:
    """Scale rows to unit length; a row of zeros stays zero and keeps a finite gradient."""
    square = z.square().sum(1, keepdim=True)
    return z / torch.where(square > 0, square, 1).sqrt()


def _off_diagonal(k: Tensor) -> Tensor:
    """The matrix with its diagonal set to zero."""
    return k.masked_fill(torch.eye(len(k), dtype=torch.bool, device=k.device), 0)


def _estimate(k_x: Tensor, k_y: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """HSIC of each class, (C,), from kernels that are zero on the diagonal and across classes.

    All three terms of the estimator are sums of row-wise products, so one pass over the rows
    suffices.
    """
    rows_x, rows_y = k_x.sum(1), k_y.sum(1)
    rows = torch.stack([(k_x * k_y).sum(1), rows_x, rows_y, rows_x * rows_y], dim=1)
    sums = rows.new_zeros(num_classes, 4).index_add(0, labels, rows)
    n = indicators(labels, num_classes, rows.dtype).sum(0).clamp_min(SMALLEST)
    trace, total_x, total_y, cross = sums.unbind(1)
    value = trace + total_x * total_y / ((n - 1) * (n - 2)) - 2 * cross / (n - 2)
    return value / (n * (n - 3))
