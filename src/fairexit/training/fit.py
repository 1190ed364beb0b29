"""Train a run, refit one, or fine-tune a pruned one: check, set up, and call the loop."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from fairexit.config import RunConfig
from fairexit.data.loaders import Loader
from fairexit.data.prepared import Prepared, open_prepared
from fairexit.errors import UserError
from fairexit.files import folder_lock
from fairexit.methods import Distilled, Refitted, Upweighted, methods
from fairexit.models import ExitNet
from fairexit.runs import Run, open_run
from fairexit.terminal import note
from fairexit.training.checkpoint import remove_checkpoints
from fairexit.training.extend import extend
from fairexit.training.freeze import check_freeze
from fairexit.training.identify import (
    find_errors,
    identification_config,
    read_errors,
    write_errors,
)
from fairexit.training.inputs import open_training
from fairexit.training.precision import measured_precision, stored_precision
from fairexit.training.processes import check_processes, end_together, launch
from fairexit.training.refit import refit
from fairexit.training.setup import build, resolve, teach, untrained
from fairexit.training.start import other_division
from fairexit.training.trainer import Trainer, seed_epoch
from fairexit.types import Task


def train(
    config: RunConfig,
    out: Path,
    *,
    start: Path | None = None,
    tracker: Mapping[str, Any] | None = None,
) -> Run:
    """Train a run. Resumes automatically if interrupted.

    If the folder holds the same run with fewer epochs, it is extended, see `extend`. A method that
    refits is trained by ERM in the folder `erm` of `out`, and refitted afterwards.

    All random numbers of an epoch depend only on the seed and the epoch's number. So a resumed run
    ends with the same weights as an uninterrupted one, bit for bit on a CPU.

    Args:
        config: the settings.
        out: the run's folder.
        start: a finished run by ERM, for a method that refits; it is trained first by default.
        tracker: where the log is sent too, see `check_tracker`; also that of a teacher or of the
            run that is refitted, if they are trained first.
    Returns:
        The finished run.
    Raises:
        UserError: the settings do not fit the data or the machine, or the loss diverges.
    """
    if config.prune is not None:
        raise UserError(
            "the configuration has a section prune, but training alone does not prune; leave it "
            "out, or call fairexit.train"
        )
    check_freeze(config)
    if start is None:
        check_processes(config.train.devices)
    data = open_training(config)
    config = with_precision(resolve(config), [out])
    task = data.task(config.data.group)
    kind = methods[config.method["name"]]
    if issubclass(kind, Refitted):
        return _train_and_refit(config, data, task, out, start=start, tracker=tracker)
    fabric = launch(config)
    lock = folder_lock(out) if fabric.is_global_zero else nullcontext()
    with end_together(fabric), lock:
        return _train(config, data, task, Run(out), fabric=fabric, tracker=tracker)


def _train(
    config: RunConfig,
    data: Prepared,
    task: Task,
    run: Run,
    *,
    fabric: Fabric,
    tracker: Mapping[str, Any] | None,
) -> Run:
    """Train a run whose folder is locked, after the run that the method needs, if any."""
    seed_epoch(config.seed, 0)
    method = build(config, task, data.size)
    if isinstance(method, Distilled) and method.teacher_run:
        teach(method, open_run(method.teacher_run))
    if fabric.is_global_zero:
        start, checksums = config.model.start, data.info["checksums"]
        if start and (warning := other_division(start, data, config.data.fold)):
            note(warning)
        images = len(data.rows("train", config.data.fold))
        extend(run, config, checksums, -(-images // config.train.images_per_step))
        run.start(config, checksums)
    fabric.barrier()
    if run.finished:
        if fabric.is_global_zero:
            remove_checkpoints(run, config)  # which an interrupted call may have left
        return run
    if isinstance(method, Distilled) and not method.teacher_run:
        teacher = run.path / "teacher"
        if fabric.is_global_zero:
            note(f"{run.path}: the method needs a teacher, in {teacher}")
        erm = replace(config, method={"name": "erm"})
        teach(method, train(erm, teacher, tracker=tracker))
    if isinstance(method, Upweighted):
        _set_errors(method, config, data, task, run=run, fabric=fabric)
    trainer = Trainer(config, data, task, run, fabric=fabric, method=method)
    trainer.fit(tracker)
    trainer.finish(config)
    return run


def _train_and_refit(
    config: RunConfig,
    data: Prepared,
    task: Task,
    out: Path,
    *,
    start: Path | None,
    tracker: Mapping[str, Any] | None,
) -> Run:
    """Refit the last layers of a run by ERM, which is trained first where none is given."""
    run = Run(out)
    if start is not None:
        # The features take one device, however many have trained the run.
        fabric = launch(replace(config, train=replace(config.train, devices=1)))
        return refit(open_run(start), out, config, data, device=fabric.device)
    build(untrained(config), task, data.size)  # refuses a network that cannot be refitted
    fabric = launch(config)
    with end_together(fabric):
        if fabric.is_global_zero:
            run.start(config, data.info["checksums"])
        fabric.barrier()
        if not run.finished:
            erm = replace(config, method={"name": "erm"})
            trained = train(erm, out / "erm", tracker=tracker)
            if fabric.is_global_zero:
                refit(trained, out, config, data, device=fabric.device)
            fabric.barrier()
    return run


def _set_errors(
    method: Upweighted,
    config: RunConfig,
    data: Prepared,
    task: Task,
    *,
    run: Run,
    fabric: Fabric,
) -> None:
    """Let the method draw more often what its identification network gets wrong."""
    rows, is_first = data.rows("train", config.data.fold), fabric.is_global_zero
    if not run.identified.is_file():
        folder = run.path / "identification"
        if is_first:
            note(f"{run.path}: the method needs an identification network, in {folder}")
        network = train(identification_config(config, method.identification_epochs), folder)
        if is_first:
            size, device = config.train.batch_size, fabric.device
            loader = Loader(data, rows, task.group, batch_size=size, device=device)
            write_errors(run, data, rows, find_errors(network, loader))
        fabric.barrier()
    wrong = read_errors(run, data, rows)
    if is_first:
        note(f"{run.path}: {wrong.sum()} of {len(rows)} training images are drawn more often")
    method.set_errors(torch.from_numpy(wrong))


def with_precision(config: RunConfig, folders: Sequence[Path]) -> RunConfig:
    """The settings with a precision in place of `auto`.

    It is that of a run that was started in one of the folders, so that a run that is resumed
    computes as before; without such a run it is measured.

    Args:
        config: the settings.
        folders: folders of runs that share the precision.
    Raises:
        UserError: the settings have several devices, or as for `open_prepared`.
    """
    if config.train.precision != "auto":
        return config
    if config.train.devices > 1:
        raise UserError(
            f"train.precision is auto, which is measured on one device, but train.devices is "
            f"{config.train.devices}; set train.precision to 32-true or bf16-mixed"
        )
    precision = stored_precision(folders)
    if precision is None:
        data = open_prepared(config.data.path)
        full = replace(config, train=replace(config.train, precision="32-true"))
        task, device = data.task(config.data.group), launch(full).device
        precision = measured_precision(full, task, data.size, device)
    return replace(config, train=replace(config.train, precision=precision))


def finetune(
    run: Run,
    settings: RunConfig,
    net: ExitNet,
    *,
    held: Mapping[str, Tensor],
    unpruned: Run,
    division: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
) -> Trainer:
    """Train an edited network further while what is edited stays as it is. Resumes if interrupted.

    Args:
        run: the run whose folder holds the checkpoints.
        settings: those of `finetune_config`.
        net: the edited network; it is not changed.
        held: parameter name -> True where the parameter is held, of its shape.
        unpruned: the run that was edited, which has the teacher or the errors that its method
            needs.
        division: the rows to train on and those to validate on; by default the splits of the data.
    Returns:
        The loop, whose epochs are done.
    Raises:
        UserError: as for `train`.
    """
    # With the weights goes their normalisation, which `auto` would take from pretrained weights.
    model = replace(settings.model, normalisation=net.config["normalisation"])
    settings = with_precision(replace(settings, model=model), [run.path, unpruned.path])
    data = open_training(settings)
    task = data.task(settings.data.group)
    fabric = launch(settings)
    seed_epoch(settings.seed, 0)
    method = build(settings, task, data.size)
    method.net.load_state_dict(net.state_dict())
    if isinstance(method, Distilled):
        teach(method, open_run(method.teacher_run or unpruned.path / "teacher"))
    if isinstance(method, Upweighted):
        rows = data.rows("train", settings.data.fold)
        method.set_errors(torch.from_numpy(read_errors(unpruned, data, rows)))
    trainer = Trainer(
        settings, data, task, run, fabric=fabric, method=method, held=held, division=division
    )
    trainer.fit()
    return trainer
