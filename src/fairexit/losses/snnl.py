"""Soft nearest neighbour loss: how entangled features are with respect to a label."""

from typing import NamedTuple

import torch
from torch import Tensor

from fairexit.losses.kernels import squared_distances
from fairexit.types import UNKNOWN


class Snnl(NamedTuple):
    """The loss (scalar), and how many samples have no partner of their label in the batch."""

    value: Tensor
    alone: Tensor


def snnl(z: Tensor, labels: Tensor, temperature: float, relative: bool = True) -> Snnl:
    """Soft nearest neighbour loss (Frosst et al. 2019, eq. 1), in nats.

    High: entangled, the label cannot be read off. Samples alone in their label have no partner and
    are left out of the mean; those of label UNKNOWN are left out altogether.

    Args:
        z: features, (N, D).
        labels: (N,), or UNKNOWN.
        temperature: T, above zero.
        relative: T is in units of the mean squared distance of all pairs, without gradient.
    """
    known = labels != UNKNOWN
    z, labels = z[known].float(), labels[known]
    distances = squared_distances(z, z)
    mean = distances.detach().mean()
    unit = torch.where(mean > 0, mean, 1) if relative else torch.ones_like(mean)
    closeness = -distances / (temperature * unit)
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    partner = (labels[:, None] == labels[None, :]) & ~itself
    paired = partner.any(1)
    nothing = torch.finfo(z.dtype).min
    everyone = closeness.masked_fill(itself, nothing).logsumexp(1)
    own = closeness.masked_fill(~partner, nothing).logsumexp(1)
    value = torch.where(paired, everyone - own, 0).sum() / paired.sum().clamp_min(1)
    return Snnl(value, (~paired).sum())
