"""Clusters (lesions, patients) as a table names them."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import option, short
from fairexit.tabular.names import clean, unknown_mask

MAX_SHARE = 0.1
"""Share of the rows above which a cluster is suspected to be a placeholder."""

MIN_ROWS = 50
"""Rows below which no cluster is suspected."""


def cluster_names(
    column: str, codes: NDArray[np.int64], cells: Sequence[str], unknown_values: Iterable[str] = ()
) -> tuple[NDArray[np.object_], list[str]]:
    """Names of clusters, and a warning about one that holds a large share of the rows.

    A cell such as "unknown" is no patient: its row is a cluster of its own.

    Args:
        column: its name.
        codes: cell of each sample, (N,), -1 where the cell is empty.
        cells: the different cells.
        unknown_values: further names of unknown values.
    Returns:
        Name of each sample's cluster, (N,), "" where it is not known; and notes.
    """
    unknown = np.append(unknown_mask(cells, unknown_values), True)
    names = np.array([*(clean(cell) for cell in cells), ""], object)
    names[unknown] = ""
    sizes = np.bincount(codes[~unknown[codes]], minlength=len(cells))
    notes = []
    if len(sizes) and len(codes) >= MIN_ROWS and sizes.max() > MAX_SHARE * len(codes):
        largest = int(sizes.argmax())
        notes.append(
            f"'{short(names[largest])}' in column '{short(column)}' holds "
            f"{100 * sizes[largest] / len(codes):.0f} % of the rows; if it means that the value is "
            f"unknown, say so with {option('unknown_values')}"
        )
    return names[codes], notes
