"""Fitzpatrick 17k: clinical images of 114 skin conditions, with skin types set by raters."""

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from fairexit.data.datasets import datasets
from fairexit.data.matching import find_images
from fairexit.data.records import Dataset, Listing, file_of, need_columns, read_table

TABLE = "fitzpatrick17k.csv"
TYPES = ("1", "2", "3", "4", "5", "6")


@datasets.register("fitzpatrick17k")
class Fitzpatrick17k(Dataset):
    """Clinical images with skin tone (light: types 1-3, dark: types 4-6) and the six skin types.

    Many image addresses in the table no longer work, so every download lacks images; they are
    listed as skipped. The table names neither patients nor lesions, but preparation can merge
    near-duplicates into clusters.

    Args:
        target: the column to predict.
    """

    website = "https://github.com/mattgroh/fitzpatrick17k"
    licence = "CC BY-NC-SA 3.0"

    def __init__(
        self,
        *,
        target: Literal["label", "nine_partition_label", "three_partition_label"] = "label",
    ) -> None:
        self.target = target

    def read(self, source: Path) -> Listing:
        path = file_of(source, [TABLE])
        table = read_table(path)
        need_columns(table, ["md5hash", "fitzpatrick_scale", self.target], path)
        images = file_of(source, ["images", "data", "finalfitz17k"])
        files = find_images(images, table["md5hash"])
        kind = table["fitzpatrick_scale"].where(table["fitzpatrick_scale"].isin(TYPES))
        tone = pd.Series(np.where(kind.isin(TYPES[:3]), "light", "dark"), dtype=object)
        frame = pd.DataFrame(
            {
                "id": table["md5hash"],
                "label": table[self.target],
                "skin_tone": tone.where(kind.notna()),
                "skin_type": kind,
                "cluster": "",
                "path": table["md5hash"].map(files.paths).fillna(""),
            }
        )
        frame = frame.astype(object).where(frame.notna(), None)
        classes = tuple(sorted(table[self.target].dropna().unique()))
        attributes = {"skin_tone": ("dark", "light"), "skin_type": TYPES}
        return Listing(frame, classes, attributes, files=files)
