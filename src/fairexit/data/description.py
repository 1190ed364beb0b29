"""Parts of a prepared dataset's description: counts, warnings and checksums."""

import hashlib
from pathlib import Path

import pandas as pd

from fairexit.data.leaks import clusters_of_two_groups
from fairexit.data.records import SPLITS, Listing


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
    frame: pd.DataFrame, listing: Listing, *, num_parts: int, all_classes: bool
) -> list[str]:
    """What a user should know before training, one line each.

    Args:
        frame: the prepared rows.
        listing: the dataset's classes and attributes.
        num_parts: number of splits or folds.
        all_classes: whether classes without images remain classes.
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
    absent = len(listing.classes) - len(counts)
    if absent and all_classes:
        lines.append(
            f"{absent} of {len(listing.classes)} classes have no image; they remain classes unless "
            "the data are prepared with only the classes that are present"
        )
    return lines


def sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_rows(path: Path) -> str:
    """SHA-256 of a Parquet file's rows; the file's bytes depend on the library's version."""
    rows = pd.read_parquet(path).to_csv(index=False, na_rep="\\N", lineterminator="\n")
    return hashlib.sha256(rows.encode()).hexdigest()
