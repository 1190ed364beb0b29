"""Answers for any number of image files: in constant memory, and resumed if interrupted. No torch.

Answers are appended to a file beside the output, which takes its place at the end.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from fairexit.csv_files import csv_text
from fairexit.data.verify import sha256
from fairexit.errors import UserError, option
from fairexit.files import MANIFEST, folder_lock
from fairexit.inference.answers import DIGITS, BatchClassifier
from fairexit.inference.image_list import ImageList
from fairexit.inference.unfinished import Unfinished
from fairexit.progress import Bar
from fairexit.runs import Run
from fairexit.terminal import note
from fairexit.version import __version__

CHANGES = {
    "fairexit": "the version of fairexit has changed",
    "model": "the model has changed",
    "policy": "the policy has changed",
    "images": "other images are given",
    "names": "the list of files has changed",
    "batch_size": "the batch size has changed",
    "device": "the device has changed",
}
"""Part of the origin of answers -> what is said if it is another one. A batch of another size or
another device changes the last digits."""


def origin(run: Run, images: ImageList, *, batch_size: int, device: str) -> dict[str, Any]:
    """Everything on which answers depend, with the keys of `CHANGES`."""
    files = [MANIFEST] if run.is_export else ["config.json", "model.safetensors"]
    return {
        "fairexit": __version__,
        "model": [sha256(run.path / name) for name in files],
        "policy": sha256(run.policy),
        "images": str(images.path.resolve()),
        "names": images.digest,
        "batch_size": batch_size,
        "device": device,
    }


Texts = Iterator[tuple[str, int]]
"""Answers as CSV without header, and the number of rows in each text."""


def stream_answers(
    model: BatchClassifier,
    images: ImageList,
    out: Path,
    *,
    source: Mapping[str, Any],
    overwrite: bool,
    texts: Callable[[Unfinished], Texts],
) -> None:
    """Classify image files and write the answers as CSV.

    If a call was interrupted, the same call resumes, and the file is the same as without the
    interruption.

    Args:
        model: the classifier.
        images: the files.
        out: the CSV file, which is replaced if it exists.
        source: what `origin` returned.
        overwrite: whether unfinished answers of another origin are thrown away.
        texts: returns the answers for the images that are not done, in order.
    Raises:
        UserError: another process writes the same file, there are unfinished answers of another
            origin, or an image of a folder vanishes.
    """
    if out.is_dir():
        raise UserError(f"{out} is a folder; name a CSV file as {option('out')}")
    target = Path(os.path.realpath(out))
    with folder_lock(out):
        unfinished = Unfinished(target, source, CHANGES)
        done = unfinished.resume(overwrite)
        if done:
            note(f"resuming {out} after {done:,} of {images.count:,} images")
        with unfinished.append() as write, Bar("classifying", images.count, done, "images") as bar:
            if not unfinished.bytes:
                write(csv_text(model.table([], []), DIGITS), 0)
            for text, rows in texts(unfinished):
                write(text, rows)
                bar.advance(steps=rows)
        unfinished.finish()


def batch_texts(
    model: BatchClassifier, images: ImageList, done: int = 0, *, batch_size: int
) -> Texts:
    """The answers for images, batch by batch.

    Args:
        model: the classifier.
        images: all images.
        done: number of images that are left out at the beginning.
        batch_size: images per batch.
    Raises:
        UserError: an image of a folder vanishes.
    """
    files = images.files(done)
    while batch := list(islice(files, batch_size)):
        ids, paths = zip(*batch, strict=True)
        text = csv_text(model.table(paths, ids), DIGITS, header=False)
        images.check_present(paths)
        yield text, len(batch)
