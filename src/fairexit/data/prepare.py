"""A download in, the prepared form out: decoded once, checked once, all or nothing."""

import errno
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairexit.data.images import FITS, near_pairs, perceptual_hash
from fairexit.data.leaks import NEAR_DISTANCE, clusters_of_two_groups, leak_report, merge_clusters
from fairexit.data.prepared import FORMAT, RECORDS, Prepared, open_prepared
from fairexit.data.records import SPLITS, Dataset, Listing
from fairexit.data.splits import read_split_file, stratified_folds, stratified_split
from fairexit.data.store import Skipped, store_images
from fairexit.errors import UserError, nearest, option, short
from fairexit.files import folder_lock


@dataclass(frozen=True)
class PrepareOptions:
    """How a dataset is prepared, whichever it is.

    Attributes:
        size: side of the stored images in pixels.
        fit: `squash` to a square or `crop` the middle.
        split_file: a table of ids and splits; ids absent from it are left out.
        folds: this many folds in place of train, val and test.
        seed: of the split.
        unknown: images whose main attribute is unknown: `drop`, `keep`, or the group that they
            are to be counted in.
        classes: `all` of the dataset, or only those `present` among the images.
        merge_near_duplicates: identical and near-duplicate images become one cluster.
        workers: processes that decode.
    """

    size: int = 128
    fit: str = "squash"
    split_file: Path | None = None
    folds: int | None = None
    seed: int = 0
    unknown: str = "drop"
    classes: Literal["all", "present"] = "all"
    merge_near_duplicates: bool = False
    workers: int = 2

    def __post_init__(self) -> None:
        if not 8 <= self.size <= 4096:
            raise UserError(f"{option('size')} is {self.size}; it must be from 8 to 4096 pixels")
        if self.fit not in FITS:
            raise UserError(f"{option('fit')} is '{short(self.fit)}'; {nearest(self.fit, FITS)}")
        if self.split_file and self.folds:
            raise UserError(
                f"{option('split_file')} and {option('folds')} exclude each other; give only one"
            )
        if self.folds is not None and self.folds < 3:
            raise UserError(
                f"{option('folds')} is {self.folds}; it must be at least 3 (train, val, test)"
            )
        if self.seed < 0:
            raise UserError(f"{option('seed')} is {self.seed}; it cannot be negative")
        if self.workers < 1:
            raise UserError(f"{option('workers')} is {self.workers}; it must be at least 1")


def prepare(
    name: str, dataset: Dataset, source: Path | None, out: Path, *, options: PrepareOptions
) -> Prepared:
    """Turn a download into the prepared form.

    Everything is written beside `out` and moved there at the end, so a folder called `out` is
    whole. The same input gives the same bytes.

    Args:
        name: the dataset's name.
        dataset: reads the table and the images.
        source: folder or file of the download.
        out: the folder to make.
        options: size, splits and so on.
    Raises:
        UserError: bad input; nothing is left behind.
    """
    if out.exists():
        raise UserError(f"{out} already exists; remove it or choose another {option('out')}")
    if source is None and dataset.needs_source:
        raise UserError(f"dataset '{name}' needs a source: the folder or file that was downloaded")
    listing = dataset.read(source or Path())
    skipped = Skipped()
    frame = _choose(listing, options, skipped)
    with folder_lock(out):
        _write(name, dataset, listing, frame, skipped=skipped, out=out, options=options)
    return open_prepared(out)


