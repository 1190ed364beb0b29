"""What data must be like so that a cause can be planted, before and after it is."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairexit.data.causes import PlantOptions
from fairexit.data.prepared import Prepared
from fairexit.data.records import SPLITS
from fairexit.errors import UserError, nearest, option, short

INDEPENDENT = 0.2
"""In test, group and class must have a p-value of independence above this."""


def check_data(data: Prepared, options: PlantOptions) -> None:
    """Raise a UserError if nothing can be planted into the data."""
    if "planted" in data.info:
        raise UserError(f"{data.path} is planted already; plant into the data it was made from")
    if "fold" in data.frame:
        raise UserError(
            f"{data.path} is divided into folds; prepare it with train, val and test, so that test "
            "stays clean"
        )
    cluster, split = data.frame["cluster"].fillna(""), data.frame["split"]
    if not (cluster != "").any() and not options.independent_images:
        raise UserError(
            f"{data.path} has no clusters (lesions or patients); if its images are independent, "
            f"say so with {option('independent_images')}"
        )
    parts = split[cluster != ""].groupby(cluster[cluster != ""]).nunique()
    if (parts > 1).any():
        raise UserError(
            f"{data.path} has {int((parts > 1).sum())} clusters with images in more than one split,"
            f" such as '{short(parts.idxmax())}'; prepare it with a split that divides no cluster"
        )
    for name in SPLITS:
        if not (split == name).any():
            raise UserError(f"{data.path} has no images in {name}; prepare it with all three")
    if len(present_classes(data)) < 2:
        raise UserError(f"{data.path} has images of one class only; at least two are needed")


def present_classes(data: Prepared) -> tuple[str, ...]:
    """The classes that have images, in order."""
    return tuple(name for name in data.classes if (data.frame["label"] == name).any())


def check_class(data: Prepared, name: str) -> None:
    """Raise a UserError unless the data have images of a class."""
    if name not in (present := present_classes(data)):
        raise UserError(
            f"{data.path} has no images of class '{short(name)}'; {nearest(name, present)}"
        )


def check_chosen(chosen: NDArray[np.bool_], options: PlantOptions) -> None:
    """Raise a UserError if no image was chosen although the strength asks for some."""
    if options.level and not chosen.any():
        raise UserError(
            f"{option('strength')} is {options.level:g}, which concerns no image of so few; raise "
            "it or use more images"
        )


def check_cells(frame: pd.DataFrame, cells: Iterable[tuple[Any, ...]], attribute: str) -> None:
    """Raise a UserError if a split has no image of a class and group that must be there."""
    present = set(frame[["split", "label", attribute]].itertuples(index=False, name=None))
    for split, label, group in cells:
        if (split, label, group) not in present:
            raise UserError(
                f"{split} would have no image of class '{short(label)}' with {attribute} "
                f"'{short(group)}'; lower {option('strength')}, use more images, or prepare the "
                "data without that class"
            )


def check_balance(frame: pd.DataFrame, attribute: str) -> None:
    """Raise a UserError unless the group is independent of the class in test."""
    from scipy.stats import chi2_contingency

    test = frame[frame["split"] == "test"]
    counts = test.groupby(["label", attribute]).size().unstack(fill_value=0)
    p = chi2_contingency(counts, correction=False).pvalue
    if not p > INDEPENDENT:
        raise UserError(
            f"test cannot be balanced by whole clusters: {attribute} would depend on the "
            f"class (p = {p:.3f}); use data with more or smaller clusters"
        )
