"""The training loop of one run: epochs, validation, checkpoints and the files at the end."""

import math
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, cast

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from fairexit.config import RunConfig
from fairexit.data.augment import Augment
from fairexit.data.feed import Feed
from fairexit.data.loaders import Loader, fits
from fairexit.data.prepared import Prepared
from fairexit.errors import DivergedError, UserError, option
from fairexit.files import write_atomically
from fairexit.methods import Distilled, Method
from fairexit.models.synced_norm import synchronise
from fairexit.progress import Bar
from fairexit.runs import Run
from fairexit.terminal import note
from fairexit.training.average import create_average
from fairexit.training.capture import Recorder, obstacle, recorder_for
from fairexit.training.checkpoint import Checkpoints, Stateful, describe, save_tensors
from fairexit.training.criteria import undefined
from fairexit.training.freeze import Freeze
from fairexit.training.log import csv_text, main_numbers, scalar_name, summary
from fairexit.training.optim import learning_rate, parameter_groups
from fairexit.training.optimizers import build_optimizer
from fairexit.training.precision import auto_device
from fairexit.training.setup import slow_precision
from fairexit.training.step import Stepper, divided
from fairexit.training.stopping import stop_reason
from fairexit.training.targets import class_weights
from fairexit.training.tracking import Tracking
from fairexit.training.validate import Validator
from fairexit.types import Batch, Task

REFRESHING_IMAGES = 4096
"""Training images from which the statistics of batch normalisation of an average are computed."""
SHOW_EVERY = 1.0
"""Seconds between two losses that the progress bar shows."""


def seed_epoch(seed: int, epoch: int) -> None:
    """Seed torch for one epoch: dropout, and initial weights at epoch 0.

    Sampling and augmentation draw from generators of their own.
    """
    torch.manual_seed(int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0]))


