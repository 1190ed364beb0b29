"""Soft nearest neighbour loss of many maps at once, by cosine distance; no gradient."""

import torch
from torch import Tensor
from torch.nn import functional as F


@torch.no_grad()
def cosine_snnl(maps: Tensor, labels: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Soft nearest neighbour loss (Frosst et al. 2019, eq. 1) by cosine distance, in nats.

    -(1/N) sum_i log( sum_{j != i, s_j = s_i} e^(-d_ij / T) / sum_{j != i} e^(-d_ij / T) ), where
    d_ij is one minus the cosine of samples i and j; the cosine of a map that is zero is 0. A sample
    whose label no other sample has is left out of the mean. Low values mean that the label can be
    read off the map.

    Args:
        maps: maps of K channels, (K, N, D).
        labels: indices from 0, (N,).
        temperature: T.
    Returns:
        The loss of each channel, (K,).
    Raises:
        ValueError: no two samples have the same label.
    """
    members = F.one_hot(labels).to(maps.dtype)
    paired = members.sum(0)[labels] > 1
    if not paired.any():
        raise ValueError("no two samples have the same label")
    values = []
    for channel in maps:
        unit = F.normalize(channel, dim=-1)
        # e^(-1/T) cancels in the ratio. Cosines are bounded, so nothing overflows at T near 1.
        closeness = (unit @ unit.T).div_(temperature).exp_().fill_diagonal_(0)
        by_label = closeness @ members
        partners = by_label.gather(1, labels[:, None])[:, 0]
        values.append((by_label.sum(1) / partners).log()[paired].mean())
    return torch.stack(values)
