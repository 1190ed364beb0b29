"""The printed numbers of Chiu et al. 2023, and how the rows of a study are matched to them."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import pandas as pd

from fairexit.evaluation.evaluate import PRINTED_GAPS

ERM_NAMES = ("ResNet18", "VGG-11")
METHODS = ("ERM", "AdvConf", "AdvRev", "DomainIndep", "HSIC", "MFD", "FairPrune", "ME-FairPrune")
"""The eight rows of Tables 1 and 2; ERM is printed under the backbone's name."""
CLAIMED = (*METHODS, "ME-ERM", "ME-HSIC", "ME-MFD")
"""Common names of the rows that the claims compare."""
COPIED = {("fitzpatrick17k", "MFD")}
"""Printed rows that repeat another method's numbers; no claim is judged by them."""
ENTANGLED = ("ERM", "ME-ERM")
"""Rows of Figure S1: networks trained without a fairness method."""
FALLS = {
    ("isic2019", "resnet18"): -0.011,
    ("fitzpatrick17k", "resnet18"): -0.005,
    ("isic2019", "vgg11"): -0.014,
    ("fitzpatrick17k", "vgg11"): -0.012,
}
"""(Dataset, backbone) -> relative change of the attribute's SNNL per position."""
CLASSES = {"isic2019": 8, "fitzpatrick17k": 114}
"""Number of classes of the printed tasks."""


@dataclass(frozen=True)
class Printed:
    """The paper's numbers for one dataset and attribute.

    Attributes:
        dataset: name of the prepared data.
        backbone: name as in `create_model`.
        tables: numbers of the table of methods and of the table of pairs.
        groups: the privileged group first.
        frame: rows of `paper_tables.csv`: `printed_as` is the method as the paper prints it, and
            `method` its common name.
    """

    dataset: str
    backbone: str
    tables: tuple[str, str]
    groups: tuple[str, ...]
    frame: pd.DataFrame

    def value(self, method: str, row: str, metric: str) -> float | None:
        """A printed number; None where there is none.

        Args:
            method: common name.
            row: a group, "avg" or "diff".
            metric: precision, recall, f1, eopp0, eopp1 or eodd_paper; the last three have no row.
        """
        printed_row = self.groups[0] if metric in PRINTED_GAPS else row
        rows = self.frame[(self.frame["method"] == method) & (self.frame["row"] == printed_row)]
        return float(rows[metric].iloc[0]) if len(rows) else None

    def name(self, method: str) -> str:
        """The paper's name of a method (common name); "" for one without printed numbers."""
        names = self.frame.loc[self.frame["method"] == method, "printed_as"]
        return str(names.iloc[0]) if len(names) else ""


def common_name(row: str) -> str:
    """A row's name without the backbone's.

    >>> common_name("ME-VGG-11"), common_name("HSIC")
    ('ME-ERM', 'HSIC')
    """
    exits, name = ("ME-", row[3:]) if row.startswith("ME-") else ("", row)
    return exits + ("ERM" if name in ERM_NAMES else name)


def row_names(rows: Iterable[str]) -> dict[str, str]:
    """Common name -> the row's name in the study, by which all of its results call it.

    A row of the claims that the study lacks keeps its common name.

    >>> row_names(["ResNet18"])["ERM"], row_names(["ResNet18"])["ME-ERM"]
    ('ResNet18', 'ME-ERM')
    """
    return {name: name for name in CLAIMED} | {common_name(row): row for row in rows}


@cache
def paper_tables() -> pd.DataFrame:
    """Every printed number: table, dataset, attribute, backbone, method, row, values."""
    with files(__package__).joinpath("paper_tables.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, dtype={"table": str}).rename(columns={"eodd": "eodd_paper"})


def printed(dataset: str, attribute: str) -> Printed | None:
    """The paper's numbers for a dataset and attribute; None where it has none."""
    frame = paper_tables()
    frame = frame[(frame["dataset"] == dataset) & (frame["attribute"] == attribute)]
    if frame.empty:
        return None
    tables = tuple(frame["table"].unique())
    groups = tuple(row for row in frame["row"].unique() if row not in ("avg", "diff"))
    frame = frame.assign(printed_as=frame["method"], method=frame["method"].map(common_name))
    return Printed(dataset, frame["backbone"].iloc[0], (tables[0], tables[1]), groups, frame)
