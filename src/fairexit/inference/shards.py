"""Answers for many image files in shards: each is a task, and they are joined in order. No torch.

As a program it is the process of a task, which answers one shard.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from fairexit.errors import UserError
from fairexit.executors import child
from fairexit.executors.task import Executor, Task
from fairexit.files import write_atomically
from fairexit.inference.answers import BatchClassifier
from fairexit.inference.image_list import ImageList
from fairexit.inference.stream import batch_texts
from fairexit.inference.unfinished import Unfinished
from fairexit.plugins import loaded_paths
from fairexit.runs import open_run

PROGRAM = ("-m", "fairexit.inference.shards")

IMAGES = 8192
"""Images of a shard, up to whole batches: a task needs seconds to start and to load the model."""


class Sharding(NamedTuple):
    """How images are divided among tasks.

    Attributes:
        executor: where the tasks run.
        run: folder of the run or export that answers.
        device: where each task computes.
    """

    executor: Executor
    run: Path
    device: str


def shard_texts(
    sharding: Sharding, images: ImageList, unfinished: Unfinished, *, batch_size: int
) -> Iterator[tuple[str, int]]:
    """The answers for the images that are not done, shard by shard and in order.

    Each shard is a file beside the unfinished answers until they are done; a shard that an
    interrupted call has left is used again.

    Args:
        sharding: the executor, and what its tasks need.
        images: all images.
        unfinished: the answers that are done.
        batch_size: images per batch; shards consist of whole batches.
    Yields:
        CSV without header, and the number of its rows.
    Raises:
        UserError: a task failed.
    """
    source = json.dumps(dict(unfinished.source), sort_keys=True)
    folder = unfinished.parts / hashlib.sha256(source.encode()).hexdigest()[:16]
    size = max(1, IMAGES // batch_size) * batch_size
    starts = range(unfinished.rows, images.count, size)
    ready = {start for start in starts if _file(folder, start).is_file()}

    def tasks() -> Iterator[Task]:
        names = islice(images.names(), unfinished.rows, None)
        for start in starts:
            shard = list(islice(names, size))
            if start not in ready:
                yield _task(sharding, images, shard, start, folder=folder, batch_size=batch_size)

    with closing(sharding.executor.run(tasks())) as outcomes:
        for start in starts:
            while start not in ready:
                task, error, *_ = next(outcomes)
                if error is not None:
                    raise UserError(f"{task.name}: {error}")
                ready.add(task.payload["start"])
            text = _file(folder, start).read_text(encoding="utf-8")
            yield text, min(size, images.count - start)


def _file(folder: Path, start: int) -> Path:
    """The file of the shard that begins with this image."""
    return folder / f"{start}.csv"


def _task(
    sharding: Sharding,
    images: ImageList,
    names: list[str],
    start: int,
    *,
    folder: Path,
    batch_size: int,
) -> Task:
    payload = {
        "start": start,
        "run": str(sharding.run.absolute()),
        "path": str(images.path.absolute()),
        "base": str(images.base.absolute()),
        "names": names,
        "out": str(_file(folder, start).absolute()),
        "batch_size": batch_size,
        "device": sharding.device,
        "plugins": loaded_paths(),
    }
    return Task(
        f"images {start + 1:,} to {start + len(names):,}",
        PROGRAM,
        payload,
        folder / "log.txt",
        threads=sharding.executor.threads,
        device=sharding.device,
    )


def work(payload: dict[str, Any]) -> None:
    """Answer the images of a shard."""
    base, names = Path(payload["base"]), payload["names"]
    images = ImageList(Path(payload["path"]), base, lambda: iter(names), len(names), "")
    model = load(Path(payload["run"]), payload["device"])
    texts = batch_texts(model, images, batch_size=payload["batch_size"])
    write_atomically(Path(payload["out"]), "".join(text for text, _ in texts))


def load(run: Path, device: str) -> BatchClassifier:
    """Load a run or an export as a classifier; an export without torch."""
    home = "exported" if open_run(run).is_export else "classifier"
    model: BatchClassifier = import_module(f"fairexit.inference.{home}").load_model(run, device)
    return model


if __name__ == "__main__":
    sys.exit(child.main(work, "'{}'".format))
