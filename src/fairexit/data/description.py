"""Parts of a prepared dataset's description: counts, warnings and notes."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from fairexit.data.leaks import clusters_of_two_groups
from fairexit.data.pixels import DEEP_GREY
from fairexit.data.records import SPLITS, Listing

MIXED_CLUSTERS = r"\d+ clusters have images of more than one "
"""Pattern of the warning that names clusters."""


def part_names(frame: pd.DataFrame) -> "pd.Series[str]":
    """Name of each row's split or fold, a categorical in the order of the splits or folds."""
    if "fold" in frame:
        return pd.Series(pd.Categorical("fold " + frame["fold"].astype(str)))
    return pd.Series(pd.Categorical(frame["split"], SPLITS))


def cell_counts(frame: pd.DataFrame, attribute: str) -> dict[str, dict[str, dict[str, int]]]:
    """Number of images by split (or fold), group and class; empty cells have no key."""
    known = frame.assign(part=part_names(frame)).dropna(subset=[attribute])
    sizes = known.groupby(["part", attribute, "label"], observed=True).size()
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for (part, group, label), n in sizes.items():
        counts.setdefault(str(part), {}).setdefault(str(group), {})[str(label)] = int(n)
    return counts


def data_warnings(
    frame: pd.DataFrame, listing: Listing, *, num_parts: int, absent: Sequence[str]
) -> list[str]:
    """What a user should know before training, one line each.

    Args:
        frame: the prepared rows.
        listing: the dataset's classes and attributes.
        num_parts: number of splits or folds.
        absent: the classes without images that remain classes.
    """
    lines = list(listing.notes)
    mixed = clusters_of_two_groups(frame, listing.main)
    if mixed:
        names = ", ".join(mixed[:3]) + (" ..." if len(mixed) > 3 else "")
        lines.append(f"{len(mixed)} clusters have images of more than one {listing.main}: {names}")
    lines += [
        f"attribute '{name}' has fewer than two values here; no gap can be measured"
        for name in listing.attributes
        if frame[name].nunique() < 2
    ]
    counts = frame["label"].value_counts()
    for name, count in counts[counts < num_parts].items():
        lines.append(f"class '{name}' has {count} image(s): too few for every split")
    if absent:
        lines.append(
            f"{len(absent)} of {len(absent) + len(counts)} classes have no image; they remain "
            "classes unless the data are prepared with only the classes that are present"
        )
    return lines


def depth_warnings(adjusted: dict[str, int]) -> list[str]:
    """A line if grey images were scaled from different numbers of bits."""
    depths = [f"{what}: {n}" for what, n in adjusted.items() if DEEP_GREY.fullmatch(what)]
    if len(depths) < 2:
        return []
    return [
        f"the number of bits differs between images ({', '.join(depths)}), so the same value may "
        "not be the same brightness in all of them; save them as 8 bits on one scale"
    ]


def preparation_notes(info: dict[str, Any]) -> list[str]:
    """What was done to the images and how they were found, one line each.

    Args:
        info: the content of `dataset.json`.
    """
    lines = [f"{n} images: {what}" for what, n in info["adjusted"].items()]
    lines += [f"{n} rows were {what}" for what, n in info["matched"].items()]
    if info["unlisted"]:
        lines.append(f"{info['unlisted']} pictures in the folder have no row in the table")
    return lines
