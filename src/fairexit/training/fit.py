"""The training loop; the only importer of Lightning Fabric."""

import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from fairexit.config import RunConfig
from fairexit.data.augment import Augment
from fairexit.data.loaders import Loader
from fairexit.data.prepared import Prepared
from fairexit.errors import DivergedError, UserError, option, short
from fairexit.files import alone, write_atomically
from fairexit.methods import Distilled, Method
from fairexit.models import ExitNet
from fairexit.progress import Bar
from fairexit.runs import Run, open_run
from fairexit.training.checkpoint import (
    Checkpoints,
    Stateful,
    build,
    describe,
    save_tensors,
)
from fairexit.training.log import csv_text, summary
from fairexit.training.optim import build_optimizer, learning_rate
from fairexit.training.setup import finetune_config, open_training, slow_precision, teach
from fairexit.training.validate import validate
from fairexit.types import Batch, Task


def train(config: RunConfig, out: Path) -> Run:
    """Train a run, or go on with one that was killed.

    Everything random is drawn anew from seed and epoch, so the run that was killed and the one
    that was not end with the same weights, bit for bit on a CPU.

    Args:
        config: the settings.
        out: the run's folder.
    Raises:
        UserError: settings that do not fit the data or the machine, or a loss that diverges.
    """
    if config.prune is not None:
        raise UserError(
            "the configuration has a section prune, but train does not prune; leave it out, or "
            "call fairexit.pruning.fairprune.make_run"
        )
    data = open_training(config)
    task = data.task(config.data.group)
    fabric = _fabric(config)
    with alone(out) if fabric.is_global_zero else nullcontext():
        return _train(config, data, task, Run(out), fabric)


def _train(config: RunConfig, data: Prepared, task: Task, run: Run, fabric: Fabric) -> Run:
    _seed(config.seed, 0)
    method = build(config, task, data.size)
    if isinstance(method, Distilled):
        if method.teacher_run:
            teach(method, open_run(method.teacher_run))
        elif fabric.world_size > 1:
            raise UserError(
                f"method '{config.method['name']}' needs a teacher, and on several devices it must "
                "be trained before; give its run as method.teacher"
            )
    if fabric.is_global_zero:
        run.start(config, data.info["checksums"])
    fabric.barrier()
    if run.finished:
        return run
    if isinstance(method, Distilled) and not method.teacher_run:
        teacher = run.path / "teacher"
        print(f"{run.path}: the method needs a teacher, in {teacher}", file=sys.stderr)
        teach(method, train(replace(config, method={"name": "erm"}), teacher))
    trainer = _Trainer(config, data, task, run, fabric, method)
    trainer.fit()
    trainer.finish(config)
    return run


def finetune(
    run: Run, config: RunConfig, net: ExitNet, masks: dict[str, Tensor], teacher: Path
) -> None:
    """Train a pruned network on, its zeros held, or go on with that.

    Args:
        run: the pruned run, whose folder has been started.
        config: its settings, `prune` among them.
        net: the pruned network.
        masks: parameter name -> True where it is kept.
        teacher: folder of the unpruned run's teacher, for a method that has one.
    """
    settings = finetune_config(config)
    data = open_training(settings)
    task = data.task(settings.data.group)
    fabric = _fabric(settings)
    _seed(settings.seed, 0)
    method = build(settings, task, data.size)
    method.net.load_state_dict(net.state_dict())
    if isinstance(method, Distilled):
        teach(method, open_run(method.teacher_run or teacher))
    trainer = _Trainer(settings, data, task, run, fabric, method, masks)
    trainer.fit()
    trainer.finish(config)


def _fabric(config: RunConfig) -> Fabric:
    wanted = config.train
    if wanted.batch_size % wanted.devices:
        raise UserError(
            f"train.batch_size is {wanted.batch_size}; it must be a multiple of train.devices, "
            f"{wanted.devices}"
        )
    try:
        fabric = Fabric(
            accelerator=wanted.device, devices=wanted.devices, precision=wanted.precision
        )
        fabric.launch()
    except Exception as error:
        raise UserError(
            f"train.device is '{short(wanted.device)}' and train.devices is {wanted.devices}: "
            f"{short(error, 300)}"
        ) from None
    return fabric


