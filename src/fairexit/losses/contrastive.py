"""The supervised contrastive loss of projected features."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Contrastive(NamedTuple):
    """Mean loss over all positive pairs, and the number of samples without one."""

    value: Tensor
    without_partner: Tensor


def supervised_contrastive(z: Tensor, labels: Tensor, temperature: float) -> Contrastive:
    """Supervised contrastive loss in the form of FairDisCo (Du et al. 2022).

    The mean over all ordered pairs (i, p) of one class, i != p, of

        -log( exp(s_ip) / (exp(s_ip) + sum_n exp(s_in)) ),  s = cosine similarity / T,

    where n runs over the samples of other classes. Khosla et al. 2020 have the other positives in
    the denominator too. Without such a pair, or without a second class, the loss is 0.

    Args:
        z: projected features, (N, D).
        labels: class indices, (N,).
        temperature: T.
    Returns:
        The loss in nats, differentiable in z, and the number of samples without a positive.
    """
    unit = F.normalize(z, dim=1)
    similarity = unit @ unit.T / temperature
    same = labels[:, None] == labels[None, :]
    positive = same & ~torch.eye(len(z), dtype=torch.bool, device=z.device)
    # A finite value, because the gradient of a log-sum-exp over -inf alone is not a number.
    negatives = similarity.masked_fill(same, torch.finfo(similarity.dtype).min / 2).logsumexp(1)
    losses = torch.where(positive, F.softplus(negatives[:, None] - similarity), 0)
    return Contrastive(losses.sum() / positive.sum().clamp_min(1), (~positive.any(1)).sum())
