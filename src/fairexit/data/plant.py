"""Planting of a known cause of unfairness into a prepared dataset."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fairexit.csv_files import csv_text
from fairexit.data.allotment import Allotment, allot
from fairexit.data.causes import ORIGINAL, PlantOptions
from fairexit.data.description import cell_counts
from fairexit.data.folder import SKIPPED, check_new, new_folder, write_description
from fairexit.data.marks import CAST, MARKS
from fairexit.data.prepared import Prepared, open_prepared
from fairexit.data.records import SPLITS
from fairexit.data.store import CHUNK, header
from fairexit.data.verify import IMAGES, RECORDS
from fairexit.progress import track


def plant(data: Prepared, out: Path, options: PlantOptions) -> Prepared:
    """Copy a prepared dataset with a cause of unfairness planted into train and val.

    In test the group is independent of the class and the labels are right, so a gap between the
    groups is caused by training (and, for presentation, by the pictures themselves). `out` is never
    incomplete. The same data and options give the same bytes.

    Args:
        data: the dataset, which is not changed.
        out: the folder to make.
        options: the cause, its strength and further options.
    Returns:
        The planted dataset, whose main attribute is the planted group. `planted` in its
        description is the recipe; the records keep each image's `original_label`.
    Raises:
        UserError: the data or the options do not allow it; no file is left behind.
    """
    check_new(out)
    allotment = allot(data, options)
    with new_folder(out) as folder:
        _write_images(data, folder / IMAGES, allotment, options)
        _write_records(data, folder, allotment)
        write_description(folder, _describe(data, allotment, options))
    return open_prepared(out)


def _write_images(data: Prepared, file: Path, allotment: Allotment, options: PlantOptions) -> None:
    """Write the images that remain, those of the affected group changed, chunk by chunk."""
    rows = allotment.frame.index.to_numpy()
    starts = range(0, len(rows), CHUNK)
    with file.open("wb") as stream:
        stream.write(header(len(rows), data.size))
        for start in track(starts, "writing images", len(starts)):
            chunk = slice(start, start + CHUNK)
            images = np.array(data.images[rows[chunk]])
            if options.edit is not None:
                for k in np.flatnonzero(allotment.is_affected[chunk]):
                    images[k] = MARKS[options.edit](images[k], options.level)
            stream.write(images.tobytes())


def _write_records(data: Prepared, folder: Path, allotment: Allotment) -> None:
    """Write the records, and continue the list of skipped samples."""
    attributes = [allotment.attribute, *(a for a in data.attributes if a != allotment.attribute)]
    columns = ["id", "label", *attributes, "cluster", "split", ORIGINAL]
    allotment.frame[columns].to_parquet(folder / RECORDS, index=False)
    source, text = data.path / SKIPPED, csv_text(allotment.left_out.table())
    if source.is_file():
        text = source.read_text(encoding="utf-8") + text.partition("\n")[2]
    (folder / SKIPPED).write_text(text, encoding="utf-8")


def _describe(data: Prepared, allotment: Allotment, options: PlantOptions) -> dict[str, Any]:
    """What `dataset.json` says: the source's description, changed, and the recipe."""
    info, frame, name = data.info, allotment.frame, allotment.attribute
    others = {other: groups for other, groups in data.attributes.items() if other != name}
    left_out = dict(info.get("left_out", {}))
    for reason, classes in allotment.left_out.by_class().items():
        before = left_out.get(reason, {})
        left_out[reason] = {
            c: before.get(c, 0) + classes.get(c, 0) for c in sorted({*before, *classes})
        }
    skipped = dict(info["skipped"])
    for reason, n in allotment.left_out.counts().items():
        skipped[reason] = skipped.get(reason, 0) + n
    return {
        **info,
        "name": f"{data.name}-{options.cause}",
        "attributes": {name: allotment.groups, **others},
        "images": len(frame),
        "skipped": skipped,
        "left_out": left_out,
        "cells": cell_counts(frame, name),
        "warnings": [*info.get("warnings", []), _warning(allotment, options)],
        "planted": _recipe(data, allotment, options),
    }


def _recipe(data: Prepared, allotment: Allotment, options: PlantOptions) -> dict[str, Any]:
    """The cause, its settings, the source and the numbers of images that were changed."""
    frame = allotment.frame
    edited = allotment.is_affected & (options.edit is not None)
    return {
        "cause": options.cause,
        "strength": options.level,
        "seed": options.seed,
        "attribute": allotment.attribute,
        "affected": allotment.affected,
        "mark": options.edit,
        **({"gains": [gain / 256 for gain in CAST]} if options.edit == "cast" else {}),
        **allotment.details,
        "source": {"name": data.name, "checksums": data.info["checksums"]},
        "counts": {
            "edited": _by_split(frame[edited]),
            "relabelled": _by_split(frame[frame["label"] != frame[ORIGINAL]]),
            "left_out": _by_split(data.frame.drop(frame.index)),
        },
    }


def _by_split(frame: pd.DataFrame) -> dict[str, int]:
    """Number of images in each split."""
    counts = frame["split"].value_counts()
    return {split: int(counts.get(split, 0)) for split in SPLITS}


def _warning(allotment: Allotment, options: PlantOptions) -> str:
    return (
        f"{options.cause} was planted with strength {options.level:g} ({allotment.attribute} "
        f"'{allotment.affected}'): gaps measured here are not those of the original images"
    )
