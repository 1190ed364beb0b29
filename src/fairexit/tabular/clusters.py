"""Clusters (lesions, patients) as a table names them."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairexit.errors import short
from fairexit.tabular.names import clean, code_key, unknown_mask

MAX_SHARE = 0.1
"""Share of the rows above which a cluster is suspected to be a placeholder."""

MAX_FORMS = 500_000
"""Different names up to which forms of one name are looked for, which takes a second."""

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
    forms, notes = _forms(column, cells)
    names = np.array([*forms, ""], object)
    names[unknown] = ""
    numbers, uniques = pd.factorize(names)
    sizes = np.bincount(numbers[codes[~unknown[codes]]], minlength=len(uniques))
    if len(sizes) and len(codes) >= MIN_ROWS and sizes.max() > MAX_SHARE * len(codes):
        largest = int(sizes.argmax())
        notes.append(
            f"'{short(uniques[largest])}' in column '{short(column)}' holds "
            f"{100 * sizes[largest] / len(codes):.0f} % of the rows; if it means that the value is "
            "unknown, name it among the unknown values"
        )
    return names[codes], notes


def _forms(column: str, cells: Sequence[str]) -> tuple[list[str], list[str]]:
    """The name of each cell, the same for all forms of one name, and a note about such forms."""
    cleaned = [clean(cell) for cell in cells]
    if len(cells) > MAX_FORMS:
        return cleaned, []
    first: dict[str, str] = {}
    names = [first.setdefault(code_key(cell), cell) for cell in cleaned]
    merged = [(a, b) for a, b in zip(cleaned, names, strict=True) if a != b]
    if not merged:
        return names, []
    a, b = merged[0]
    note = (
        f"{len(merged)} names in column '{short(column)}' are other forms of names there, such as "
        f"'{short(a)}' of '{short(b)}', and are read as these"
    )
    return names, [note]
