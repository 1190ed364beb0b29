"""The files of a run in training: checkpoints to resume from, and the finished network."""

import io
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from fairexit.config import RunConfig
from fairexit.data.prepared import Prepared
from fairexit.environment import environment
from fairexit.errors import UserError, reason, short
from fairexit.files import write_atomically, write_json
from fairexit.models import ExitNet, create_model
from fairexit.models.weight_files import without_prefix
from fairexit.registry import UnknownNameError
from fairexit.runs import FORMAT, Run
from fairexit.training.log import kept_epoch
from fairexit.types import Task
from fairexit.version import __version__

STORE_EVERY = 15.0
"""Least number of seconds between two checkpoints; writing one after each short epoch would take
most of the time."""


class Stateful(Protocol):
    """An object whose state a checkpoint stores."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object: ...


@dataclass
class Progress:
    """The state of a training run.

    Attributes:
        epoch: number of epochs that are done.
        rows: the log, one row per epoch.
    """

    epoch: int = 0
    rows: list[dict[str, float]] = field(default_factory=list)


def save_tensors(tensors: dict[str, Tensor]) -> bytes:
    """The bytes of a safetensors file."""
    return save({k: v.detach().cpu().contiguous() for k, v in tensors.items()})


def save_checkpoint(run: Run, parts: Mapping[str, Stateful], progress: Progress) -> None:
    """Store everything that the next epoch depends on.

    Args:
        run: the run; the checkpoint is written to its folder.
        parts: method, optimizer and so on, by name.
        progress: the state of the run.
    """
    stream = io.BytesIO()
    state = {name: part.state_dict() for name, part in parts.items()}
    torch.save(state | {"progress": vars(progress)}, stream)
    write_atomically(run.checkpoints / "last.ckpt", stream.getvalue())


@dataclass
class Checkpoints:
    """The checkpoints of a run in training, and the weights of its best epoch so far.

    The best weights are in a file named by the epoch. It is written before the checkpoint that
    refers to it, and files of other epochs are removed afterwards. So the stored weights always
    belong to the epoch that the log names, wherever the run is interrupted, and even if a repeated
    epoch gives other values (on a GPU, or with another number of threads).

    Args:
        run: the run; the files are written to its folder.
        parts: as for `save_checkpoint`.
        select: the setting `train.select`.
        save_every: the setting `train.save_every`.
    """

    run: Run
    parts: Mapping[str, Stateful]
    select: str
    save_every: int | None = None
    _unstored: dict[str, Tensor] | None = field(default=None, init=False)
    _stored_at: float = field(default=-math.inf, init=False)

    def load(self) -> Progress:
        """Restore the last stored epoch; without a checkpoint, the run is at its start.

        Raises:
            UserError: the checkpoint is damaged, or the weights of the best epoch are missing.
        """
        progress = load_checkpoint(self.run, self.parts)
        if progress.epoch and not self.best(progress).is_file():
            raise UserError(
                f"{self.best(progress)} is missing; remove {self.run.path} and train again"
            )
        return progress

    def best(self, progress: Progress) -> Path:
        """The file with the weights of the best epoch."""
        return best_file(self.run, progress.rows, self.select)

    def store(self, net: ExitNet, progress: Progress, now: bool) -> None:
        """Store an epoch that is done.

        Args:
            net: the network after the epoch, averaged if the settings say so.
            progress: the state of the run.
            now: whether to write at once; if not, only if the last checkpoint is older than
                `STORE_EVERY` seconds.
        """
        if self.save_every is not None and progress.epoch % self.save_every == 0:
            file = self.run.checkpoints / f"epoch-{progress.epoch}.safetensors"
            write_atomically(file, save_tensors(net.state_dict()))
        if kept_epoch(progress.rows, self.select) == progress.epoch:
            self._unstored = {k: v.detach().clone() for k, v in net.state_dict().items()}
        if not now and time.monotonic() - self._stored_at < STORE_EVERY:
            return
        best = self.best(progress)
        if self._unstored is not None:
            write_atomically(best, save_tensors(self._unstored))
            self._unstored = None
        save_checkpoint(self.run, self.parts, progress)
        for outdated in set(self.run.checkpoints.glob("best-*.safetensors")) - {best}:
            outdated.unlink()
        self._stored_at = time.monotonic()


def best_file(run: Run, rows: Sequence[Mapping[str, float]], select: str) -> Path:
    """The file with the weights of the best epoch of a run in training.

    Args:
        run: the run.
        rows: the log, one row per epoch.
        select: the setting `train.select`.
    """
    return run.checkpoints / f"best-{kept_epoch(rows, select)}.safetensors"


def read_progress(run: Run) -> Progress:
    """The state of the last stored epoch; that of the start without a checkpoint.

    Raises:
        UserError: the checkpoint is damaged.
    """
    return load_checkpoint(run, {})


def load_checkpoint(run: Run, parts: Mapping[str, Stateful]) -> Progress:
    """Restore the last stored epoch; without a checkpoint, the run is at its start.

    Args:
        run: the run.
        parts: as for `save_checkpoint`; their states are replaced.
    Raises:
        UserError: the checkpoint is damaged.
    """
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
    own_loop: bool = False,
    stopped: str | None = None,
) -> None:
    """Write config.json, which marks the run as finished, and remove what only resuming needs.

    Args:
        run: the run; its weights have been written.
        config: the settings.
        data: the data it was trained on.
        net: the network.
        task: the classes and groups.
        penalty_ratio: mean ratio of the penalty's to the target loss's gradient on the trunk; None
            for a method without a penalty.
        own_loop: whether the network was trained outside this package, so that settings of the
            training may be missing.
        stopped: why training ended before `train.epochs`; None if it did not.
    """
    info = {
        "format": FORMAT,
        "fairexit": __version__,
        "environment": environment(torch.get_num_threads()),
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
            "normalisation": _normalisation(net),
        },
        "data": {"name": data.name, "checksums": data.info["checksums"]},
        "exit_costs": net.exit_costs(data.size),
        "penalty_ratio": penalty_ratio,
        "stopped": stopped,
        "images_per_penalty": config.train.images_per_penalty,
        "own_loop": own_loop,
        "run": config.to_dict(),
    }
    write_json(run.path / "config.json", info)
    remove_checkpoints(run, config)


def remove_checkpoints(run: Run, config: RunConfig) -> None:
    """Remove from a finished run what only resuming needs.

    The last checkpoint of a training stays, so that more epochs can follow, and so do the epochs
    that `train.save_every` keeps.
    """
    kept = ["epoch-*.safetensors"] + (["last.ckpt"] if config.prune is None else [])
    stay = {file for pattern in kept for file in run.checkpoints.glob(pattern)}
    for file in {*run.checkpoints.glob("*")} - stay:
        file.unlink(missing_ok=True)
    if not stay and run.checkpoints.is_dir():
        run.checkpoints.rmdir()


def _normalisation(net: ExitNet) -> dict[str, Any] | None:
    """How the network's first layer normalises its input; None if it does not."""
    values = net.config.get("normalisation", "none")
    return None if values == "none" else {**values, "applied": "inside the network"}


