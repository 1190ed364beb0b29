"""The scores by which parameters are pruned: by fairness, by magnitude, or at random."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from joblib import Parallel, delayed
from torch import Tensor, nn

from fairexit.config import PruneConfig
from fairexit.data.augment import Augment
from fairexit.data.loaders import Loader
from fairexit.data.prepared import Prepared
from fairexit.models import ExitNet
from fairexit.plugins import portable
from fairexit.pruning.curvature import CurvatureEstimate, curvature_sums
from fairexit.pruning.groups import Rows
from fairexit.search_space import Axis

_RATIO = Axis("prune.ratio", (0.05, 0.9), log=False)

SEARCH_SPACES = {
    "fairprune": (_RATIO, Axis("prune.beta", (0.0, 1.0), log=False)),
    "magnitude": (_RATIO,),
    "random": (_RATIO,),
}
"""Ranking -> the settings that `fairexit tune` searches by default in a run that is pruned."""


@dataclass(kw_only=True)
class Saliency:
    """Scores of a network's prunable parameters; those with the lowest scores are pruned first.

    FairPrune (Wu et al. 2022): s = 1/2 w^2 (h_u - beta h_p), with the curvatures h of the loss of
    the unprivileged group u and the privileged group p. To second order, this is the increase of
    the unprivileged group's loss if w is set to zero, less beta times the increase of the
    privileged group's loss.

    Args:
        net: the network in evaluation mode, on its device.
        layers: name -> prunable layer.
        parameters: name -> prunable parameter of these layers.
        exit_weights: alpha, one per exit.
        config: the settings of the pruning.
        data: the prepared data.
        rows: rows of training images of the unprivileged and of the privileged groups.
        seed: seed of the projections, and of the random scores.
    """

    net: ExitNet
    layers: Mapping[str, nn.Module]
    parameters: Mapping[str, nn.Parameter]
    exit_weights: list[float]
    config: PruneConfig
    data: Prepared
    rows: list[Rows]
    seed: int
    _unpruned: tuple[dict[str, Tensor], ...] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.config.method == "fairprune" and (self.config.one_shot or self.config.sweeps):
            self._unpruned = self._curvatures(0)

    def __call__(self, step: int, beta: float) -> dict[str, Tensor]:
        """Compute the scores at a step.

        Args:
            step: number of the step, which decides the random projections.
            beta: weight of the privileged group's curvature.
        Returns:
            Parameter name -> scores, of the parameter's shape, on the CPU. For FairPrune these are
            changes of the loss in nats; for the controls magnitudes or random numbers.
        """
        weights = {name: p.detach().cpu() for name, p in self.parameters.items()}
        if self.config.method == "magnitude":
            return {name: w.abs() for name, w in weights.items()}
        if self.config.method == "random":
            # The same numbers at each step: pruning in steps gives the same as pruning at once.
            generator = torch.Generator().manual_seed(self.seed)
            return {name: torch.rand(w.shape, generator=generator) for name, w in weights.items()}
        h_u, h_p = self._unpruned or self._curvatures(step)
        return {n: 0.5 * w.square() * (h_u[n] - beta * h_p[n]) for n, w in weights.items()}

    def _curvatures(self, step: int) -> tuple[dict[str, Tensor], ...]:
        """The mean curvatures of the unprivileged and of the privileged groups."""
        return tuple(self._mean(rows, step) for rows in self.rows)

    def _mean(self, rows: Rows, step: int) -> dict[str, Tensor]:
        """Mean curvature over images, which are divided among processes."""
        world = self.config.devices
        if world == 1:
            shares = [self._share(rows, step, 0)]
        else:
            shares = Parallel(n_jobs=world)(
                delayed(portable(self._share))(rows, step, rank) for rank in range(world)
            )
        return {
            name: torch.stack([share[name] for share in shares]).sum(0) / len(rows)
            for name in self.parameters
        }

    def _share(self, rows: Rows, step: int, rank: int) -> dict[str, Tensor]:
        """Sum of the curvature over one process's share of the images."""
        config, world = self.config, self.config.devices
        device = next(self.net.parameters()).device
        if world > 1 and device.type == "cuda":
            device = torch.device("cuda", rank)
        net = self.net.to(device)
        attribute = next(iter(self.data.attributes))
        loader = Loader(
            self.data,
            rows[rank::world],
            attribute,
            batch_size=config.chunk,
            device=device,
        )
        batches = (batch.images for batch in loader.evaluation(Augment("none", 0)))
        estimate = CurvatureEstimate(
            config.draws if config.curvature == "mc" else None, self.seed, step
        )
        weights = self.exit_weights
        sums = curvature_sums(
            net, batches, weights, self.layers, estimate=estimate, first=rank, stride=world
        )
        return {name: sums[name].cpu() for name in self.parameters}
