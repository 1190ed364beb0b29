"""What is pruned first: saliencies by fairness, by magnitude, or by lot."""

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


@dataclass
class Saliency:
    """Scores of a network's prunable parameters; the lowest go first.

    FairPrune (Wu et al. 2022): s = 1/2 w^2 (h_u - beta h_p), what zeroing w adds to the loss of the
    unprivileged group u, to second order, less beta times what it adds to the privileged group's.

    Args:
        net: the network in evaluation mode, on its device.
        layers: its prunable layers.
        parameters: their prunable parameters.
        exit_weights: alpha, one per exit.
        config: the settings.
        data: the prepared data.
        rows: rows of training images of the unprivileged and the privileged group.
        seed: of the projections, and of the lot.
    """

    net: ExitNet
    layers: Mapping[str, nn.Module]
    parameters: Mapping[str, nn.Parameter]
    exit_weights: list[float]
    config: PruneConfig
    data: Prepared
    rows: list[Rows]
    seed: int
    _kept: tuple[dict[str, Tensor], ...] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.config.method == "fairprune" and (self.config.one_shot or self.config.sweeps):
            self._kept = self._curvatures(0)

    def __call__(self, step: int, beta: float) -> dict[str, Tensor]:
        """Scores by parameter name, on the CPU; the smallest are pruned first.

        Args:
            step: number of the step, which decides the random projections.
            beta: how much the privileged group's curvature counts.
        Returns:
            Change of the loss in nats, to second order, if the parameter were zero: of the
            unprivileged group less beta times that of the privileged one. Magnitudes or random
            numbers for the controls.
        """
        weights = {name: p.detach().cpu() for name, p in self.parameters.items()}
        if self.config.method == "magnitude":
            return {name: w.abs() for name, w in weights.items()}
        if self.config.method == "random":
            # The same numbers at every step, so that steps are nested.
            drawn = torch.Generator().manual_seed(self.seed)
            return {name: torch.rand(w.shape, generator=drawn) for name, w in weights.items()}
        h_u, h_p = self._kept or self._curvatures(step)
        return {n: 0.5 * w.square() * (h_u[n] - beta * h_p[n]) for n, w in weights.items()}

    def _curvatures(self, step: int) -> tuple[dict[str, Tensor], ...]:
        return tuple(self._mean(rows, step) for rows in self.rows)

    def _mean(self, rows: Rows, step: int) -> dict[str, Tensor]:
        """Mean over images of the diagonal, the images divided over processes."""
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
        config, world = self.config, self.config.devices
        device = next(self.net.parameters()).device
        if world > 1 and device.type == "cuda":
            device = torch.device("cuda", rank)
        net = self.net.to(device)
        attribute = next(iter(self.data.attributes))
        loader = Loader(
            self.data,
            rows,
            attribute,
            batch_size=config.chunk,
            device=device,
            rank=rank,
            world=world,
        )
        batches = (batch.images for batch in loader.evaluation(Augment("none", 0)))
        estimate = CurvatureEstimate(
            config.draws if config.curvature == "mc" else None, self.seed, step
        )
        weights = self.exit_weights
        found = curvature_sums(
            net, batches, weights, self.layers, estimate=estimate, first=rank, stride=world
        )
        return {name: found[name].cpu() for name in self.parameters}
