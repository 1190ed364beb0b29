"""Magnitude and random pruning: the plain controls."""

import torch
from torch import Tensor

from fairexit.pruning.criteria.base import Criterion, criteria
from fairexit.pruning.units import parameters_of


@criteria.register("magnitude")
class Magnitude(Criterion):
    """Sets the weights of the smallest absolute value to zero; a control."""

    def measure(self, step: int) -> dict[str, Tensor]:
        return {k: p.detach().cpu().abs() for k, p in parameters_of(self.units).items()}

    def score(self, measured: dict[str, Tensor], beta: float | None) -> dict[str, Tensor]:
        return measured


@criteria.register("random")
class Random(Criterion):
    """Sets random weights to zero; a control."""

    def measure(self, step: int) -> dict[str, Tensor]:
        # The same numbers at each step: pruning in steps gives the same as pruning at once.
        generator = torch.Generator().manual_seed(self.subject.run.seed)
        return {
            name: torch.rand(p.shape, generator=generator)
            for name, p in parameters_of(self.units).items()
        }

    def score(self, measured: dict[str, Tensor], beta: float | None) -> dict[str, Tensor]:
        return measured
