"""The training loop; the only importer of Lightning Fabric."""

import csv
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from lightning.fabric import Fabric
from torch.nn import functional as F
from torch.utils.tensorboard import SummaryWriter

from fairexit.config import RunConfig
from fairexit.data.augment import Augment
from fairexit.data.loaders import Loader
from fairexit.data.prepared import Prepared, open_prepared
from fairexit.errors import UserError
from fairexit.evaluation.counts import count
from fairexit.evaluation.metrics import compute
from fairexit.methods import Method
from fairexit.progress import Bar
from fairexit.runs import Run, write_atomically
from fairexit.training.checkpoint import (
    build,
    describe,
    load_checkpoint,
    save_checkpoint,
    save_tensors,
)
from fairexit.training.optim import build_optimizer, learning_rate
from fairexit.types import Batch, Task

CRITERIA = ("accuracy", "balanced_accuracy", "f1", "eopp1", "eodd")
LOWER_IS_BETTER = {"eopp1", "eodd", "loss"}


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
    data = open_prepared(config.data.path)
    task = data.task(config.data.group)
    data.splits(config.data.fold)
    run = Run(out)
    fabric = _fabric(config)
    _seed(config.seed, 0)
    method = build(config, task, data.size)
    if fabric.is_global_zero:
        run.start(config, data.info["checksums"]["records.parquet"])
    fabric.barrier()
    if not run.finished:
        _Trainer(config, data, task, run, fabric, method).fit()
    return run


