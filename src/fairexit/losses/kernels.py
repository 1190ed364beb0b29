"""Squared distances and Gaussian kernels."""

from torch import Tensor


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
