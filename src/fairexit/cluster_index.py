"""Clusters (the images of one lesion or patient) as numbers."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def cluster_index(names: "pd.Series[Any] | NDArray[Any]") -> NDArray[np.int64]:
    """Names of clusters as numbers from 0, (N,); each empty one is a cluster of its own."""
    series = pd.Series(names, dtype=object)
    index, known = pd.factorize(series.where(series != ""), use_na_sentinel=True)
    empty = index < 0
    index[empty] = len(known) + np.arange(empty.sum())
    return index.astype(np.int64)
