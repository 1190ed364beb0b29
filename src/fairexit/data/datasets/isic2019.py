"""ISIC 2019: 25,331 dermoscopic images of eight diagnoses from HAM10000, BCN20000 and MSK."""

from pathlib import Path

import numpy as np
import pandas as pd

from fairexit.data.datasets import datasets
from fairexit.data.matching import find_images
from fairexit.data.records import Dataset, Listing, file_of, need_columns, read_table
from fairexit.errors import UserError, option, short

CLASSES = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC")
TRUTH = "ISIC_2019_Training_GroundTruth.csv"
METADATA = "ISIC_2019_Training_Metadata.csv"
IMAGES = "ISIC_2019_Training_Input"


@datasets.register("isic2019")
class Isic2019(Dataset):
    """The challenge's training set with sex, age group and age; clusters are lesions.

    The challenge's class UNK has no training images and is left out.

    Args:
        age_cut: age in years from which a person belongs to the older age group.
    """

    website = "https://challenge.isic-archive.com/landing/2019/"
    licence = "CC BY-NC 4.0"

    def __init__(self, *, age_cut: int = 60) -> None:
        if not 0 < age_cut < 90:
            raise UserError(f"{option('age_cut')} is {age_cut}; it must be between 1 and 89")
        self.age_cut = age_cut

    def read(self, source: Path) -> Listing:
        truth_path = file_of(source, [TRUTH])
        truth = read_table(truth_path)
        need_columns(truth, ["image", *CLASSES], truth_path)
        metadata_path = file_of(source, [METADATA])
        metadata = read_table(metadata_path)
        need_columns(metadata, ["image", "age_approx", "lesion_id", "sex"], metadata_path)
        images = file_of(source, [IMAGES])

        scores = _numbers(truth, list(CLASSES), truth_path).to_numpy()
        label = np.where(scores.max(1) > 0, np.asarray(CLASSES, object)[scores.argmax(1)], None)
        table = truth[["image"]].assign(label=label).merge(metadata, on="image", how="left")
        age = _numbers(table, ["age_approx"], metadata_path)["age_approx"]
        older, younger = f"{self.age_cut} and over", f"under {self.age_cut}"
        group = pd.Series(np.where(age >= self.age_cut, older, younger), dtype=object)
        files = find_images(images, table["image"])
        frame = pd.DataFrame(
            {
                "id": table["image"],
                "label": table["label"].astype(object),
                "sex": table["sex"],
                "age_group": group.where(age.notna()),
                "age": age.map(lambda a: f"{a:g}", na_action="ignore").astype(object),
                "cluster": table["lesion_id"].fillna(""),
                "path": table["image"].map(files.paths).fillna(""),
            }
        )
        frame = frame.astype(object).where(frame.notna(), None)
        ages = tuple(f"{a:g}" for a in sorted(age.dropna().unique()))
        attributes = {"sex": ("female", "male"), "age_group": (younger, older), "age": ages}
        return Listing(frame, CLASSES, attributes, files=files)


def _numbers(frame: pd.DataFrame, columns: list[str], path: Path) -> pd.DataFrame:
    """Convert columns to numbers; empty cells are missing values."""
    numbers = frame[columns].apply(pd.to_numeric, errors="coerce")
    wrong = (numbers.isna() & frame[columns].notna()).to_numpy()
    if wrong.any():
        row, column = (int(i) for i in np.argwhere(wrong)[0])
        raise UserError(
            f"{path}, id '{short(frame['image'].iloc[row])}': {columns[column]} "
            f"'{short(frame[columns[column]].iloc[row])}' is not a number"
        )
    return numbers
