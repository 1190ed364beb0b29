"""Writing of a prepared dataset's image array."""

import io
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairexit.data.images import Decoded
from fairexit.data.left_out import LeftOut
from fairexit.data.records import Dataset
from fairexit.decoder_warnings import silence_decoders
from fairexit.errors import UserError, option
from fairexit.plugins import portable
from fairexit.progress import track

CHUNK = 64


class Stored(NamedTuple):
    """What was stored.

    Attributes:
        frame: the rows whose images are stored, in their order.
        digests: SHA-256 of each of their files, (N,).
        adjusted: what was done to the pixels -> number of images.
    """

    frame: pd.DataFrame
    digests: NDArray[np.object_]
    adjusted: dict[str, int]


def store_images(
    dataset: Dataset,
    frame: pd.DataFrame,
    file: Path,
    *,
    size: int,
    fit: str,
    workers: int,
    left_out: LeftOut,
) -> Stored:
    """Decode the images of a table into a .npy file, in the table's order.

    Args:
        dataset: reads the images.
        frame: one row per image.
        file: the .npy file to write.
        size: side of the stored images in pixels.
        fit: `squash` or `crop`.
        workers: number of processes that decode.
        left_out: receives the images that cannot be read.
    Raises:
        UserError: no image could be read, or a worker was killed.
        OSError: the file cannot be written.
    """
    digests: list[str] = []
    reasons: list[str] = []
    adjusted: Counter[str] = Counter()
    read = portable(partial(dataset.pixels, size=size, fit=fit))
    # Plain writes raise an error if the disk is full; a memory map would kill the process.
    with file.open("wb") as stream:
        stream.write(header(len(frame), size))
        chunks = _in_order(read, frame, workers)
        for chunk in track(chunks, "reading images", -(-len(frame) // CHUNK)):
            for image in chunk:
                if image.pixels is None:
                    reasons.append(image.reason or "unreadable image")
                else:
                    reasons.append("")
                    stream.write(image.pixels.tobytes())
                    digests.append(image.digest)
                    adjusted.update(image.adjusted)
        stream.seek(0)
        stream.write(header(len(digests), size))
    causes = pd.Series(reasons, index=frame.index, dtype=object)
    stored = left_out.drop(frame, (causes != "").to_numpy(), causes)
    if not digests:
        raise UserError(f"no usable image remains; left out: {left_out}")
    stored = stored.drop(columns="path", errors="ignore").reset_index(drop=True)
    return Stored(stored, np.array(digests, object), dict(sorted(adjusted.items())))


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
        with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start_worker) as pool:
            yield from pool.map(read, chunks)
    except BrokenProcessPool:
        raise UserError(
            "a process that reads images was killed, perhaps because memory ran out; choose fewer "
            f"{option('workers')}"
        ) from None


def _start_worker() -> None:
    """Set up a worker: it is quiet, and exits as soon as its parent has died.

    A killed parent cannot stop it.
    """
    silence_decoders()
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    Thread(target=wait, daemon=True).start()
