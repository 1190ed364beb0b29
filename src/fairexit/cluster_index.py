"""Indices of clusters (the images of one lesion or patient)."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def cluster_index(names: "pd.Series[Any] | NDArray[Any]") -> NDArray[np.int64]:
    """Turn names of clusters into indices from 0; each empty name is a cluster of its own.

    Args:
        names: name of each sample's cluster, (N,); "" or a missing value is an empty name.
    Returns:
        Index of each sample's cluster, (N,).
    """
    series = pd.Series(names, dtype=object)
    index, known = pd.factorize(series.where(series != ""), use_na_sentinel=True)
    empty = index < 0
    index[empty] = len(known) + np.arange(empty.sum())
    return index.astype(np.int64)