def _fabric(config: RunConfig) -> Fabric:
    wanted = config.train
    if wanted.batch_size % wanted.devices:
        raise UserError(
            f"train.batch_size {wanted.batch_size} does not divide into {wanted.devices} devices"
        )
    try:
        fabric = Fabric(
            accelerator=wanted.device, devices=wanted.devices, precision=wanted.precision
        )
        fabric.launch()
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(f"train.device {wanted.device} x {wanted.devices}: {reason}") from None
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
    ) -> None:
        self.config, self.data, self.task, self.run, self.fabric = config, data, task, run, fabric
        self.method = method.to(memory_format=torch.channels_last)
        optimizer = build_optimizer(method.parameters(), config.train)
        self.progress = load_checkpoint(run, method, optimizer)
        module, wrapped = fabric.setup(method, optimizer)
        self.forward, self.optimizer = module, cast(torch.optim.Optimizer, wrapped)
        fold = config.data.fold
        self.training = self._loader(data.rows("train", fold))
        self.validation = self._loader(data.rows("val", fold))
        self.augment = Augment(config.data.augment, config.seed)
        self.plain = Augment("none", 0)

    def _loader(self, rows: "np.ndarray[Any, np.dtype[np.int64]]") -> Loader:
        fabric = self.fabric
        return Loader(
            self.data,
            rows,
            self.task.group,
            self.config.train.batch_size,
            fabric.device,
            fabric.global_rank,
            fabric.world_size,
        )

    def fit(self) -> None:
        """All epochs that are left, then the files of a finished run."""
        epochs, steps = self.config.train.epochs, self.training.steps()
        done = self.progress.epoch
        with Bar("training", epochs * steps, done * steps) as bar:
            for epoch in range(done, epochs):
                row = {"epoch": float(epoch + 1)}
                row |= self._train_epoch(epoch, bar)
                row |= self._validate()
                if self.fabric.is_global_zero:
                    self._store(epoch, row)
                    bar.line(f"{self.run.path}: {self._summary(row)}")
                self.fabric.barrier()
        if self.fabric.is_global_zero:
            self._finish()
        self.fabric.barrier()

    def _train_epoch(self, epoch: int, bar: Bar) -> dict[str, float]:
        train, steps = self.config.train, self.training.steps()
        _seed(self.config.seed, epoch + 1)
        self.forward.train()
        sums = torch.zeros(1 + 2 * self.method.net.num_exits, device=self.fabric.device)
        waited, began = 0.0, time.perf_counter()
        batches = self.training.training(
            self.augment, self.config.data.sampling, self.config.seed, epoch
        )
        step = 0
        for step, (batch, seconds) in enumerate(_timed(batches)):
            waited += seconds
            for part in self.optimizer.param_groups:
                part["lr"] = learning_rate(train, epoch, step, steps)
            losses = self.forward(batch)
            self.optimizer.zero_grad()
            self.fabric.backward(losses.total)
            if train.clip is not None:
                self.fabric.clip_gradients(self.forward, self.optimizer, max_norm=train.clip)
            self.optimizer.step()
            sums += torch.cat([losses.total.detach()[None], losses.target, losses.penalty])
            bar.advance(self._text(epoch, sums, step) if bar.is_terminal else None)
        means = (sums / (step + 1)).tolist()
        if not np.isfinite(means[0]):
            raise UserError(
                f"the loss of epoch {epoch + 1} is {means[0]}; lower train.lr (now {train.lr}) or "
                "set train.clip"
            )
        seconds = time.perf_counter() - began
        names = self.method.net.exit_names
        row = {"lr": learning_rate(train, epoch, steps - 1, steps), "train_loss": means[0]}
        row |= {f"train_target{n}": v for n, v in zip(names, means[1:], strict=False)}
        penalties = means[1 + len(names) :]
        row |= {f"train_penalty{n}": v for n, v in zip(names, penalties, strict=True)}
        return row | {"seconds": seconds, "data_seconds": waited}

    def _text(self, epoch: int, sums: torch.Tensor, step: int) -> str:
        text = f"epoch {epoch + 1}/{self.config.train.epochs} loss {sums[0] / (step + 1):.3f}"
        if self.progress.rows:
            last = self.progress.rows[-1]
            text += f" val F1 {last['val_f1']:.3f} Eodd {last['val_eodd']:.3f}"
        return text

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        """Metrics of each exit on the validation split; every process counts its own share."""
        self.forward.eval()
        net, task = self.method.net, self.task
        counts = np.zeros((net.num_exits, task.num_groups, task.num_classes, task.num_classes))
        loss = torch.zeros(2, device=self.fabric.device)
        for batch in self.validation.evaluation(self.plain):
            with self.fabric.autocast():
                probabilities = self.method.probabilities(self.method.outputs(batch)).float()
            final = probabilities[:, -1].clamp_min(1e-12).log()
            loss += torch.stack(
                [F.nll_loss(final, batch.labels, reduction="sum"), loss.new_tensor(len(final))]
            )
            predicted = probabilities.argmax(-1).T.cpu().numpy()
            labels, groups = batch.labels.cpu().numpy(), batch.groups.cpu().numpy()
            counts += count(labels, predicted, groups, task.num_classes, task.num_groups)
        total = self.fabric.all_reduce(
            torch.from_numpy(counts).to(self.fabric.device), reduce_op="sum"
        )
        summed = cast(torch.Tensor, self.fabric.all_reduce(loss, reduce_op="sum"))
        values = compute(cast(torch.Tensor, total).cpu().numpy(), CRITERIA)
        row = {f"val_{name}": float(value[-1]) for name, value in values.items()}
        row["val_loss"] = float(summed[0] / summed[1])
        for name in ("f1", "eodd"):
            for k, exit_name in enumerate(net.exit_names[:-1]):
                row[f"val_{name}{exit_name}"] = float(values[name][k])
        return row

    def _store(self, epoch: int, row: dict[str, float]) -> None:
        progress, criterion = self.progress, self.config.train.select
        value = row[f"val_{criterion}"] * (-1 if criterion in LOWER_IS_BETTER else 1)
        progress.epoch = epoch + 1
        progress.rows.append(row)
        try:
            if value > progress.best:
                progress.best, progress.best_epoch = value, epoch + 1
                best = save_tensors(self.method.net.state_dict())
                write_atomically(self.run.checkpoints / "best.safetensors", best)
            save_checkpoint(self.run, self.method, self.optimizer, progress)
            write_atomically(self.run.path / "log.csv", _csv(progress.rows))
            self._board(epoch + 1, row)
        except OSError as error:
            raise UserError(
                f"{self.run.path} cannot be written ({error.strerror}); free the disk and call "
                f"again, epoch {epoch} is safe"
            ) from None

    def _board(self, epoch: int, row: dict[str, float]) -> None:
        """TensorBoard's events of one epoch; those of an epoch that is done again are purged."""
        with SummaryWriter(self.run.path / "tensorboard", purge_step=epoch) as board:
            for name, value in row.items():
                board.add_scalar(name.replace("_", "/", 1), value, epoch)

    def _summary(self, row: dict[str, float]) -> str:
        return (
            f"epoch {row['epoch']:.0f}/{self.config.train.epochs} loss {row['train_loss']:.4f} "
            f"val F1 {row['val_f1']:.4f} accuracy {row['val_accuracy']:.4f} "
            f"Eodd {row['val_eodd']:.4f} {row['seconds']:.0f} s"
        )

    def _finish(self) -> None:
        """The files of a finished run; config.json last."""
        best = self.run.checkpoints / "best.safetensors"
        write_atomically(self.run.last_weights, save_tensors(self.method.net.state_dict()))
        write_atomically(self.run.weights, best.read_bytes())
        describe(self.run, self.config, self.data, self.method.net, self.task)


def _timed(batches: Iterator[Batch]) -> Iterator[tuple[Batch, float]]:
    """Batches with the seconds that each was waited for."""
    while True:
        began = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            return
        yield batch, time.perf_counter() - began


def _csv(rows: list[dict[str, float]]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: f"{v:.6g}" for k, v in row.items()} for row in rows)
    return stream.getvalue()
