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
    """exp(-d^2 / (2 scale)).

    Args:
        distances: squared, of any shape.
        scale: in their unit; a tensor has a shape that fits theirs.
    Returns:
        Of the distances' shape, in (0, 1].
    """
    return (distances / (-2 * scale)).exp()
