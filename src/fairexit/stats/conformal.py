"""Quantiles of scores for prediction sets, with clusters of dependent samples."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def cluster_quantile(scores: NDArray[Any], clusters: NDArray[np.int64], coverage: float) -> float:
    """The score that a new sample of a new cluster stays at or below with probability `coverage`.

    Each of k clusters has the weight 1 / (k + 1), shared equally by its samples, and so has
    infinity: the pooled quantile of Dunn, Wasserman and Ramdas (2023) for exchangeable clusters.
    Where every sample is a cluster of its own, it is the quantile of split conformal prediction.

    Args:
        scores: of the samples, (N,); the higher, the less the true class conforms.
        clusters: index of each sample's cluster, (N,).
        coverage: probability in (0, 1), over the clusters that are drawn.
    Returns:
        The quantile; infinity where too few clusters are at hand.

    >>> float(cluster_quantile(np.arange(1.0, 10.0), np.arange(9), 0.9))
    9.0
    >>> float(cluster_quantile(np.arange(1.0, 9.0), np.arange(8), 0.9))
    inf
    """
    _, unit, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    order = np.argsort(scores, kind="stable")
    weights = 1 / sizes[unit[order]] / (len(sizes) + 1)
    # Sums of float weights that should reach the coverage exactly must not miss it.
    reached = np.flatnonzero(np.cumsum(weights) >= coverage - 1e-12)
    return float(scores[order[reached[0]]]) if len(reached) else float("inf")
