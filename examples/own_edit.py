"""Your own way to edit a trained network in one file: a first-order form of FairPrune.

Copy and change this file, and give it to each command that needs the method:

    fairexit prune runs/me --out runs/own --plugin own_edit.py --method first_order

In a configuration or a study, `plugins: [own_edit.py]` and `prune: {method: first_order}` do the
same. Run as a script, the file prints what the settings know of the method:

    python own_edit.py
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from fairexit.config_prune import PruneConfig, Traits
from fairexit.pruning.criteria import Criterion, criteria
from fairexit.pruning.groups import Rows
from fairexit.pruning.units import parameters_of

Gradients = tuple[dict[str, Tensor], dict[str, Tensor]]
"""Of the unprivileged and of the privileged groups' mean loss: parameter name -> gradient."""


@criteria.register("first_order")
class FirstOrder(Criterion):
    """Sets weights to zero that matter to the privileged group alone, by gradients.

    To first order, zero in place of the weight w changes a group's mean loss by -w g, with its
    gradient g. The size of that change is the importance of Molchanov et al. (2019). Scores are the
    importance for the unprivileged group, less beta times that for the privileged group.
    """

    traits = Traits(ratio=0.2, beta=0.5)

    def measure(self, step: int) -> Gradients:
        unprivileged, privileged = self.subject.rows
        return self._gradient(unprivileged), self._gradient(privileged)

    def score(self, measured: Gradients, beta: float | None) -> dict[str, Tensor]:
        assert beta is not None
        g_u, g_p = measured
        weights = {name: p.detach().cpu() for name, p in parameters_of(self.units).items()}
        return {
            name: (w * g_u[name]).abs() - beta * (w * g_p[name]).abs()
            for name, w in weights.items()
        }

    def _gradient(self, rows: Rows) -> dict[str, Tensor]:
        """Gradient of the mean loss over images, summed over the exits with their weights."""
        net, parameters = self.subject.net, parameters_of(self.units)
        sums = {name: torch.zeros_like(p) for name, p in parameters.items()}
        for batch in self.subject.batches(rows):
            losses = [
                weight * F.cross_entropy(exit.logits, batch.labels, reduction="sum")
                for weight, exit in zip(self.subject.exit_weights, net(batch.images), strict=True)
            ]
            loss = torch.stack(losses).sum()
            gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
            for name, gradient in zip(parameters, gradients, strict=True):
                if gradient is not None:
                    sums[name] += gradient
        return {name: (total / len(rows)).cpu() for name, total in sums.items()}


def main() -> None:
    config = PruneConfig(method="first_order")
    print(f"ratio {config.ratio}, beta {config.beta}, {config.steps} steps")


if __name__ == "__main__":
    main()
