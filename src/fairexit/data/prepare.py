"""Preparation of a dataset: a download is decoded and checked once, completely or not at all."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from fairexit.data.description import cell_counts, data_warnings, depth_warnings, part_names
from fairexit.data.folder import check_new, new_folder, write_description, write_skipped
from fairexit.data.images import FITS
from fairexit.data.leaks import NEAR_DISTANCE, leak_report, merge_duplicates
from fairexit.data.left_out import NO_LABEL, LeftOut, mix_warnings
from fairexit.data.near_duplicates import near_pairs, perceptual_hash
from fairexit.data.prepared import Prepared, open_prepared
from fairexit.data.records import SPLITS, Dataset, Listing, check_classes
from fairexit.data.splits import read_split_file, stratified_folds, stratified_split
from fairexit.data.store import store_images
from fairexit.data.verify import FORMAT, IMAGES, RECORDS
from fairexit.errors import UserError, nearest, option, short


@dataclass(frozen=True)
class PrepareOptions:
    """Options that apply to the preparation of every dataset.

    Attributes:
        size: side of the stored images in pixels.
        fit: `squash` images to a square, or `crop` their middle.
        split_file: table of ids and splits; images whose ids it lacks are left out.
        folds: number of folds, which replace train, val and test.
        seed: seed of the split.
        unknown: what happens to images whose main attribute is unknown: `drop`, `keep`, or the
            name of the group to count them in.
        split: the split into which all images are put, such as the test split of images on which a
            trained model is only tested; None divides them.
        classes: `all` classes of the dataset, only those `present` among the images, or the names
            of all classes in order, such as those of a model.
        merge_near_duplicates: whether identical and near-duplicate images become one cluster.
        workers: number of processes that decode.
    Raises:
        UserError: an option is out of range, or two exclude each other.
    """

    size: int = 128
    fit: str = "squash"
    split_file: Path | None = None
    folds: int | None = None
    seed: int = 0
    unknown: str = "drop"
    split: Literal["train", "val", "test"] | None = None
    classes: Literal["all", "present"] | tuple[str, ...] = "all"
    merge_near_duplicates: bool = False
    workers: int = 2

    def __post_init__(self) -> None:
        if not 8 <= self.size <= 4096:
            raise UserError(f"{option('size')} is {self.size}; it must be from 8 to 4096 pixels")
        if self.fit not in FITS:
            raise UserError(f"{option('fit')} is '{short(self.fit)}'; {nearest(self.fit, FITS)}")
        given = [name for name in ("split_file", "folds", "split") if getattr(self, name)]
        if len(given) > 1:
            raise UserError(
                f"{option(given[0])} and {option(given[1])} exclude each other; give only one"
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

    Everything is written to a folder next to `out`, which is renamed at the end, so `out` is never
    incomplete. The same input gives the same bytes.

    Args:
        name: the dataset's name.
        dataset: reads the table and the images.
        source: folder or file of the download.
        out: the folder to create.
        options: size of the images, splits and further options.
    Returns:
        The prepared dataset.
    Raises:
        UserError: the input is invalid; no file is left behind.
    """
    check_new(out)
    if source is None and dataset.needs_source:
        raise UserError(f"dataset '{name}' needs a source: the folder or file that was downloaded")
    listing = dataset.read(source or Path())
    left_out = LeftOut()
    frame = _select(listing, options, left_out)
    with new_folder(out) as folder:
        _write(name, dataset, listing, frame, left_out=left_out, folder=folder, options=options)
    return open_prepared(out)


def _write(
    name: str,
    dataset: Dataset,
    listing: Listing,
    frame: pd.DataFrame,
    *,
    left_out: LeftOut,
    folder: Path,
    options: PrepareOptions,
) -> None:
    """Write the prepared form of the selected rows to a folder."""
    images = folder / IMAGES
    size, fit, workers = options.size, options.fit, options.workers
    frame, digests, adjusted = store_images(
        dataset, frame, images, size=size, fit=fit, workers=workers, left_out=left_out
    )
    near = near_pairs(perceptual_hash(np.load(images, mmap_mode="r")), NEAR_DISTANCE)
    if options.merge_near_duplicates:
        frame = merge_duplicates(frame, digests, near)
    frame = _split(frame, listing.main, options)
    _write_tables(folder, frame, listing, left_out)
    description = _describe(name, dataset, listing, frame, options=options)
    description |= _account(listing, frame, left_out, adjusted)
    description["leaks"] = leak_report(frame["cluster"], part_names(frame), digests, near)
    description["warnings"] += [
        *mix_warnings(description["left_out"], frame["label"].value_counts().to_dict()),
        *depth_warnings(adjusted),
    ]
    write_description(folder, description)


