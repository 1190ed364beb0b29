"""What is served: a run with torch, or an export without it, behind the same functions."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError, option
from fairexit.evaluation.policy import Policy
from fairexit.extras import require
from fairexit.runs import Run, open_run
from fairexit.runtime.early_exit import Traced


@dataclass(frozen=True, eq=False)
class Served:
    """A model that is served.

    Attributes:
        name: of the folder.
        form: `run`, or the form of the export.
        trace: images (B, size, size, 3) to their answers and the probabilities of all exits on
            the way.
        classes: C names.
        exits: E names, the final exit "f" last.
        costs: multiply-adds of one image that leaves at each exit, E numbers.
        size: side of the network's images in pixels.
        fit: how images are brought to that size, `squash` or `crop`.
        policy: the rule by which an image leaves at an exit.
        weights: file of weights -> SHA-256.
    """

    name: str
    form: str
    trace: Callable[[NDArray[np.uint8]], Traced]
    classes: tuple[str, ...]
    exits: tuple[str, ...]
    costs: tuple[float, ...]
    size: int
    fit: str
    policy: Policy
    weights: Mapping[str, str]


def open_served(
    path: Path,
    *,
    threads: int | None = None,
    device: str = "auto",
    plugins: Sequence[str | Path] = (),
) -> Served:
    """Open a run or an export; torch is imported for a run only.

    Args:
        path: the folder.
        threads: number of threads of the network; None leaves it to onnxruntime or torch.
        device: where a run computes: `auto`, `cpu`, `cuda` and so on.
        plugins: Python files that a run needs.
    Raises:
        UserError: the folder is not a finished run with a policy or an export, or an extra that
            it needs is not installed.
    """
    if threads is not None and threads < 1:
        raise UserError(f"{option('threads')} is {threads}; it must be at least 1")
    run = open_run(path)
    if run.is_export:
        if device not in ("auto", "cpu"):
            raise UserError(f"{option('device')} is '{device}', but exports run on the CPU")
        return _open_export(path, threads)
    require("train", "fairexit serve of a run")
    return _open_run(run, threads, device, plugins)


def _open_export(path: Path, threads: int | None) -> Served:
    from fairexit.runtime.model import load

    model = load(path, threads=threads)
    m = model.manifest
    return Served(
        name=_name(path),
        form=m.form,
        trace=model.trace,
        classes=m.classes,
        exits=m.exits,
        costs=m.exit_costs,
        size=m.size,
        fit=m.fit,
        policy=model.policy,
        weights={name: m.files[name] for name in m.graphs},
    )


def _open_run(run: Run, threads: int | None, device: str, plugins: Sequence[str | Path]) -> Served:
    import torch

    from fairexit.inference.classifier import Classifier, load_model

    if threads is not None:
        torch.set_num_threads(threads)
    model = load_model(run.path, device, plugins=plugins)
    assert isinstance(model, Classifier)
    with run.weights.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Served(
        name=_name(run.path),
        form="run",
        trace=model.trace,
        classes=model.classes,
        exits=tuple(model.net.exit_names),
        costs=model.costs,
        size=model.size,
        fit=model.fit,
        policy=model.policy,
        weights={run.weights.name: digest},
    )


def _name(path: Path) -> str:
    return path.resolve().name
