"""Datasets without code: a CSV, TSV or Parquet table and a folder of image files."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairexit.data.datasets import datasets
from fairexit.data.matching import find_images
from fairexit.data.records import Dataset, Listing, read_table
from fairexit.errors import UserError, option, short
from fairexit.tabular.clusters import cluster_names
from fairexit.tabular.groupings import Grouping, make_groups
from fairexit.tabular.names import missing_classes, reconcile


@datasets.register("table")
class TableDataset(Dataset):
    """One row per image; files are matched by id, with or without an ending, in any subfolder.

    Args:
        id: column of the image ids or file names.
        label: column of the class.
        group: columns of the sensitive attributes, the main one first.
        cluster: column of the lesion or patient.
        images: folder of the images; by default the folder of the table.
        bins, merge, min_group, unknown_values: how groups are made of the values of a column, see
            `fairexit.tabular.groupings.Grouping`.
    Raises:
        UserError: two of id, label and groups are the same column.
    """

    def __init__(
        self,
        *,
        id: str,
        label: str,
        group: list[str],
        cluster: str | None = None,
        images: Path | None = None,
        bins: dict[str, list[float]] | None = None,
        merge: dict[str, dict[str, str]] | None = None,
        min_group: int = 0,
        unknown_values: list[str] | None = None,
    ) -> None:
        columns = [id, label, *group]
        repeated = next((name for name in columns if columns.count(name) > 1), None)
        if repeated is not None:
            raise UserError(
                f"column '{short(repeated)}' is named twice; id, label and groups must differ"
            )
        self.id, self.label, self.group = id, label, group
        self.cluster, self.images = cluster, images
        self.bins, self.merge, self.min_group = bins or {}, merge or {}, min_group
        self.unknown_values = unknown_values or []
        self.grouping.check(self.group)

    @property
    def grouping(self) -> Grouping:
        """How groups are made."""
        return Grouping(self.bins, self.merge, self.min_group, self.unknown_values)

    def read(self, source: Path) -> Listing:
        wanted = [self.id, self.label, *self.group, *([self.cluster] if self.cluster else [])]
        table = read_table(source, wanted)
        folder = self.images or source.parent
        if not folder.is_dir():
            raise UserError(
                f"there is no folder {folder}; name the folder of the images with "
                f"{option('images')}"
            )
        frame = pd.DataFrame({"id": table[self.id]})
        codes, cells = _coded(table[self.label])
        missing = missing_classes(cells)
        classes = [cell for cell in cells if cell not in missing]
        names = reconcile({self.label: classes}, booleans=True)
        of_cell = np.full(len(cells), -1)
        of_cell[[cell not in missing for cell in cells]] = names.indices[0]
        frame["label"] = _named(codes, of_cell, names.names)
        notes = list(names.notes)
        frame["cluster"] = ""
        if self.cluster:
            unknown = self.grouping.unknown_values
            clusters = cluster_names(self.cluster, *_coded(table[self.cluster]), unknown)
            frame["cluster"] = clusters[0].astype(object)
            notes += clusters[1]
        attributes, small = {}, None
        for name in self.group:
            made = make_groups(name, *_coded(table[name]), grouping=self.grouping)
            frame[name] = np.array([*made.names, None], object)[made.index]
            attributes[name] = made.names
            notes += made.notes
            small = made.small if name == self.group[0] else small
        files = find_images(folder, table[self.id].dropna())
        frame["path"] = table[self.id].map(lambda name: files.paths.get(name, ""))
        return Listing(frame, names.names, attributes, notes=tuple(notes), small=small, files=files)


def _coded(column: "pd.Series[str]") -> tuple[NDArray[np.int64], list[str]]:
    """Cell of each row, (N,), -1 where it is empty; and the different cells."""
    codes, cells = pd.factorize(column)
    return codes.astype(np.int64), [str(cell) for cell in cells]


def _named(
    codes: NDArray[np.int64], index_of_cell: NDArray[np.int64], names: tuple[str, ...]
) -> NDArray[np.object_]:
    """The name of each row, (N,), None where its cell is empty."""
    index = np.append(index_of_cell, -1)[codes]
    return np.array([*names, None], object)[index]
