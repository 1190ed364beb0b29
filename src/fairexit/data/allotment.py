"""Which images of a prepared dataset get which group and label when a cause is planted."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairexit.cluster_index import cluster_index
from fairexit.data.causes import ORIGINAL, PlantOptions
from fairexit.data.leaks import clusters_of_two_groups
from fairexit.data.left_out import LeftOut
from fairexit.data.plantable import (
    check_balance,
    check_cells,
    check_chosen,
    check_class,
    check_data,
    present_classes,
)
from fairexit.data.prepared import Prepared
from fairexit.data.splits import choose_clusters
from fairexit.errors import UserError, option, short

NEW_GROUPS = ("first", "second")


@dataclass
class Allotment:
    """The images of a planted dataset, with their groups and labels.

    Attributes:
        frame: the rows that remain, indexed by their row numbers in the source.
        attribute: name of the planted attribute.
        groups: its groups, in order.
        affected: the group that is marked, lacks images, loses quality or is mislabelled.
        left_out: the images that do not remain.
        details: the classes concerned, for the recipe.
    """

    frame: pd.DataFrame
    attribute: str
    groups: tuple[str, ...]
    affected: str
    left_out: LeftOut = field(default_factory=LeftOut)
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def is_affected(self) -> NDArray[np.bool_]:
        """Whether each image belongs to the affected group, (N,)."""
        return (self.frame[self.attribute] == self.affected).to_numpy(bool)


def allot(data: Prepared, options: PlantOptions) -> Allotment:
    """Choose groups, labels and images at random, by whole clusters.

    Raises:
        UserError: the data or the options do not allow it, a group would have no image of a class
            in a split, or test cannot be balanced.
    """
    check_data(data, options)
    frame = data.frame.assign(**{ORIGINAL: data.frame["label"]})
    rng = np.random.default_rng(options.seed)
    make = _new_group if options.group is None else _existing_group
    planted = make(data, frame, options, rng)
    if options.cause == "annotation":
        _relabel(data, planted, options, rng)
    check_balance(planted.frame, planted.attribute)
    return planted


def _new_group(
    data: Prepared, frame: pd.DataFrame, options: PlantOptions, rng: np.random.Generator
) -> Allotment:
    """Draw a new attribute; in test it is independent of the class."""
    name, details = options.name, dict[str, Any]()
    if name in frame:
        raise UserError(
            f"{data.path} has a column '{short(name)}' already; use that attribute with "
            f"{option('group')}, or choose another {option('name')}"
        )
    share = np.full(len(frame), 0.5)
    in_test = (frame["split"] == "test").to_numpy(bool)
    if options.cause == "prevalence":
        second = _classes(data, options.classes)
        share = np.where(frame["label"].isin(second), options.level, 1 - options.level)
        details["classes"] = list(second)
    elif options.cause == "representation":
        # So that there are 1 - strength images of the second group for each of the first.
        share[:] = (1 - options.level) / (2 - options.level)
    share[in_test] = 0.5
    chosen = _choose(frame, np.ones(len(frame), bool), share, rng)
    planted = frame.assign(**{name: np.where(chosen, NEW_GROUPS[1], NEW_GROUPS[0]).astype(object)})
    cells = frame[["split", "label"]].drop_duplicates().itertuples(index=False)
    check_cells(planted, ((*cell, g) for cell in cells for g in NEW_GROUPS), name)
    return Allotment(planted, name, NEW_GROUPS, NEW_GROUPS[1], details=details)


def _existing_group(
    data: Prepared, frame: pd.DataFrame, options: PlantOptions, rng: np.random.Generator
) -> Allotment:
    """Use an attribute of the data; test is balanced by leaving images out."""
    name = data.task(options.group).group
    groups = data.attributes[name]
    if options.affected not in groups:
        given = "missing" if options.affected is None else f"'{short(options.affected)}'"
        raise UserError(
            f"{option('affected')} is {given}; choose a group of {name}: "
            f"{short(', '.join(groups), 300)}"
        )
    left_out = LeftOut()
    frame = left_out.drop(frame, frame[name].isna().to_numpy(), f"unknown {name}")
    mixed = frame["cluster"].isin(clusters_of_two_groups(frame, name)).to_numpy()
    frame = left_out.drop(frame, mixed, f"cluster of more than one {name}")
    present = frame[name].unique()
    if len(present) < 2:
        raise UserError(
            f"{data.path} has fewer than two groups of {name}; choose another {option('group')}"
        )
    cells = set(frame[["split", "label", name]].itertuples(index=False, name=None))
    cells |= {("test", label, g) for split, label, _ in cells if split == "test" for g in present}
    frame = _balanced(frame, name, left_out, rng)
    if options.cause == "representation":
        rows = ((frame[name] == options.affected) & (frame["split"] != "test")).to_numpy(bool)
        dropped = _choose(frame, rows, np.full(len(frame), options.level), rng, by=name)
        check_chosen(dropped, options)
        frame = left_out.drop(frame, dropped, "representation planted")
    check_cells(frame, sorted(cells), name)
    return Allotment(frame, name, groups, options.affected, left_out=left_out)


def _balanced(
    frame: pd.DataFrame, attribute: str, left_out: LeftOut, rng: np.random.Generator
) -> pd.DataFrame:
    """Leave out images of test until its groups have equal numbers in each class."""
    in_test = (frame["split"] == "test").to_numpy(bool)
    counts = frame[in_test].groupby(["label", attribute]).size().unstack(fill_value=0)
    smallest = frame["label"].map(counts.min(axis=1)).to_numpy(float)
    size = frame.groupby(["split", "label", attribute])["id"].transform("size").to_numpy(float)
    dropped = _choose(frame, in_test, 1 - smallest / size, rng, by=attribute)
    return left_out.drop(frame, dropped, "test split balanced")


def _relabel(
    data: Prepared, planted: Allotment, options: PlantOptions, rng: np.random.Generator
) -> None:
    """Give a share of one class's images of the affected group the label of another class."""
    true, wrong = options.relabel or present_classes(data)[:2]
    for name in (true, wrong):
        check_class(data, name)
    if true == wrong:
        raise UserError(f"{option('relabel')} names '{short(true)}' twice; name two classes")
    frame, group = planted.frame, planted.attribute
    eligible = planted.is_affected & (frame["split"] != "test") & (frame["label"] == true)
    chosen = _choose(frame, eligible.to_numpy(bool), np.full(len(frame), options.level), rng)
    check_chosen(chosen, options)
    planted.frame = frame.assign(label=frame["label"].where(~chosen, wrong))
    cells = frame[["split", "label", group]].drop_duplicates()
    check_cells(planted.frame, cells.itertuples(index=False, name=None), group)
    planted.details["relabel"] = {"true": true, "label": wrong}


