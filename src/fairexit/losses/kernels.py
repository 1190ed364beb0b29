"""Squared distances and Gaussian kernels."""

import torch
from torch import Tensor


def indicators(labels: Tensor, number: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Columns that mark the samples of each label, without reading anything back from a GPU.

    Args:
        labels: indices, (N,); an index outside [0, number) is marked nowhere.
        number: number of labels, K.
        dtype: type of the result.
    Returns:
        1 where the sample has the column's label, else 0, (N, K).
    """
    return (labels[:, None] == torch.arange(number, device=labels.device)).to(dtype)


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Squared Euclidean distances of all pairs of rows.

    Args:
        x: (N, D).
        y: (K, D).
    Returns:
        (N, K), never negative.
    """
    norms = x.square().sum(1)[:, None] + y.square().sum(1)[None, :]
    return (norms - 2 * x @ y.T).clamp_min(0)


def gaussian(distances: Tensor, scale: Tensor | float) -> Tensor:
    """Gaussian kernel, exp(-d^2 / (2 scale)).

    Args:
        distances: squared distances d^2, any shape.
        scale: in the unit of d^2; a tensor broadcasts against `distances`.
    Returns:
        Values in (0, 1], of the broadcast shape.
    """
    return (distances / (-2 * scale)).exp()
