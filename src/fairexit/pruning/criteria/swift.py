"""SWiFT and BMFT: only the weights that make the gap are trained further."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from fairexit.config import RunConfig
from fairexit.config_prune import TRAITS, PruneConfig, Traits
from fairexit.data.prepared import Prepared
from fairexit.errors import UserError
from fairexit.methods import HeldOut, methods
from fairexit.methods.dfr import Dfr
from fairexit.models import ExitNet
from fairexit.models.exitnet import widen
from fairexit.pruning.criteria.base import Criterion, Division, Subject, criteria
from fairexit.pruning.edits import Edit, to_itself
from fairexit.pruning.layers import choose_layers, prunable_parameters
from fairexit.pruning.masks import Masks
from fairexit.pruning.soft_gap import soft_counts, soft_eodd
from fairexit.pruning.units import Units, parameters_of, units_of_weights
from fairexit.training.refit import halve_validation, hold_out
from fairexit.types import UNKNOWN, Task

DAMPING = 1e-6
"""Added to the squared gradient of the loss, as a share of its mean over all weights: a weight
without any gradient of the loss has a finite importance."""


@criteria.register("swift")
class Swift(Criterion):
    """Trains only the weights that make the gap, then refits (Xue et al. 2024, Yan et al. 2025).

    A weight's importance is the squared gradient of a soft gap, divided by that of the loss. The
    weights of the lowest importance, and everything that is no weight of a layer, are held, while
    the others follow the gradient on batches that are balanced over class and group. Then the last
    layer of each exit is refitted by the method `dfr` on one half of validation, and the other half
    measures the step.
    """

    traits: ClassVar[Traits] = TRAITS["swift"]
    edited: ClassVar[str] = "held"
    edit: ClassVar[Edit] = staticmethod(to_itself)

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        try:
            dfr = methods.create("dfr", subject.net, subject.task, subject.exit_weights)
            assert isinstance(dfr, Dfr)
            data, task = subject.data, subject.task
            rows, fits = halve_validation(data, task, subject.run)
            labels, groups = data.labels[rows], data.groups(task.group)[rows]
            known = groups != UNKNOWN
            dfr.count_cells(HeldOut([], labels[known], groups[known], fits[known]))
        except UserError as error:
            raise error.at("prune.method swift") from None
        self._dfr = dfr

    @classmethod
    def find_units(cls, net: ExitNet, config: PruneConfig) -> Units:
        refitted = {id(m) for head in net.exit_heads for m in head.classifier.modules()}
        layers = {k: m for k, m in choose_layers(net, config).items() if id(m) not in refitted}
        if not layers:
            raise UserError(
                "prune.layers names nothing but the last layers of exits, which method 'swift' "
                "refits; name other layers"
            )
        return units_of_weights(prunable_parameters(layers, config.parameters))

    @classmethod
    def held(cls, masks: Masks, net: ExitNet) -> Masks:
        everything = {
            name: torch.ones(p.shape, dtype=torch.bool) for name, p in net.named_parameters()
        }
        return everything | {name: ~mask for name, mask in masks.items()}

    @classmethod
    def settings(cls, run: RunConfig) -> RunConfig:
        return replace(run, data=replace(run.data, sampling="group-balanced"))

    @classmethod
    def division(cls, data: Prepared, task: Task, run: RunConfig) -> Division:
        rows, fits = halve_validation(data, task, run)
        assert run.prune is not None
        from_validation = run.prune.finetune_data == "val"
        training = rows[fits] if from_validation else data.rows("train", run.data.fold)
        return Division(training, rows[~fits])

    def measure(self, step: int) -> dict[str, Tensor]:
        gap, loss = self._gradients()
        squares = {name: g.square() for name, g in loss.items()}
        total = sum(float(s.sum()) for s in squares.values())
        damping = DAMPING * total / sum(s.numel() for s in squares.values())
        damping = max(damping, torch.finfo(torch.float32).tiny)
        return {n: (gap[n].square() / (s + damping)).cpu() for n, s in squares.items()}

    def score(self, measured: dict[str, Tensor], beta: float | None) -> dict[str, Tensor]:
        return measured

    def finish(self) -> None:
        subject = self.subject
        held_out = hold_out(subject.net, subject.data, subject.task, subject.run)
        self._dfr.refit(held_out, subject.run.seed)

    def _gradients(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Gradients of the soft gap and of the mean loss, each summed over the exits with alpha.

        The gap is a function of means over all images. So a first pass computes these and their
        slopes, and a second one the gradient, batch by batch.
        """
        parameters = parameters_of(self.units)
        slopes = self._slopes()
        number = sum(len(rows) for rows in self.subject.rows)
        sums = [{name: torch.zeros_like(p) for name, p in parameters.items()} for _ in range(2)]
        for logits, labels, groups in self._answers():
            weights = logits.new_tensor(self.subject.exit_weights)
            gap = (slopes[:, groups, labels] * logits.softmax(-1)).sum()
            each = [F.cross_entropy(z, labels, reduction="sum") for z in logits]
            loss = (weights * torch.stack(each)).sum() / number
            for total, value in zip(sums, (gap, loss), strict=True):
                gradients = torch.autograd.grad(
                    value, list(parameters.values()), retain_graph=True, allow_unused=True
                )
                for name, gradient in zip(parameters, gradients, strict=True):
                    if gradient is not None:
                        total[name] += gradient
        return sums[0], sums[1]

    def _slopes(self) -> Tensor:
        """Derivative of the gap, summed over the exits, in each soft count, (E, M, C, C).

        Raises:
            UserError: no class has images of two groups.
        """
        with torch.no_grad():
            parts = [
                soft_counts(z.softmax(-1), labels, groups, self.subject.task.num_groups)
                for z, labels, groups in self._answers()
            ]
        counts = torch.stack(parts).sum(0).requires_grad_()
        gap = (counts.new_tensor(self.subject.exit_weights) * soft_eodd(counts)).sum()
        if not gap.isfinite():
            raise UserError(
                f"the gap of attribute '{self.subject.task.group}' is not defined on the "
                f"{sum(len(r) for r in self.subject.rows)} training images, because no class "
                "occurs in two groups; raise prune.images"
            )
        (slopes,) = torch.autograd.grad(gap, counts)
        return slopes

    def _answers(self) -> Iterator[tuple[Tensor, Any, Any]]:
        """Logits (E, B, C), labels and groups of each batch."""
        for images, labels, groups in self.subject.batches():
            logits = torch.stack([widen(exit.logits) for exit in self.subject.net(images)])
            yield logits, labels, groups
