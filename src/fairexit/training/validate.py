"""Evaluation on the validation split after each epoch of training."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import cast

import torch
from lightning.fabric import Fabric
from torch import Tensor
from torch.nn import functional as F

from fairexit.data.augment import Augment
from fairexit.data.loaders import Loader
from fairexit.methods import Method
from fairexit.metrics.collapse import main_answer_share
from fairexit.metrics.counts import count
from fairexit.metrics.record import compute, main_metrics
from fairexit.training.average import Average
from fairexit.training.probe import fitting_half, probe_accuracy
from fairexit.training.stopping import RAW_LOSS
from fairexit.types import Batch


class Validator:
    """Validates a method after each epoch: with the averaged weights if there is an average.

    Args:
        fabric: the devices, processes and precision.
        loader: the validation split.
        source: the method in training.
        average: its average, or None.
        seed: seed of the halves on which the probes are fitted and tested.

    Attributes:
        method: the method that is validated and stored.
    """

    def __init__(
        self,
        fabric: Fabric,
        loader: Loader,
        source: Method,
        average: Average | None,
        *,
        seed: int,
    ) -> None:
        self.fabric, self.loader, self.source, self.average = fabric, loader, source, average
        self.method = source if average is None else average.method
        self.fit = fitting_half(loader.evaluated_groups, loader.evaluated_clusters, seed)

    def after_epoch(
        self, rows: Sequence[Mapping[str, float]], images: Iterable[Tensor]
    ) -> dict[str, float]:
        """Metrics on validation after an epoch, for the log; completes the average first.

        Args:
            rows: the log so far, without this epoch.
            images: batches of training images, for the average.
        """
        raw: dict[str, float] = {}
        self._share_buffers(self.source)
        if self.average is not None:
            if self.average.needs_losses:
                raw = {RAW_LOSS: self._validate(self.source)["val_loss"]}
            self.average.after_epoch([row[RAW_LOSS] for row in (*rows, raw) if RAW_LOSS in row])
            with self.fabric.autocast():
                self.average.refresh(images)
            self._share_buffers(self.method)
        return raw | self._validate(self.method)

    def _validate(self, method: Method) -> dict[str, float]:
        return validate(
            method,
            self.loader.evaluation(Augment("none", 0)),
            self.fit,
            autocast=self.fabric.autocast,
            add_up=self._add_up,
        )

    def _share_buffers(self, method: Method) -> None:
        """Average the statistics of batch normalisation over all processes.

        Each process has seen other images; afterwards all have the same network.
        """
        for buffer in method.buffers():
            if buffer.is_floating_point():
                buffer.copy_(cast(Tensor, self.fabric.all_reduce(buffer, reduce_op="mean")))

    def _add_up(self, values: Tensor) -> Tensor:
        """The sum of a tensor over all processes, on the CPU."""
        total = self.fabric.all_reduce(values.to(self.fabric.device), reduce_op="sum")
        return cast(Tensor, total).cpu()


@torch.no_grad()
def validate(
    method: Method,
    batches: Iterable[Batch],
    fit: Tensor,
    *,
    autocast: Callable[[], AbstractContextManager[None]],
    add_up: Callable[[Tensor], Tensor],
) -> dict[str, float]:
    """Metrics on validation, for a row of the log.

    Args:
        method: the method with the network in training; left in evaluation mode.
        batches: this process's share of the split, in which no sample occurs twice.
        fit: True for the samples on which the probes are fitted, (N,), see `fitting_half`.
        autocast: context manager of the run's precision.
        add_up: sums a tensor over all processes.
    Returns:
        `val_<metric>` of the final exit for all metrics, `val_<metric><exit>` of the other exits
        for the main metrics, `val_loss` (mean cross-entropy of the final exit), `val_main_answer`
        (the largest share of the final exit's answers that one class has) and `val_probe<exit>`
        (`probe_accuracy` of each exit's features, on this process's share).
    """
    method.eval()
    method.fold()
    net, task = method.net, method.task
    probabilities, targets = [], []
    features: list[list[Tensor]] = [[] for _ in net.exit_names]
    # Nothing is read back before the last batch: that would wait for a GPU each time.
    for batch in batches:
        with autocast():
            exits = net(batch.images)
        probabilities.append(torch.stack([e.logits.float().softmax(-1) for e in exits], dim=1))
        for parts, exit in zip(features, exits, strict=True):
            parts.append(exit.features.float())
        targets.append(torch.stack([batch.labels, batch.groups]))
    answers = torch.cat(probabilities).cpu()
    labels, groups = torch.cat(targets, dim=1).cpu()
    final = answers[:, -1].clamp_min(1e-12).log()
    loss = torch.stack([F.nll_loss(final, labels, reduction="sum"), torch.tensor(len(final))])
    counts = count(
        labels.numpy(),
        answers.argmax(-1).T.numpy(),
        groups.numpy(),
        num_classes=task.num_classes,
        num_groups=task.num_groups,
    )
    counts = add_up(torch.from_numpy(counts)).numpy()
    values = compute(counts)
    total = add_up(loss)
    row = {f"val_{name}": float(value[-1]) for name, value in values.items()}
    row["val_loss"] = float(total[0] / total[1])
    row["val_main_answer"] = float(main_answer_share(counts[-1]))
    for name in main_metrics():
        for k, exit_name in enumerate(net.exit_names[:-1]):
            row[f"val_{name}{exit_name}"] = float(values[name][k])
    for parts, exit_name in zip(features, net.exit_names, strict=True):
        row[f"val_probe{exit_name}"] = probe_accuracy(
            torch.cat(parts), groups, fit, num_groups=task.num_groups
        )
    return row
