"""Labels as they would be if they were independent of the features."""

import numpy as np
from numpy.typing import NDArray

from fairexit.types import UNKNOWN

Ints = NDArray[np.int64]


def permuted_labels(labels: Ints, clusters: Ints, permutations: int, random_state: int = 0) -> Ints:
    """Permute labels among whole clusters of the same size.

    Images of a cluster resemble each other and mostly share their label, whatever the features
    know of it. So they stay together; permuting single images would take that resemblance for
    knowledge. Clusters with an unknown label keep their labels.

    Args:
        labels: labels or UNKNOWN, (N,).
        clusters: index of each image's cluster from 0, (N,).
        permutations: number of permutations, K.
        random_state: seed of the permutations.
    Returns:
        The labels of each permutation, (K, N).
    """
    rng = np.random.default_rng(random_state)
    sizes = np.bincount(clusters)
    sizes[clusters[labels == UNKNOWN]] = 0
    order = np.argsort(clusters, kind="stable")
    permuted = np.tile(labels, (permutations, 1))
    for size in np.unique(sizes[sizes > 0]):
        places = order[sizes[clusters[order]] == size].reshape(-1, size)
        for row in permuted:
            row[places] = labels[rng.permutation(places)]
    return permuted
