"""Your own method in one file: it reduces the differences between the groups' mean losses.

Copy and change this file, and give it to each command that needs the method:

    fairexit train config.yaml --out runs/own --plugin own_method.py --set method.name=group_loss

In a configuration or a study, the key `plugins: [own_method.py]` does the same; the path is
relative to that YAML file. Run as a script, the file tries the method on a batch of noise:

    python own_method.py
"""

from collections.abc import Sequence

import torch
from pydantic import NonNegativeFloat
from torch import Tensor
from torch.nn import functional as F

from fairexit.methods import Method, methods
from fairexit.models import ExitNet, create_model
from fairexit.types import Batch, Exit, Task


@methods.register("group_loss")
class GroupLoss(Method):
    """Penalises the variance of the groups' mean losses (V-REx, Krueger et al. 2021).

    Args:
        weight: factor of the variance in the loss.
    """

    def __init__(
        self,
        net: ExitNet,
        task: Task,
        exit_weights: Sequence[float],
        *,
        weight: NonNegativeFloat = 1.0,
    ) -> None:
        super().__init__(net, task, exit_weights)
        self.weight = weight

    def penalty(self, k: int, exit: Exit, batch: Batch) -> Tensor | None:
        losses = F.cross_entropy(exit.logits, batch.labels, reduction="none")
        # A negative number means that the sample's group is not known.
        present = batch.groups[batch.groups >= 0].unique()
        if len(present) < 2:
            self.left_out += 1
            return None
        means = torch.stack([losses[batch.groups == group].mean() for group in present])
        return self.weight * means.var(correction=0)


def main() -> None:
    torch.manual_seed(0)
    net = create_model("resnet18", num_classes=3, image_size=32)
    task = Task(("nevus", "melanoma", "other"), "sex", ("female", "male"))
    method = methods.create("group_loss", net, task, [1.0] * net.num_exits, weight=2.0)
    labels, groups = torch.randint(3, (16,)), torch.randint(2, (16,))
    losses = method(Batch(torch.rand(16, 3, 32, 32), labels, groups))
    for name, loss, penalty in zip(net.exit_names, losses.targets, losses.penalties, strict=True):
        print(f"exit {name}: cross-entropy {loss:.3f}, penalty {penalty:.4f}")


if __name__ == "__main__":
    main()
