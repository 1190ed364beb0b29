"""The process that makes one search of a study: the trials of one row, one after the other."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fairexit.executors import child
from fairexit.executors.task import Task
from fairexit.plugins import loaded_paths
from fairexit.search_space import Axis
from fairexit.study.folder import Folder
from fairexit.study.searches import Search, TuneSettings
from fairexit.study.tuned import run_search
from fairexit.study.wording import run_setting

PROGRAM = ("-m", "fairexit.study.search_job")


def search_task(search: Search, folder: Folder, threads: int) -> Task:
    """A search as a task for an executor."""
    train, prune = search.tree.get("train", {}), search.tree.get("prune")
    parts = [train, prune] if prune else [train]
    return Task(
        search.name,
        PROGRAM,
        {"search": asdict(search) | {"out": str(search.out)}, "plugins": loaded_paths()},
        folder.log(f"tuning-{search.name}"),
        threads=threads,
        device="cpu" if all(part.get("device") == "cpu" for part in parts) else "auto",
    )


def work(payload: dict[str, Any]) -> None:
    """Make the search of a task."""
    parts = payload["search"]
    axes = [Axis(axis["key"], tuple(axis["values"]), axis["log"]) for axis in parts["axes"]]
    changes = {"axes": tuple(axes), "out": Path(parts["out"]), "how": TuneSettings(**parts["how"])}
    run_search(Search(**parts | changes))


if __name__ == "__main__":
    sys.exit(child.main(work, run_setting))
