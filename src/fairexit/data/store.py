"""Writing of a prepared dataset's image array, and the list of samples that are left out."""

import io
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairexit.data.images import Decoded
from fairexit.data.records import Dataset
from fairexit.errors import UserError, option
from fairexit.plugins import portable
from fairexit.progress import track

CHUNK = 64


@dataclass
class Skipped:
    """Ids of the samples that are left out, each with the reason."""

    rows: list[tuple[str, str]] = field(default_factory=list)

    def drop(self, frame: pd.DataFrame, mask: NDArray[np.bool_], reason: str) -> pd.DataFrame:
        """Record the rows in the mask as left out; return the other rows."""
        self.rows += [(str(i), reason) for i in frame["id"][mask]]
        return frame[~mask]

    def counts(self) -> dict[str, int]:
        """Number of samples for each reason, without the details that follow a colon."""
        reasons = pd.Series([reason.split(":")[0] for _, reason in self.rows], dtype=object)
        return {str(k): int(v) for k, v in reasons.value_counts(sort=False).items()}

    def __str__(self) -> str:
        counts = self.counts().items()
        return ", ".join(f"{count} {reason}" for reason, count in counts) or "nothing"


def store_images(
    dataset: Dataset,
    frame: pd.DataFrame,
    file: Path,
    *,
    size: int,
    fit: str,
    workers: int,
    skipped: Skipped,
) -> tuple[pd.DataFrame, NDArray[np.object_]]:
    """Decode the images of a table into a .npy file, in the table's order.

    Args:
        dataset: reads the images.
        frame: one row per image.
        file: the .npy file to write.
        size: side of the stored images in pixels.
        fit: `squash` or `crop`.
        workers: number of processes that decode.
        skipped: receives the images that cannot be read.
    Returns:
        The rows whose images are stored, and the SHA-256 of each of their files, (N,).
    Raises:
        UserError: no image could be read, or a worker was killed.
        OSError: the file cannot be written.
    """
    digests: list[str] = []
    readable: list[bool] = []
    read = portable(partial(dataset.pixels, size=size, fit=fit))
    # Plain writes raise an error if the disk is full; a memory map would kill the process.
    with file.open("wb") as stream:
        stream.write(header(len(frame), size))
        chunks = _in_order(read, frame, workers)
        for chunk in track(chunks, "reading images", -(-len(frame) // CHUNK)):
            for image in chunk:
                row = len(readable)
                readable.append(image.pixels is not None)
                if image.pixels is None:
                    skipped.rows.append((str(frame["id"].iloc[row]), image.reason))
                else:
                    stream.write(image.pixels.tobytes())
                    digests.append(image.digest)
        stream.seek(0)
        stream.write(header(len(digests), size))
    if not digests:
        raise UserError(f"no usable image remains; left out: {skipped}")
    stored = frame[np.array(readable)].drop(columns="path", errors="ignore")
    return stored.reset_index(drop=True), np.array(digests, object)


def header(count: int, size: int) -> bytes:
    """Header of a .npy file of `count` images; its length is the same for every count."""
    stream = io.BytesIO()
    shape = {"descr": "|u1", "fortran_order": False, "shape": (count, size, size, 3)}
    np.lib.format.write_array_header_1_0(stream, shape)
    return stream.getvalue()


def _in_order(
    read: Callable[[pd.DataFrame], list[Decoded]], frame: pd.DataFrame, workers: int
) -> Iterator[list[Decoded]]:
    """Apply `read` to the table in chunks, in order, by one process or several."""
    chunks = [frame.iloc[i : i + CHUNK] for i in range(0, len(frame), CHUNK)]
    if workers == 1 or len(chunks) < 4:
        yield from map(read, chunks)
        return
    # The fork of a process that has started threads may hang, so workers are spawned.
    spawn = get_context("spawn")
    try:
        with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_exit_with_parent) as pool:
            yield from pool.map(read, chunks)
    except BrokenProcessPool:
        raise UserError(
            "a process that reads images was killed, perhaps because memory ran out; choose fewer "
            f"{option('workers')}"
        ) from None


def _exit_with_parent() -> None:
    """Exit this worker as soon as its parent has died; a killed parent cannot stop it."""
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    Thread(target=wait, daemon=True).start()