def _seed(seed: int, epoch: int) -> None:
    """Seed torch for one epoch (initial weights and dropout; all else has its own draws)."""
    torch.manual_seed(int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0]))


class _Trainer:
    """One run's loop with what it holds on to."""

    def __init__(
        self,
        config: RunConfig,
        data: Prepared,
        task: Task,
        run: Run,
        fabric: Fabric,
        method: Method,
        masks: dict[str, Tensor] | None = None,
    ) -> None:
        self.config, self.data, self.task, self.run, self.fabric = config, data, task, run, fabric
        fold = config.data.fold
        self.training = self._loader(data.rows("train", fold))
        self.validation = self._loader(data.rows("val", fold))
        self.augment = Augment(config.data.augment, config.seed)
        # First of all, as an optimizer's stored state goes where the parameters are.
        self.method = method.to(fabric.device).to(memory_format=torch.channels_last)
        method.begin(self.training.labels, self.training.groups)
        optimizer = build_optimizer(method.parameters(), config.train, fabric.device)
        # The precision holds the gradient scaler's state, where there is one.
        precision = fabric.strategy.precision
        parts: dict[str, Stateful] = {
            "method": method,
            "optimizer": optimizer,
            "precision": precision,
        }
        self.checkpoints = Checkpoints(run, parts, config.train.select)
        self.progress = self.checkpoints.load()
        if isinstance(method, Distilled):
            method.teacher.to(fabric.device).to(memory_format=torch.channels_last)
        module, wrapped = fabric.setup(method, optimizer)
        parameters = dict(method.net.named_parameters())
        self.zeros = [(parameters[k], ~m.to(fabric.device)) for k, m in (masks or {}).items()]
        self.forward, self.optimizer = module, cast(torch.optim.Optimizer, wrapped)

    def _loader(self, rows: NDArray[np.int64]) -> Loader:
        fabric, size = self.fabric, self.config.train.batch_size
        where = (fabric.device, fabric.global_rank, fabric.world_size)
        return Loader(self.data, rows, self.task.group, size, *where)

    def fit(self) -> None:
        """All epochs that are left."""
        epochs, steps = self.config.train.epochs, self.training.steps()
        done, board = self.progress.epoch, None
        if done < epochs and self.fabric.is_global_zero and (note := slow_precision(self.config)):
            print(note, file=sys.stderr)
        with Bar("training", epochs * steps, done * steps) as bar:
            for epoch in range(done, epochs):
                row = {"epoch": float(epoch + 1)}
                row |= self._train_epoch(epoch, bar)
                self._share_buffers()
                row |= validate(
                    self.method,
                    self.validation.evaluation(Augment("none", 0)),
                    self.validation.clusters,
                    self.fabric.autocast,
                    self._add_up,
                )
                if self.fabric.is_global_zero:
                    if board is None:
                        where = self.run.path / "tensorboard"
                        # Events of an epoch that is done again are purged.
                        board = SummaryWriter(where, purge_step=epoch + 1)
                    self._store(epoch, row, board)
                    bar.line(f"{self.run.path}: {summary(row, epochs)}")
                self.fabric.barrier()
        if board is not None:
            board.close()

    def _share_buffers(self) -> None:
        """One network in all processes: batch normalisation has seen other images in each."""
        for buffer in self.method.buffers():
            if buffer.is_floating_point():
                buffer.copy_(cast(Tensor, self.fabric.all_reduce(buffer, reduce_op="mean")))

    def _add_up(self, values: Tensor) -> Tensor:
        total = self.fabric.all_reduce(values.to(self.fabric.device), reduce_op="sum")
        return cast(Tensor, total).cpu()

    def _train_epoch(self, epoch: int, bar: Bar) -> dict[str, float]:
        train, steps = self.config.train, self.training.steps()
        _seed(self.config.seed, epoch + 1)
        self.forward.train()
        self.method.left_out.zero_()
        sums = torch.zeros(1 + 2 * self.method.net.num_exits, device=self.fabric.device)
        ratios, waited, began = [], 0.0, time.perf_counter()
        batches = self.training.training(
            self.augment, self.config.data.sampling, self.config.seed, epoch
        )
        for step, (batch, seconds) in enumerate(_timed(batches)):
            waited += seconds
            self.method.time = (epoch + step / steps) / train.epochs
            for part in self.optimizer.param_groups:
                part["lr"] = learning_rate(train, epoch, step, steps)
            losses = self.forward(batch, measure=step in (steps // 2, steps - 1))
            if losses.ratio is not None:
                ratios.append(losses.ratio)
            self.optimizer.zero_grad()
            self.fabric.backward(losses.total)
            if train.clip is not None:
                self.fabric.clip_gradients(self.forward, self.optimizer, max_norm=train.clip)
            self.optimizer.step()
            # Momentum and weight decay would move them.
            for parameter, zeros in self.zeros:
                parameter.detach().masked_fill_(zeros, 0.0)
            sums += torch.cat([losses.total.detach()[None], losses.targets, losses.penalties])
            # A look at the loss waits for the GPU.
            shown = bar.is_terminal and step % 10 == 0
            bar.advance(self._text(epoch, sums, step) if shown else None)
        means = (sums / steps).tolist()
        if not np.isfinite(means[0]):
            raise DivergedError(
                f"the loss of epoch {epoch + 1} is {means[0]}; lower train.lr (now {train.lr}) or "
                f"set train.clip, and choose another {option('out')}"
            )
        names = self.method.net.exit_names
        row = {"lr": learning_rate(train, epoch, steps - 1, steps), "train_loss": means[0]}
        row |= {f"train_target{n}": v for n, v in zip(names, means[1:], strict=False)}
        penalties = means[1 + len(names) :]
        row |= {f"train_penalty{n}": v for n, v in zip(names, penalties, strict=True)}
        row["penalty_ratio"] = float(np.mean(ratios)) if ratios else float("nan")
        row["terms_left_out"] = float(self.method.left_out)
        return row | {"seconds": time.perf_counter() - began, "data_seconds": waited}

    def _text(self, epoch: int, sums: Tensor, step: int) -> str:
        text = f"epoch {epoch + 1}/{self.config.train.epochs} loss {sums[0] / (step + 1):.3f}"
        if self.progress.rows:
            last = self.progress.rows[-1]
            text += f" val F1 {last['val_f1']:.3f} Eodd {last['val_eodd']:.3f}"
        return text

    def _store(self, epoch: int, row: dict[str, float], board: SummaryWriter) -> None:
        progress, criterion = self.progress, self.config.train.select
        if np.isnan(row[f"val_{criterion}"]):
            raise UserError(
                f"{criterion} is not defined on validation, perhaps because no class occurs in two "
                f"groups of {self.task.group}; choose another train.select"
            )
        progress.epoch = epoch + 1
        progress.rows.append(row)
        last = progress.epoch == self.config.train.epochs
        try:
            # First, so that a finished run's log is never short of its last epoch.
            write_atomically(self.run.path / "log.csv", csv_text(progress.rows))
            self.checkpoints.store(self.method.net, progress, now=last)
            for name, scalar in row.items():
                board.add_scalar(name.replace("_", "/", 1), scalar, epoch + 1)
            board.flush()
        except OSError as error:
            kept = ", and training resumes from the last stored epoch" if epoch else ""
            raise UserError(
                f"{self.run.path} cannot be written ({error.strerror}); free some space and start "
                f"again{kept}"
            ) from None

    def finish(self, config: RunConfig) -> None:
        """The files of a finished run; config.json, with the settings given, last."""
        if self.fabric.is_global_zero:
            best = self.checkpoints.best(self.progress)
            write_atomically(self.run.last_weights, save_tensors(self.method.net.state_dict()))
            write_atomically(self.run.weights, best.read_bytes())
            ratios = [row["penalty_ratio"] for row in self.progress.rows]
            ratio = float(np.mean(ratios)) if np.isfinite(ratios).all() else None
            describe(self.run, config, self.data, self.method.net, self.task, ratio)
        self.fabric.barrier()


def _timed(batches: Iterator[Batch]) -> Iterator[tuple[Batch, float]]:
    """Batches with the seconds that each was waited for."""
    while True:
        began = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            return
        yield batch, time.perf_counter() - began
