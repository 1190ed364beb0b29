"""A linear probe: how well a linear classifier predicts the attribute from features."""

import torch
from torch import Tensor
from torch.nn import functional as F

from fairexit.data.splits import partition
from fairexit.types import UNKNOWN


def fitting_half(groups: Tensor, clusters: Tensor, seed: int) -> Tensor:
    """Draw the half of the samples on which a probe is fitted; it is tested on the others.

    Whole clusters are drawn: a lesion on both sides would be recognised, and its person's attribute
    with it. Each group is divided in half, as far as its clusters allow.

    Args:
        groups: group indices or UNKNOWN, (N,).
        clusters: number of each sample's cluster, (N,).
        seed: seed of the draw.
    Returns:
        True for the samples to fit on, (N,).
    """
    strata = (groups - UNKNOWN).long().numpy()
    return torch.from_numpy(partition(strata, clusters.numpy(), (0.5, 0.5), seed) == 0)


def probe_accuracy(
    z: Tensor, groups: Tensor, fit: Tensor, *, num_groups: int, ridge: float = 1e-2
) -> float:
    """Balanced accuracy of a ridge classifier of the attribute.

    Features are standardised and all groups have the same weight, so that chance is 1 / M.

    Args:
        z: features, (N, D); a GPU computes the probe where they are.
        groups: group indices, (N,), in [0, M); samples with UNKNOWN are left out.
        fit: True for the samples on which the classifier is fitted, (N,), see `fitting_half`; it is
            tested on the others.
        num_groups: M.
        ridge: ridge penalty, as a share of the number of fitted samples.
    Returns:
        Balanced accuracy in [0, 1]; NaN if fewer than two groups occur on both sides.
    """
    # Not every device has float64.
    device = z.device if z.is_cuda else torch.device("cpu")
    z, groups, fit = z.to(device), groups.to(device), fit.to(device)
    known = groups != UNKNOWN
    z, groups, fit = z[known].double(), groups[known], fit[known]
    test = ~fit
    fitted = torch.bincount(groups[fit], minlength=num_groups)
    tested = torch.bincount(groups[test], minlength=num_groups)
    if ((fitted > 0) & (tested > 0)).sum() < 2:
        return float("nan")
    z = (z - z[fit].mean(0)) / z[fit].std(0).clamp_min(1e-8)
    z = torch.cat([z, torch.ones_like(z[:, :1])], dim=1)
    weights = (1 / fitted.clamp_min(1).double())[groups[fit]].sqrt()[:, None]
    scale = (len(weights) / weights.square().sum()).sqrt()
    x = z[fit] * weights * scale
    y = F.one_hot(groups[fit], num_groups).double() * weights * scale
    penalty = ridge * len(x)
    if x.shape[1] <= len(x):
        eye = torch.eye(x.shape[1], dtype=x.dtype, device=device)
        solution = torch.linalg.solve(x.T @ x + penalty * eye, x.T @ y)
    else:
        eye = torch.eye(len(x), dtype=x.dtype, device=device)
        solution = x.T @ torch.linalg.solve(x @ x.T + penalty * eye, y)
    correct = (z[test] @ solution).argmax(1) == groups[test]
    hits = torch.zeros(num_groups, dtype=z.dtype, device=device).index_add_(
        0, groups[test], correct.double()
    )
    return float((hits[tested > 0] / tested[tested > 0]).mean())