def load_net(run: Run, last: bool = False) -> ExitNet:
    """A finished run's network in evaluation mode, on the CPU.

    Args:
        run: the run.
        last: whether to load the weights of the last epoch in place of the best one's.
    Raises:
        UserError: the run needs a plugin that is missing, its files are damaged, or it is an
            export, which has no weights.
    """
    if run.is_export:
        raise UserError(f"{run.path} is an export without weights; give the run that it is of")
    try:
        # The stored weights replace all others, so nothing is downloaded.
        net = create_model(**run.description["model"] | {"pretrained": False})
    except UnknownNameError as error:
        raise run.without_plugin(error) from None
    except UserError as error:
        raise error.at(f"{run.path}/config.json") from None
    except Exception as error:  # a damaged description can fail in any layer
        raise UserError(
            f"{run.path}/config.json is damaged ({short(reason(error), 200)}); train the run again"
        ) from None
    if len(run.exit_costs) != net.num_exits:
        raise UserError(
            f"{run.path}/config.json is damaged: it has {len(run.exit_costs)} exit_costs, but the "
            f"network has {net.num_exits} exits; train the run again"
        )
    path = run.last_weights if last else run.weights
    try:
        net.load_state_dict(without_prefix(load_file(path), net.state_dict()))
    except Exception as error:
        raise UserError(
            f"{path} does not fit its config.json ({short(reason(error), 200)}); train the run "
            "again"
        ) from None
    return net.eval()
