"""How well a linear reader finds the attribute in features: does a method do what it says?"""

import torch
from torch import Tensor
from torch.nn import functional as F

from fairexit.types import UNKNOWN


def probe_accuracy(
    z: Tensor, groups: Tensor, clusters: Tensor, *, num_groups: int, ridge: float = 1e-2
) -> float:
    """Balanced accuracy of a ridge classifier, fitted on every second cluster, on the others.

    Features are standardised and groups weigh the same, so that chance is 1 / M. A lesion in both
    halves would be recognised, and its person's attribute with it.

    Args:
        z: features, (N, D).
        groups: (N,), in [0, M) or UNKNOWN, which is left out.
        clusters: number of each sample's cluster, (N,), from 0.
        num_groups: M.
        ridge: penalty, as a share of the number of fitted samples.
    Returns:
        In [0, 1]; NaN where fewer than two groups are on both sides.
    """
    known = groups != UNKNOWN
    z, groups = z[known].double(), groups[known]
    fit = clusters[known] % 2 == 0
    held = ~fit
    counts = torch.bincount(groups[fit], minlength=num_groups)
    tested = torch.bincount(groups[held], minlength=num_groups)
    if ((counts > 0) & (tested > 0)).sum() < 2:
        return float("nan")
    z = (z - z[fit].mean(0)) / z[fit].std(0).clamp_min(1e-8)
    z = torch.cat([z, torch.ones_like(z[:, :1])], dim=1)
    weights = (1 / counts.clamp_min(1).double())[groups[fit]].sqrt()[:, None]
    scale = (len(weights) / weights.square().sum()).sqrt()
    x = z[fit] * weights * scale
    y = F.one_hot(groups[fit], num_groups).double() * weights * scale
    penalty = ridge * len(x)
    if x.shape[1] <= len(x):
        eye = torch.eye(x.shape[1], dtype=x.dtype)
        solution = torch.linalg.solve(x.T @ x + penalty * eye, x.T @ y)
    else:
        eye = torch.eye(len(x), dtype=x.dtype)
        solution = x.T @ torch.linalg.solve(x @ x.T + penalty * eye, y)
    right = (z[held] @ solution).argmax(1) == groups[held]
    rates = torch.zeros(num_groups, dtype=z.dtype).index_add_(0, groups[held], right.double())
    return float((rates[tested > 0] / tested[tested > 0]).mean())
