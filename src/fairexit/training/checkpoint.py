"""What a killed run needs to go on, and the files it ends with."""

import io
import json
import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from fairexit.config import RunConfig
from fairexit.data.prepared import Prepared
from fairexit.errors import UserError, reason, short
from fairexit.files import write_atomically
from fairexit.methods import Method, methods
from fairexit.models import ExitNet, create_model
from fairexit.registry import UnknownNameError
from fairexit.runs import FORMAT, Run
from fairexit.training.log import kept_epoch
from fairexit.types import Task
from fairexit.version import __version__

STORE_EVERY = 15.0
"""Seconds between two checkpoints, at least; where epochs are short, to write them all would be
most of the work."""

PAPER_WEIGHTS = (0.3, 0.45, 0.6, 0.75, 0.9)


def exit_weights(net: ExitNet, wanted: str | list[float]) -> list[float]:
    """alpha of each exit; a plain network's only exit weighs 1.

    Raises:
        UserError: a list of another length, or a weight that is negative or no number.
    """
    if isinstance(wanted, list):
        if len(wanted) != net.num_exits or not all(0 <= w < math.inf for w in wanted):
            raise UserError(
                f"train.exit_weights is {short(wanted)}; give {net.num_exits} weights that are not "
                f"negative, for the exits {', '.join(net.exit_names)}"
            )
        return wanted
    if wanted == "equal" or net.num_exits == 1:
        return [1.0] * net.num_exits
    *internal, _ = net.positions
    return [*(PAPER_WEIGHTS[p] for p in internal), PAPER_WEIGHTS[-1]]


def build(config: RunConfig, task: Task, image_size: int) -> Method:
    """The network and method of a run, with fresh weights."""
    model = config.model
    net = create_model(
        model.backbone,
        task.num_classes,
        exits=model.exits,
        head=model.head,
        stem=model.stem,
        pretrained=model.pretrained,
        image_size=image_size,
    )
    options = {k: v for k, v in config.method.items() if k != "name"}
    weights = exit_weights(net, config.train.exit_weights)
    return methods.create(config.method["name"], net, task, weights, **options)


class Stateful(Protocol):
    """Whatever a checkpoint takes in."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object: ...


@dataclass
class Progress:
    """How far a run is.

    Attributes:
        epoch: epochs done.
        rows: the log, a row per epoch.
    """

    epoch: int = 0
    rows: list[dict[str, float]] = field(default_factory=list)


def save_tensors(tensors: dict[str, Tensor]) -> bytes:
    """The bytes of a safetensors file."""
    return save({k: v.detach().cpu().contiguous() for k, v in tensors.items()})


def save_checkpoint(run: Run, parts: Mapping[str, Stateful], progress: Progress) -> None:
    """Store everything that the next epoch depends on.

    Args:
        run: whose folder takes it.
        parts: method, optimizer and so on, by a name of their own.
        progress: how far the run is.
    """
    stream = io.BytesIO()
    state = {name: part.state_dict() for name, part in parts.items()}
    torch.save(state | {"progress": vars(progress)}, stream)
    write_atomically(run.checkpoints / "last.ckpt", stream.getvalue())


@dataclass
class Checkpoints:
    """What is stored of a run in training: an epoch now and then, and the best weights so far.

    The weights of the kept epoch are in a file of its number, written before the checkpoint that
    counts on it; others are removed after. So whenever a kill comes, and if an epoch that is done
    again turns out otherwise (on a GPU, with other threads), they are those of the epoch that the
    log names.

    Args:
        run: whose folder takes it.
        parts: as for `save_checkpoint`.
        select: as `train.select`.
    """

    run: Run
    parts: Mapping[str, Stateful]
    select: str
    _unstored: dict[str, Tensor] | None = field(default=None, init=False)
    _stored_at: float = field(default=-math.inf, init=False)

    def load(self) -> Progress:
        """Go back to the last stored epoch, or to the start where there is none.

        Raises:
            UserError: damaged, or without the weights of the kept epoch.
        """
        progress = load_checkpoint(self.run, self.parts)
        if progress.epoch and not self.best(progress).is_file():
            raise UserError(
                f"{self.best(progress)} is missing; remove {self.run.path} and train again"
            )
        return progress

    def best(self, progress: Progress) -> Path:
        """The weights of the epoch that is kept."""
        kept = kept_epoch(progress.rows, self.select)
        return self.run.checkpoints / f"best-{kept}.safetensors"

    def store(self, net: ExitNet, progress: Progress, now: bool) -> None:
        """Take in an epoch that is done; written now or if the last one is `STORE_EVERY` s old."""
        if kept_epoch(progress.rows, self.select) == progress.epoch:
            self._unstored = {k: v.detach().clone() for k, v in net.state_dict().items()}
        if not now and time.monotonic() - self._stored_at < STORE_EVERY:
            return
        best = self.best(progress)
        if self._unstored is not None:
            write_atomically(best, save_tensors(self._unstored))
            self._unstored = None
        save_checkpoint(self.run, self.parts, progress)
        for other in set(self.run.checkpoints.glob("best-*.safetensors")) - {best}:
            other.unlink()
        self._stored_at = time.monotonic()


def load_checkpoint(run: Run, parts: Mapping[str, Stateful]) -> Progress:
    """Go back to the last stored epoch, or to the start where there is none."""
    path = run.checkpoints / "last.ckpt"
    if not path.is_file():
        return Progress()
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        return Progress(**state["progress"])
    except Exception as error:
        raise UserError(
            f"{path} is damaged ({reason(error)}); remove {run.path} and train again"
        ) from None


def describe(
    run: Run,
    config: RunConfig,
    data: Prepared,
    net: ExitNet,
    *,
    task: Task,
    penalty_ratio: float | None,
) -> None:
    """Write config.json: with it the run is finished, and what only resuming needs is removed."""
    info = {
        "format": FORMAT,
        "fairexit": __version__,
        "architectures": ["ExitNet"],
        "model": net.config,
        "id2label": dict(enumerate(task.classes)),
        "label2id": {name: i for i, name in enumerate(task.classes)},
        "group": task.group,
        "groups": task.groups,
        "preprocessing": {
            "size": data.size,
            "fit": data.info["options"]["fit"],
            "scale": 1 / 255,
            "channels": "RGB",
        },
        "data": {"name": data.name, "checksums": data.info["checksums"]},
        "exit_costs": net.exit_costs(data.size),
        "penalty_ratio": penalty_ratio,
        # What a penalty saw at a time.
        "batch_per_process": config.train.batch_size // config.train.devices,
        "run": config.to_dict(),
    }
    write_atomically(run.path / "config.json", json.dumps(info, indent=2) + "\n")
    shutil.rmtree(run.checkpoints, ignore_errors=True)


def load_net(run: Run, last: bool = False) -> ExitNet:
    """A finished run's network in evaluation mode, on the CPU.

    Args:
        run: the run.
        last: the weights of the last epoch in place of the best.
    """
    try:
        net = create_model(**run.description["model"])
    except UnknownNameError as error:
        raise run.without_plugin(error) from None
    except TypeError as error:
        raise UserError(
            f"{run.path}/config.json is damaged ({reason(error)}); train the run again"
        ) from None
    path = run.last_weights if last else run.weights
    try:
        net.load_state_dict(load_file(path))
    except Exception as error:
        raise UserError(
            f"{path} does not fit its config.json ({reason(error)}); train the run again"
        ) from None
    return net.eval()
