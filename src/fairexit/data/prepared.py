"""The prepared form of a dataset: a folder with decoded images, records and a description."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairexit.cluster_index import cluster_index
from fairexit.data.records import SPLITS
from fairexit.data.splits import split_of_fold
from fairexit.data.verify import open_images, read_description, read_records
from fairexit.errors import UserError, nearest, short
from fairexit.types import UNKNOWN, Task


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

    def with_classes(self, classes: Sequence[str]) -> "Prepared":
        """The same data with the classes of a model, in its order.

        Raises:
            UserError: an image has a class that is not among them.
        """
        other = ~self.frame["label"].isin(classes)
        if other.any():
            row = int(other.to_numpy().argmax())
            raise UserError(
                f"{self.path}: the image '{short(self.frame['id'].iloc[row])}' has the class "
                f"'{short(self.frame['label'].iloc[row])}', which the model does not know "
                f"({int(other.sum())} such images); its classes are "
                f"{short(', '.join(classes), 300)}; rename the class in the table as the model "
                "calls it, or leave its rows out, and prepare the data again"
            )
        return replace(self, info={**self.info, "classes": list(classes)})

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


def open_prepared(path: Path, *, whole: bool = False) -> Prepared:
    """Open a folder that `fairexit prepare` made, and check that it has not changed since.

    Args:
        path: the folder.
        whole: verify the checksum of the images also where the file's size and times say that it
            has not changed; this reads the whole file.
    Raises:
        UserError: the folder is no prepared dataset, has another format, is damaged, or was changed
            after its preparation.
    """
    if not (path / "dataset.json").is_file():
        raise UserError(
            f"{path} is not a prepared dataset: it has no dataset.json; make one with "
            "`fairexit prepare`"
        )
    info = read_description(path)
    frame = read_records(path, info)
    return Prepared(path, info, frame, open_images(path, info, count=len(frame), whole=whole))