def _select(listing: Listing, options: PrepareOptions, left_out: LeftOut) -> pd.DataFrame:
    """The rows that the options select, with their splits if there is a split file."""
    frame, main = listing.frame, listing.main
    if options.unknown not in {"drop", "keep", *listing.attributes[main]}:
        groups = short(", ".join(listing.attributes[main]), 300)
        raise UserError(
            f"{option('unknown')} is '{short(options.unknown)}'; choose drop, keep or a group of "
            f"{main}: {groups}"
        )
    check_classes(frame, _class_names(listing, options))
    if listing.small is not None and options.unknown != "keep":
        frame = left_out.drop(frame, listing.small, f"small group of {main}")
    frame = left_out.drop(frame, frame["label"].isna().to_numpy(), NO_LABEL)
    if options.unknown == "drop":
        frame = left_out.drop(frame, frame[main].isna().to_numpy(), f"unknown {main}")
    elif options.unknown != "keep":
        frame = frame.assign(**{main: frame[main].fillna(options.unknown)})
    if options.split_file:
        splits = read_split_file(options.split_file)
        absent = ~frame["id"].isin(splits.index).to_numpy()
        if absent.all():
            raise UserError(
                f"{options.split_file}: none of its ids belongs to an image of this dataset"
            )
        frame = left_out.drop(frame, absent, "not in the split file")
        frame = frame.assign(split=frame["id"].map(splits))
    if "path" in frame:
        reasons = frame["id"].map(lambda id: listing.files.reasons.get(id, "missing file"))
        frame = left_out.drop(frame, (frame["path"] == "").to_numpy(), reasons)
    if frame.empty:
        missing = left_out.counts().get("missing file")
        hint = "; an id must be the path of its image, the file name, or that without its ending"
        raise UserError(f"no usable image remains; left out: {left_out}{hint * bool(missing)}")
    if options.split_file:
        _check_splits(frame)  # before hours of decoding
    return frame.reset_index(drop=True)


def _class_names(listing: Listing, options: PrepareOptions) -> tuple[str, ...]:
    return listing.classes if isinstance(options.classes, str) else options.classes


def _check_splits(frame: pd.DataFrame) -> None:
    """Raise a UserError if a split has no images."""
    for split in SPLITS:
        if not (frame["split"] == split).any():
            raise UserError(
                f"split '{split}' has no images; use more images, or another {option('split_file')}"
            )


def _write_tables(folder: Path, frame: pd.DataFrame, listing: Listing, left_out: LeftOut) -> None:
    """Write the records and the list of skipped samples."""
    part = "fold" if "fold" in frame else "split"
    columns = ["id", "label", *listing.attributes, "cluster", part]
    frame[columns].to_parquet(folder / RECORDS, index=False)
    write_skipped(folder, left_out.table())


def _describe(
    name: str, dataset: Dataset, listing: Listing, frame: pd.DataFrame, *, options: PrepareOptions
) -> dict[str, Any]:
    """What `dataset.json` says about the data and the options of their preparation."""
    classes = _class_names(listing, options)
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
        # The number of processes does not affect the data.
        "options": _plain({k: v for k, v in vars(options).items() if k != "workers"}),
        "warnings": data_warnings(
            frame,
            listing,
            num_parts=1 if options.split else options.folds or len(SPLITS),
            absent=[c for c in classes if not (frame["label"] == c).any()],
        ),
    }


def _account(
    listing: Listing, frame: pd.DataFrame, left_out: LeftOut, adjusted: dict[str, int]
) -> dict[str, Any]:
    """What `dataset.json` counts: images by cell, what was left out, and what was done to them."""
    return {
        "skipped": left_out.counts(),
        "left_out": left_out.by_class(),
        "adjusted": adjusted,
        "matched": listing.files.matched,
        "unlisted": listing.files.unlisted,
        "cells": cell_counts(frame, listing.main),
    }


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Options as JSON values; a path is reduced to its name, which is the same on any machine."""
    return {k: v.name if isinstance(v, Path) else v for k, v in options.items()}


def _split(frame: pd.DataFrame, attribute: str, options: PrepareOptions) -> pd.DataFrame:
    """Add the column `fold`, or `split` if it is not there yet."""
    if options.folds:
        folds = stratified_folds(frame, attribute, options.folds, options.seed)
        empty = sorted(set(range(options.folds)) - set(folds))
        if empty:
            raise UserError(f"fold {empty[0]} has no images; choose fewer {option('folds')}")
        return frame.assign(fold=folds)
    if options.split:
        return frame.assign(split=options.split)
    if not options.split_file:
        frame = frame.assign(split=stratified_split(frame, attribute, options.seed))
    _check_splits(frame)
    return frame
