"""FairPrune and FairQuantize: weights ranked by the curvature of the groups' losses."""

from typing import ClassVar

import torch
from joblib import Parallel, delayed
from torch import Tensor

from fairexit.config_prune import TRAITS, Traits
from fairexit.data.augment import Augment
from fairexit.data.loaders import Loader
from fairexit.plugins import portable
from fairexit.pruning.criteria.base import RATIO, Criterion, criteria
from fairexit.pruning.curvature import CurvatureEstimate, curvature_sums
from fairexit.pruning.edits import Edit, to_power_of_two
from fairexit.pruning.groups import Rows
from fairexit.pruning.layers import choose_layers
from fairexit.pruning.units import parameters_of
from fairexit.search_space import Axis

Curvatures = tuple[dict[str, Tensor], dict[str, Tensor]]
"""Of the unprivileged and of the privileged groups: parameter name -> mean curvature."""


@criteria.register("fairprune")
class FairPrune(Criterion):
    """Sets weights to zero that matter to the privileged group alone (Wu et al. 2022).

    s = 1/2 d^2 (h_u - beta h_p), with the change d of the weight by the edit and the curvatures h
    of the loss of the unprivileged group u and the privileged group p. To second order, this is the
    increase of the unprivileged group's loss by the edit, less beta times that of the privileged
    group's.
    """

    traits: ClassVar[Traits] = TRAITS["fairprune"]
    uses_curvature: ClassVar[bool] = True
    search_space: ClassVar[tuple[Axis, ...]] = (RATIO, Axis("prune.beta", (0.0, 1.0), log=False))

    def score(self, measured: Curvatures, beta: float | None) -> dict[str, Tensor]:
        assert beta is not None, "filled in by PruneConfig"
        h_u, h_p = measured
        weights = {k: p.detach().cpu() for k, p in parameters_of(self.units).items()}
        return {
            name: 0.5 * (type(self).edit(w) - w).square() * (h_u[name] - beta * h_p[name])
            for name, w in weights.items()
        }

    def measure(self, step: int) -> Curvatures:
        unprivileged, privileged = self.subject.rows
        return self._mean(unprivileged, step), self._mean(privileged, step)

    def _mean(self, rows: Rows, step: int) -> dict[str, Tensor]:
        """Mean curvature over images, which are divided among processes."""
        world = self.subject.config.devices
        if world == 1:
            shares = [self._share(rows, step, 0)]
        else:
            shares = Parallel(n_jobs=world)(
                delayed(portable(self._share))(rows, step, rank) for rank in range(world)
            )
        return {
            name: torch.stack([share[name] for share in shares]).sum(0) / len(rows)
            for name in parameters_of(self.units)
        }

    def _share(self, rows: Rows, step: int, rank: int) -> dict[str, Tensor]:
        """Sum of the curvature over one process's share of the images."""
        subject, config = self.subject, self.subject.config
        world, device = config.devices, next(subject.net.parameters()).device
        if world > 1 and device.type == "cuda":
            device = torch.device("cuda", rank)
        net = subject.net.to(device)
        loader = Loader(
            subject.data,
            rows[rank::world],
            subject.task.group,
            batch_size=config.chunk,
            device=device,
        )
        batches = (batch.images for batch in loader.evaluation(Augment("none", 0)))
        draws = config.draws if config.curvature == "mc" else None
        sums = curvature_sums(
            net,
            batches,
            subject.exit_weights,
            choose_layers(net, config),
            estimate=CurvatureEstimate(draws, subject.run.seed, step),
            first=rank,
            stride=world,
        )
        return {name: sums[name].cpu() for name in parameters_of(self.units)}


@criteria.register("fairquantize")
class FairQuantize(FairPrune):
    """Rounds weights to powers of two, first those that the unprivileged need least (Guo 2024).

    The order is that of FairPrune, with d the change of the weight by the rounding. At each step
    the same share of every layer is rounded.
    """

    traits: ClassVar[Traits] = TRAITS["fairquantize"]
    within: ClassVar[bool] = True
    edited: ClassVar[str] = "powers of two"
    edit: ClassVar[Edit] = staticmethod(to_power_of_two)