def _write(
    name: str,
    dataset: Dataset,
    listing: Listing,
    frame: pd.DataFrame,
    *,
    skipped: Skipped,
    out: Path,
    options: PrepareOptions,
) -> None:
    # Of a process that was killed; the dot and the ending make it surely ours.
    partial_folder = out.absolute().with_name(f".{out.absolute().name}.prepare.partial")
    shutil.rmtree(partial_folder, ignore_errors=True)
    try:
        partial_folder.mkdir(parents=True)
        images = partial_folder / "images.npy"
        size, fit, workers = options.size, options.fit, options.workers
        frame, digests = store_images(
            dataset, frame, images, size=size, fit=fit, workers=workers, skipped=skipped
        )
        near = near_pairs(perceptual_hash(np.load(images, mmap_mode="r")), NEAR_DISTANCE)
        if options.merge_near_duplicates:
            frame = _merge(frame, digests, near)
        frame = _divide(frame, listing.main, options)
        _write_tables(partial_folder, frame, listing, skipped)
        leaks = leak_report(frame["cluster"], _parts(frame), digests, near)
        about = _describe(name, dataset, listing, frame, options=options)
        about |= {
            "skipped": skipped.counts(),
            "leaks": leaks,
            "cells": _cells(frame, listing.main),
            "checksums": {
                images.name: _sha256(images),
                RECORDS: _sha256_of_rows(partial_folder / RECORDS),
            },
        }
        (partial_folder / "dataset.json").write_text(json.dumps(about, indent=2) + "\n")
        partial_folder.rename(out)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise UserError(f"the disk of {out} is full; nothing was written") from None
        raise UserError(f"{out} cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(partial_folder, ignore_errors=True)


def _choose(listing: Listing, options: PrepareOptions, skipped: Skipped) -> pd.DataFrame:
    """The rows that are wanted, with their split where a file gives it."""
    frame, main = listing.frame, listing.main
    if options.unknown not in {"drop", "keep", *listing.attributes[main]}:
        groups = short(", ".join(listing.attributes[main]), 300)
        raise UserError(
            f"{option('unknown')} is '{short(options.unknown)}'; choose drop, keep or a group of "
            f"{main}: {groups}"
        )
    frame = skipped.take(frame, frame["label"].isna().to_numpy(), "no label")
    if options.unknown == "drop":
        frame = skipped.take(frame, frame[main].isna().to_numpy(), f"unknown {main}")
    elif options.unknown != "keep":
        frame = frame.assign(**{main: frame[main].fillna(options.unknown)})
    if options.split_file:
        splits = read_split_file(options.split_file)
        absent = ~frame["id"].isin(splits.index).to_numpy()
        if absent.all():
            raise UserError(
                f"{options.split_file}: none of its ids belongs to an image of this dataset"
            )
        frame = skipped.take(frame, absent, "not in the split file")
        frame = frame.assign(split=frame["id"].map(splits))
    if "path" in frame:
        frame = skipped.take(frame, (frame["path"] == "").to_numpy(), "missing file")
    if frame.empty:
        lost = skipped.counts().get("missing file")
        hint = "; an id must be the path of its image, the file name, or that without its ending"
        raise UserError(f"no usable image remains; left out: {skipped}{hint * bool(lost)}")
    if options.split_file:
        _check_splits(frame)  # Before hours of decoding.
    return frame.reset_index(drop=True)


def _check_splits(frame: pd.DataFrame) -> None:
    for split in SPLITS:
        if not (frame["split"] == split).any():
            raise UserError(
                f"split '{split}' has no images; use more images, or another {option('split_file')}"
            )


def _merge(
    frame: pd.DataFrame, digests: NDArray[np.object_], near: NDArray[np.int64]
) -> pd.DataFrame:
    """Identical files and near-duplicates in one cluster."""
    twins = pd.Series(np.arange(len(digests))).groupby(digests).first()
    same = [(i, int(twins[d])) for i, d in enumerate(digests) if d and twins[d] != i]
    pairs = [*same, *((int(i), int(j)) for i, j in near)]
    return frame.assign(cluster=merge_clusters(frame["cluster"], frame["id"], pairs))


def _parts(frame: pd.DataFrame) -> "pd.Series[str]":
    """The split or fold of each row as reports name it, in order."""
    if "fold" in frame:
        return pd.Series(pd.Categorical("fold " + frame["fold"].astype(str)))
    return pd.Series(pd.Categorical(frame["split"], SPLITS))


def _cells(frame: pd.DataFrame, group: str) -> dict[str, dict[str, dict[str, int]]]:
    """Images by split, group and class; an absent key is an empty cell."""
    known = frame.assign(part=_parts(frame)).dropna(subset=[group])
    sizes = known.groupby(["part", group, "label"], observed=True).size()
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for (part, name, label), n in sizes.items():
        counts.setdefault(str(part), {}).setdefault(str(name), {})[str(label)] = int(n)
    return counts


def _write_tables(folder: Path, frame: pd.DataFrame, listing: Listing, skipped: Skipped) -> None:
    part = "fold" if "fold" in frame else "split"
    columns = ["id", "label", *listing.attributes, "cluster", part]
    frame[columns].to_parquet(folder / RECORDS, index=False)
    table = pd.DataFrame(skipped.rows, columns=["id", "reason"])
    table.sort_values(["reason", "id"]).to_csv(folder / "skipped.csv", index=False)


def _describe(
    name: str, dataset: Dataset, listing: Listing, frame: pd.DataFrame, *, options: PrepareOptions
) -> dict[str, Any]:
    """What `dataset.json` says of the data and how they were made."""
    classes = listing.classes
    if options.classes == "present":
        classes = tuple(c for c in classes if (frame["label"] == c).any())
    return {
        "format": FORMAT,
        "name": name,
        "website": dataset.website,
        "licence": dataset.licence,
        "classes": classes,
        "attributes": listing.attributes,
        "images": len(frame),
        "dataset": _plain(vars(dataset)),
        # How many processes decoded says nothing about the data.
        "options": _plain({k: v for k, v in vars(options).items() if k != "workers"}),
        "warnings": _warnings(frame, listing, options),
    }


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Options for JSON; of a path only the name, wherever it lay."""
    return {k: v.name if isinstance(v, Path) else v for k, v in options.items()}


def _divide(frame: pd.DataFrame, group: str, options: PrepareOptions) -> pd.DataFrame:
    if options.folds:
        folds = stratified_folds(frame, group, options.folds, options.seed)
        empty = sorted(set(range(options.folds)) - set(folds))
        if empty:
            raise UserError(f"fold {empty[0]} has no images; choose fewer {option('folds')}")
        return frame.assign(fold=folds)
    if not options.split_file:
        frame = frame.assign(split=stratified_split(frame, group, options.seed))
    _check_splits(frame)
    return frame


def _warnings(frame: pd.DataFrame, listing: Listing, options: PrepareOptions) -> list[str]:
    """What a user should know before training, a line each."""
    lines = []
    mixed = clusters_of_two_groups(frame, listing.main)
    if mixed:
        some = ", ".join(mixed[:3]) + (" ..." if len(mixed) > 3 else "")
        lines.append(f"{len(mixed)} clusters have images of more than one {listing.main}: {some}")
    lines += [
        f"attribute '{name}' has fewer than two values here; no gap can be measured"
        for name in listing.attributes
        if frame[name].nunique() < 2
    ]
    counts = frame["label"].value_counts()
    for name, count in counts[counts < (options.folds or len(SPLITS))].items():
        lines.append(f"class '{name}' has {count} image(s): too few for every split")
    absent = len(listing.classes) - len(counts)
    if absent and options.classes == "all":
        lines.append(
            f"{absent} of {len(listing.classes)} classes have no image; they remain classes unless "
            "the data are prepared with only the classes that are present"
        )
    return lines


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha256_of_rows(path: Path) -> str:
    """Of a Parquet file's content: its bytes change with the version of the library."""
    rows = pd.read_parquet(path).to_csv(index=False, na_rep="\\N", lineterminator="\n")
    return hashlib.sha256(rows.encode()).hexdigest()
