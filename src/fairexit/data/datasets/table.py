"""Datasets without code: a CSV, TSV or Parquet table and a folder of image files."""

from pathlib import Path

from fairexit.data.datasets import datasets
from fairexit.data.matching import find_images
from fairexit.data.records import Dataset, Listing, need_columns, read_table
from fairexit.errors import UserError, option, short
from fairexit.types import UNKNOWN_NAMES


@datasets.register("table")
class TableDataset(Dataset):
    """One row per image; files are matched by id, with or without an ending, in any subfolder.

    Args:
        id: column of the image ids or file names.
        label: column of the class.
        group: columns of the sensitive attributes, the main one first.
        cluster: column of the lesion or patient.
        images: folder of the images; by default the folder of the table.
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
    ) -> None:
        columns = [id, label, *group]
        repeated = next((name for name in columns if columns.count(name) > 1), None)
        if repeated is not None:
            raise UserError(
                f"column '{short(repeated)}' is named twice; id, label and groups must differ"
            )
        self.id, self.label, self.group = id, label, group
        self.cluster, self.images = cluster, images

    def read(self, source: Path) -> Listing:
        table = read_table(source)
        wanted = [self.id, self.label, *self.group, *([self.cluster] if self.cluster else [])]
        need_columns(table, wanted, source)
        folder = self.images or source.parent
        if not folder.is_dir():
            raise UserError(
                f"there is no folder {folder}; name the folder of the images with "
                f"{option('images')}"
            )
        frame = table[[self.id, self.label, *self.group]].copy()
        frame.columns = ["id", "label", *self.group]
        frame["cluster"] = table[self.cluster].fillna("") if self.cluster else ""
        files = find_images(folder, table[self.id].dropna())
        frame["path"] = table[self.id].map(lambda name: files.paths.get(name, ""))
        for name in self.group:
            unknown = frame[name].astype(str).str.strip().str.lower().isin(UNKNOWN_NAMES)
            frame[name] = frame[name].mask(unknown | frame[name].isna(), None)
        classes = tuple(sorted(frame["label"].dropna().unique()))
        attributes = {name: tuple(sorted(frame[name].dropna().unique())) for name in self.group}
        return Listing(frame, classes, attributes, files)
