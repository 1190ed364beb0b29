"""Mixup within a class across groups (Yao et al. 2022)."""

from collections.abc import Sequence

import torch
from pydantic import PositiveFloat
from torch import Tensor

from fairexit.gather import own_rows
from fairexit.methods.base import Method, methods
from fairexit.models import ExitNet
from fairexit.search_space import Axis
from fairexit.types import UNKNOWN, Batch, Exit, Task


def draw_partners(labels: Tensor, groups: Tensor) -> Tensor:
    """Draw for each sample another one of the same class and of another group.

    Args:
        labels: class indices, (N,).
        groups: group indices or UNKNOWN, (N,).
    Returns:
        Index of each sample's partner, (N,), drawn with equal probability among the candidates; a
        sample without a candidate, or of unknown group, is its own partner.
    """
    known = groups != UNKNOWN
    fits = (labels[:, None] == labels) & (groups[:, None] != groups) & known[:, None] & known
    unmatched = torch.diag(~fits.any(1))
    weights = (fits | unmatched).float()
    # As torch.multinomial draws one of each row, but without its check, which waits for the GPU.
    return (weights / torch.empty_like(weights).exponential_()).argmax(1)


@methods.register("mixup")
class Mixup(Method, capturable=True):
    """Trains on mixtures of two images of one class and different groups (Yao et al. 2022).

    Image i becomes lambda x_i + (1 - lambda) x_j, with lambda from Beta(alpha, alpha) and j drawn
    in the batch; its label stays. So no mixture tells its group well. An image without a partner in
    the batch, or of unknown group, is trained on as it is, and counts in the log's
    `terms_left_out`; in small batches these are most images of a rare class. With
    `data.sampling: group-balanced` most images find a partner.

    Args:
        alpha: of the Beta distribution; small values leave most images nearly as they are.
    """

    search_space = (Axis("method.alpha", (0.2, 5.0), log=True),)

    def __init__(
        self,
        net: ExitNet,
        task: Task,
        exit_weights: Sequence[float],
        *,
        alpha: PositiveFloat = 2.0,
    ) -> None:
        super().__init__(net, task, exit_weights)
        self.alpha = alpha

    def outputs(self, batch: Batch) -> list[Exit]:
        if self._images is None:
            return self.net(self.mixed(batch))
        # All processes draw the same, each for the whole batch.
        whole = Batch(*self.gather([batch.images]), *self.gather([batch.labels, batch.groups]))
        return self.net(own_rows(self.mixed(whole)))

    def mixed(self, batch: Batch) -> Tensor:
        """The mixed images of a batch, (B, 3, H, W)."""
        partners = draw_partners(batch.labels, batch.groups)
        positions = torch.arange(len(partners), device=partners.device)
        self.left_out += (partners == positions).sum()
        # Only CPUs and CUDA can draw these.
        device = batch.images.device if batch.images.is_cuda else "cpu"
        alpha = torch.full((), self.alpha, device=device)
        beta = torch.distributions.Beta(alpha, alpha, validate_args=False)
        shares = beta.sample((len(partners), 1, 1, 1)).to(batch.images)
        return torch.lerp(batch.images[partners], batch.images, shares)
