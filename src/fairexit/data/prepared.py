"""The prepared form of a dataset: a folder with decoded images, records and a description."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairexit.cluster_index import cluster_index
from fairexit.data.records import SPLITS
from fairexit.data.splits import split_of_fold
from fairexit.errors import UserError, nearest, reason, short
from fairexit.types import UNKNOWN, Task

FORMAT = 1
RECORDS = "records.parquet"
NEEDED = {"name", "classes", "attributes", "options", "leaks", "checksums", "skipped"}


@dataclass(frozen=True)
class Prepared:
    """A prepared dataset in a folder.

    Attributes:
        path: the folder.
        info: content of `dataset.json`.
        frame: one row per image: id, label, the attributes, cluster and split or fold.
        images: (N, H, W, 3) uint8, memory-mapped.
    """

    path: Path
    info: dict[str, Any]
    frame: pd.DataFrame
    images: NDArray[np.uint8]

    def __repr__(self) -> str:
        groups = "; ".join(f"{name}: {', '.join(g)}" for name, g in self.attributes.items())
        return (
            f"Prepared({str(self.path)!r}: {self.name}, {len(self.frame)} images of {self.size} "
            f"px, {len(self.classes)} classes; {groups})"
        )

    @property
    def name(self) -> str:
        """The dataset's name."""
        return str(self.info["name"])

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in order."""
        return tuple(self.info["classes"])

    @property
    def attributes(self) -> dict[str, tuple[str, ...]]:
        """Names of each attribute's groups, in order."""
        return {name: tuple(values) for name, values in self.info["attributes"].items()}

    @property
    def size(self) -> int:
        """Side of the images in pixels."""
        return int(self.images.shape[1])

    def task(self, attribute: str | None = None) -> Task:
        """The classes, and the groups of one attribute (by default the main one).

        Raises:
            UserError: there is no such attribute.
        """
        name = attribute or next(iter(self.attributes))
        if name not in self.attributes:
            raise UserError(
                f"{self.path} has no attribute '{short(name)}'; {nearest(name, self.attributes)}"
            )
        return Task(self.classes, name, self.attributes[name])

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Class index of each image, (N,)."""
        return pd.Index(self.classes).get_indexer(self.frame["label"]).astype(np.int64)

    def groups(self, attribute: str) -> NDArray[np.int64]:
        """Group index of each image, (N,); UNKNOWN if the attribute is not known."""
        values = pd.Index(self.attributes[attribute])
        index = values.get_indexer(self.frame[attribute])
        return np.where(index < 0, UNKNOWN, index).astype(np.int64)

    @cached_property
    def clusters(self) -> NDArray[np.int64]:
        """Cluster number of each image, (N,); an image without a cluster is one of its own."""
        return cluster_index(self.frame["cluster"].fillna(""))

    def splits(self, fold: int | None) -> NDArray[np.object_]:
        """Split of each image (train, val or test), (N,).

        Args:
            fold: number of the test fold if the data are divided into folds, otherwise None.
        Raises:
            UserError: a fold is required, not possible or does not exist.
        """
        if "fold" in self.frame:
            if fold is None:
                raise UserError(
                    f"{self.path} is divided into folds; choose the test fold with data.fold"
                )
            return split_of_fold(self.frame["fold"].to_numpy(), fold)
        if fold is not None:
            raise UserError(f"{self.path} has no folds; leave out data.fold")
        return self.frame["split"].to_numpy(object)

    def rows(self, split: str, fold: int | None = None) -> NDArray[np.int64]:
        """Row numbers of one split, in the order of the records."""
        if split not in SPLITS:
            raise UserError(f"there is no split '{short(split)}'; {nearest(split, SPLITS)}")
        return np.flatnonzero(self.splits(fold) == split)


def open_prepared(path: Path) -> Prepared:
    """Open a folder that `fairexit prepare` made.

    Raises:
        UserError: the folder is no prepared dataset, has another format, or is damaged.
    """
    if not (path / "dataset.json").is_file():
        raise UserError(
            f"{path} is not a prepared dataset: it has no dataset.json; make one with "
            "`fairexit prepare`"
        )
    try:
        info = json.loads((path / "dataset.json").read_text())
        if info["format"] != FORMAT:
            raise UserError(
                f"{path} has format {info['format']}, but this version reads {FORMAT}; prepare it "
                "again"
            )
        frame = pd.read_parquet(path / RECORDS)
        images = np.load(path / "images.npy", mmap_mode="r")
        missing = NEEDED - set(info)
        if missing:
            raise UserError(f"{path}/dataset.json lacks '{min(missing)}'; prepare the data again")
    except UserError:
        raise
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({reason(error)}); prepare it again") from None
    if len(images) != len(frame):
        raise UserError(
            f"{path} is damaged: it has {len(frame)} records but {len(images)} images; prepare it "
            "again"
        )
    return Prepared(path, info, frame, images)