def _choose(
    frame: pd.DataFrame,
    rows: NDArray[np.bool_],
    share: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    by: str | None = None,
) -> NDArray[np.bool_]:
    """Choose whole clusters among some rows, in each split and class, and group if `by` names it.

    Args:
        frame: the table, (N,).
        rows: the rows from which to choose, (N,).
        share: share of the rows of its split, class and group to choose, (N,).
        rng: source of the random choice.
        by: attribute of the groups.
    Returns:
        Whether each row is chosen, (N,).
    """
    columns = ["split", "label"] if by is None else ["split", "label", by]
    part = frame[rows]
    strata = part.groupby(columns, sort=False).ngroup().to_numpy(np.int64)
    shares = np.zeros(len(part))
    shares[strata] = share[rows]
    chosen = np.zeros(len(frame), bool)
    clusters = cluster_index(part["cluster"].fillna(""))
    chosen[rows] = choose_clusters(strata, clusters, shares, rng)
    return chosen


def _classes(data: Prepared, given: tuple[str, ...]) -> tuple[str, ...]:
    """The classes whose usual camera is the second."""
    present = present_classes(data)
    for name in given:
        check_class(data, name)
    second = given or present[1::2]
    if set(second) >= set(present):
        raise UserError(
            f"{option('classes')} names every class, so that none has the first camera; name fewer"
        )
    return second
