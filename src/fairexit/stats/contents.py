"""What clusters consist of: which of millions of clusters hold the same kinds of images."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from fairexit.stats.sample import Ints


class Contents(NamedTuple):
    """The different contents of K clusters.

    Attributes:
        code: the content of each cluster, (K,), numbered in the order of their first clusters.
        owner: the content of each image of the first clusters, in ascending order, (I,).
        kinds: the kind of each of those images, ascending within a content, (I,).
    """

    code: Ints
    owner: Ints
    kinds: Ints


def find_contents(index: Ints, kind: Ints) -> Contents:
    """Find the clusters that consist of the same kinds of images.

    Clusters are compared by sums of random numbers, one for each kind, and then wholly.

    Args:
        index: cluster of each image from 0, (N,); every cluster has an image.
        kind: kind of each image, (N,), not negative.
    """
    kinds = kind[np.lexsort((kind, index))]
    sizes = np.bincount(index)
    starts = np.cumsum(sizes) - sizes
    rng = np.random.default_rng(0)
    while True:
        numbers = rng.integers(0, 2**64, int(kinds.max()) + 1, np.uint64)
        code = pd.factorize(np.add.reduceat(numbers[kinds], starts))[0].astype(np.int64)
        first = np.flatnonzero(~pd.Series(code).duplicated().to_numpy())
        example = first[code]
        if (sizes == sizes[example]).all():
            like = np.repeat(starts[example] - starts, sizes) + np.arange(len(kinds))
            if (kinds == kinds[like]).all():
                break
    owner = np.repeat(np.arange(len(first)), sizes[first])
    within = np.arange(len(owner)) - np.repeat(np.cumsum(sizes[first]) - sizes[first], sizes[first])
    return Contents(code, owner, kinds[np.repeat(starts[first], sizes[first]) + within])


def profiles_of(index: Ints, labels: Ints) -> Ints:
    """The class profile of each cluster: how many images it has of each class, (K,).

    Profiles are numbered in ascending order of these numbers, those of the first class first.

    Args:
        index: cluster of each image from 0, (N,).
        labels: class of each image, (N,).
    """
    contents = find_contents(index, labels)
    # More images of an early class make the sorted labels smaller at the first difference.
    reversed_labels = (int(labels.max()) - contents.kinds).astype(">u4").tobytes()
    ends = 4 * np.cumsum(np.bincount(contents.owner))
    keys = [
        reversed_labels[start:end]
        for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)
    ]
    rank = np.empty(len(keys), np.int64)
    rank[sorted(range(len(keys)), key=keys.__getitem__)] = np.arange(len(keys))
    return rank[contents.code]
