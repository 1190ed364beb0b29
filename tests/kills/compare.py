"""Comparison of two folders byte for byte, but for what legitimately holds times."""

import hashlib
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

BOARD = "tensorboard"


def _log(file: Path) -> Any:
    log = pd.read_csv(file, dtype=str)
    return log[[name for name in log if "seconds" not in name]].to_csv()


def _checkpoint(file: Path) -> Any:
    state = torch.load(file, map_location="cpu", weights_only=True)
    for row in state["progress"]["rows"]:
        for name in [name for name in row if "seconds" in name]:
            del row[name]
    return repr(_plain(state))


def _plain(value: Any) -> Any:
    """Nested values, with tensors as their type, shape and bytes."""
    if isinstance(value, torch.Tensor):
        numbers = value.contiguous().reshape(-1).view(torch.uint8)
        return value.dtype, tuple(value.shape), hashlib.sha256(numbers.numpy()).hexdigest()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def scalars(folder: Path) -> str:
    """What TensorBoard shows of a run, but for the seconds."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    names = [name for name in sorted(events.Tags()["scalars"]) if "seconds" not in name]
    return repr([(name, [(e.step, e.value) for e in events.Scalars(name)]) for name in names])


def _stamp(file: Path) -> Any:
    return sorted(json.loads(file.read_text()))


def _nothing(file: Path) -> Any:
    return ""


def _status(file: Path) -> Any:
    return {k: v for k, v in json.loads(file.read_text()).items() if k != "seconds"}


RULES: list[tuple[str, Callable[[Path], Any], str]] = [
    (r"(.*/)?log\.csv", _log, "without the seconds of each epoch"),
    (r".*/checkpoints/last\.ckpt", _checkpoint, "without the seconds of each epoch"),
    (rf".*/{BOARD}", scalars, "the scalars: names and records hold times; a resumed run has more"),
    (r"(.*/)?\.verified\.json", _stamp, "the keys: it holds when the images were last changed"),
    (r"out/logs/.*\.log", _nothing, "what the runs have printed: seconds, and of each attempt"),
    (r"out/status/.*\.json", _status, "without the seconds of a run"),
]
"""Pattern of a path -> what is compared in place of its bytes, and why."""


def contents(folder: Path) -> dict[str, Any]:
    """Path -> content of everything below a folder, comparable; folders have None."""
    values: dict[str, Any] = {}
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if BOARD in Path(name).parts[:-1]:
            continue
        read = next((read for pattern, read, _ in RULES if re.fullmatch(pattern, name)), None)
        if read:
            values[name] = read(file)
        else:
            values[name] = None if file.is_dir() else file.read_bytes()
    return values


@cache
def reference(folder: Path) -> dict[str, Any]:
    """The contents of a folder that stays as it is."""
    return contents(folder)


def compare(folder: Path, undisturbed: Path) -> tuple[list[str], list[str]]:
    """Paths that are missing or differ, and paths that should not be there."""
    here, there = contents(folder), reference(undisturbed)
    differing = [name for name in there if name not in here or here[name] != there[name]]
    return differing, sorted(here.keys() - there.keys())