class Trainer:
    """The training loop of one run.

    Args:
        config: the settings.
        data: the prepared data.
        task: the classes and groups.
        run: the run, whose folder has been started; its last checkpoint is restored.
        fabric: the devices, processes and precision.
        method: the method with the network that is trained.
        held: parameter name -> True where the parameter is held at the value that it has.
        division: the rows to train on and those to validate on; by default the splits of the data.
    """

    def __init__(
        self,
        config: RunConfig,
        data: Prepared,
        task: Task,
        run: Run,
        *,
        fabric: Fabric,
        method: Method,
        held: Mapping[str, Tensor] | None = None,
        division: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
    ) -> None:
        self.config, self.data, self.task, self.run, self.fabric = config, data, task, run, fabric
        fold, train = config.data.fold, config.train
        rows, validating = division or (data.rows("train", fold), data.rows("val", fold))
        self.training = self._loader(rows, train.images_per_step, method.draw_weights)
        self.augment = Augment(config.data.augment, config.seed)
        # Before the checkpoint is restored: an optimizer's state goes to the parameters' device.
        method.processes = fabric.world_size
        if train.sync_batchnorm and fabric.world_size > 1:
            synchronise(method.net, fabric.device)
        self.method = method.to(fabric.device).to(memory_format=torch.channels_last)
        draws = self.training.expected_draws(config.data.sampling)
        method.begin(self.training.labels, self.training.groups, draws)
        weights = class_weights(train.class_weights, task, self.training.labels, draws)
        method.class_weights.copy_(weights)
        self.freeze = Freeze(method.net, train.freeze)
        groups = parameter_groups(method, train, late=self.freeze.late)
        optimizer = build_optimizer(groups, train, fabric.device)
        average = create_average(method, train)
        validation = self._loader(validating, train.batch_size)
        self.validator = Validator(fabric, validation, method, average, seed=config.seed)
        # For 16-mixed, the precision has the state of the gradient scaler.
        precision = fabric.strategy.precision
        parts: dict[str, Stateful] = {
            "method": method,
            "optimizer": optimizer,
            "precision": precision,
        }
        if average is not None:
            parts["average"] = average
        parameters = dict(method.net.named_parameters())
        still = [
            (parameters[k], is_held.to(fabric.device), parameters[k].detach().clone())
            for k, is_held in (held or {}).items()
        ]
        self.checkpoints = Checkpoints(run, parts, train.select, train.save_every)
        self.progress = self.checkpoints.load()
        if isinstance(method, Distilled):
            method.teacher.to(fabric.device).to(memory_format=torch.channels_last)
        module, wrapped = fabric.setup(method, optimizer)
        self.stepper = Stepper(
            fabric=fabric,
            module=module,
            optimizer=wrapped,
            accumulate=train.accumulate,
            clip=train.clip,
            average=average,
            gather=train.gather,
            held=still,
            recorder=self._recorder(),
        )

    def _recorder(self) -> Recorder | None:
        """What records the steps; None if they are computed as usual, which is said."""
        recorder = recorder_for(self.fabric.device)
        if recorder is None or self.config.train.capture == "none":
            return None
        if (why := obstacle(self.method, self.fabric.world_size)) is None:
            return recorder
        if self.fabric.is_global_zero:
            note(f"note: the steps are not captured in CUDA graphs: {why}")
        return None

    def _loader(
        self, rows: NDArray[np.int64], batch_size: int, weights: Tensor | None = None
    ) -> Loader:
        """Batches of rows of the data, of which each process loads its share."""
        return Loader(
            self.data,
            rows,
            self.task.group,
            batch_size=batch_size,
            device=self.fabric.device,
            weights=weights,
            rank=self.fabric.global_rank,
            world=self.fabric.world_size,
            resident=fits(self.data, rows, self.fabric.device),
        )

    def fit(self, tracker: Mapping[str, Any] | None = None) -> None:
        """Train the epochs that are not done yet, unless training ends early.

        Args:
            tracker: where the log is sent too, see `check_tracker`.
        """
        train, steps = self.config.train, self.training.steps()
        done, rows, board = self.progress.epoch, self.progress.rows, None
        is_first, reason = self.fabric.is_global_zero, stop_reason(rows, train)
        if done < train.epochs and is_first:
            self._say_machine()
        with (
            Tracking(tracker if is_first else None, self.run, self.config) as tracking,
            Bar("training", train.epochs * steps, done * steps) as bar,
        ):
            tracking.send(rows)
            for epoch in range(done, train.epochs):
                if reason is not None:
                    break
                row = {"epoch": float(epoch + 1)} | self._train_epoch(epoch, bar)
                row |= self.validator.after_epoch(rows, self._training_images(epoch))
                if np.isnan(row["val_loss"]):
                    raise DivergedError(
                        f"after epoch {epoch + 1} the network answers no number on validation, "
                        "though the loss of the epoch is finite: a gradient of its last steps was "
                        f"none; lower train.lr (now {train.lr}) or set train.clip, and choose "
                        f"another {option('out')}"
                    )
                rows.append(row)
                reason = stop_reason(rows, train)
                if is_first:
                    if board is None:
                        folder = self.run.path / "tensorboard"
                        # A resumed run may repeat an epoch, whose earlier events are removed.
                        board = SummaryWriter(folder, purge_step=epoch + 1)
                    is_last = epoch + 1 == train.epochs or reason is not None
                    self._store(epoch, row, board, is_last=is_last)
                    tracking.send(rows)
                    bar.line(f"{self.run.path}: {summary(row, train.epochs)}")
                self.fabric.barrier()
        if reason is not None and is_first:
            note(f"{self.run.path}: training ended after epoch {len(rows)}: {reason}")
        if board is not None:
            board.close()

    def _say_machine(self) -> None:
        """Say which device was chosen, and that the machine has to emulate the precision."""
        if self.config.train.device == "auto":
            note(auto_device(self.fabric.device))
        if slow := slow_precision(self.config):
            note(slow)

    def _training_batches(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch, each of which is one step of the optimiser."""
        data = self.config.data
        return self.training.training(self.augment, data.sampling, self.config.seed, epoch)

    def _training_images(self, epoch: int) -> Iterator[Tensor]:
        """Images of an epoch for the statistics of batch normalisation, as many as suffice."""
        train = self.config.train
        steps = -(-REFRESHING_IMAGES // train.images_per_step)
        for batch in islice(self._training_batches(epoch), steps):
            yield from (part.images for part in divided(batch, train.accumulate))

    def _train_epoch(self, epoch: int, bar: Bar) -> dict[str, float]:
        """Train one epoch.

        Args:
            epoch: its number, from 0.
            bar: advanced at each step.
        Returns:
            For the log: means of the losses over the steps, the learning rate of the last step and
            seconds.
        Raises:
            DivergedError: the mean loss is not finite.
        """
        train, steps = self.config.train, self.training.steps()
        seed_epoch(self.config.seed, epoch + 1)
        self.stepper.module.train()
        self.freeze.begin(epoch)
        if epoch == self.freeze.until:
            self.stepper.forget()
        self.method.left_out.zero_()
        sums = torch.zeros(1 + 2 * self.method.net.num_exits, device=self.fabric.device)
        ratios, shown, began = [], -math.inf, time.perf_counter()
        feed = Feed(self._training_batches(epoch), self.fabric.device)
        for step, batch in enumerate(feed):
            self.method.time.fill_((epoch + step / steps) / train.epochs)
            rate = learning_rate(train, epoch, step, steps)
            is_measured = step in (steps // 2, steps - 1)
            images = self.training.images_of(step)
            values, ratio = self.stepper.take(batch, rate, measure=is_measured, images=images)
            if ratio is not None:
                ratios.append(ratio)
            sums += values
            now = time.perf_counter()
            # Reading the loss waits for the GPU.
            is_shown = bar.is_terminal and now - shown >= SHOW_EVERY
            shown = now if is_shown else shown
            bar.advance(self._text(epoch, sums, step) if is_shown else None)
        means = cast(Tensor, self.fabric.all_reduce(sums / steps, reduce_op="mean")).tolist()
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
        return row | {"seconds": time.perf_counter() - began, "data_seconds": feed.waited}

    def _text(self, epoch: int, sums: Tensor, step: int) -> str:
        """The description of the progress bar: mean loss so far, and the last validation."""
        text = f"epoch {epoch + 1}/{self.config.train.epochs} loss {sums[0] / (step + 1):.3f}"
        if self.progress.rows:
            last = self.progress.rows[-1]
            text += f" val {main_numbers(last)}"
        return text

    def _store(
        self, epoch: int, row: dict[str, float], board: SummaryWriter, *, is_last: bool
    ) -> None:
        """Store an epoch, whose row the log has already.

        Raises:
            UserError: `train.select` is not defined on validation, or the folder cannot be written.
        """
        progress, criterion = self.progress, self.config.train.select
        if np.isnan(row[f"val_{criterion}"]):
            raise undefined(criterion, self.task.group, "train.select")
        progress.epoch = epoch + 1
        try:
            # Before the checkpoint, so that the log and the events of a run have all epochs.
            write_atomically(self.run.path / "log.csv", csv_text(progress.rows))
            for name, scalar in row.items():
                board.add_scalar(scalar_name(name), scalar, epoch + 1)
            board.flush()
            self.checkpoints.store(self.validator.method.net, progress, now=is_last)
        except OSError as error:
            resumes = ", and training resumes from the last stored epoch" if epoch else ""
            raise UserError(
                f"{self.run.path} cannot be written ({error.strerror}); free some space and start "
                f"again{resumes}"
            ) from None

    def finish(self, config: RunConfig) -> None:
        """Write the files of a finished run, config.json last.

        Args:
            config: the settings that config.json stores.
        """
        if self.fabric.is_global_zero:
            best = self.checkpoints.best(self.progress)
            write_atomically(
                self.run.last_weights, save_tensors(self.validator.method.net.state_dict())
            )
            write_atomically(self.run.weights, best.read_bytes())
            ratios = [row["penalty_ratio"] for row in self.progress.rows]
            ratio = float(np.mean(ratios)) if np.isfinite(ratios).all() else None
            describe(
                self.run,
                config,
                self.data,
                self.method.net,
                task=self.task,
                penalty_ratio=ratio,
                stopped=stop_reason(self.progress.rows, self.config.train),
            )
        self.fabric.barrier()
