"""Equalised odds of probabilities, which has a gradient."""

import torch
from torch import Tensor
from torch.nn import functional as F


def soft_counts(probabilities: Tensor, labels: Tensor, groups: Tensor, num_groups: int) -> Tensor:
    """The sum of the probabilities by group and true class.

    If all probabilities are 0 or 1, these are the counts of which metrics are functions.

    Args:
        probabilities: (E, N, C).
        labels: class indices, (N,).
        groups: group indices, (N,).
        num_groups: M.
    Returns:
        (E, M, C, C): group, true class, predicted class.
    """
    classes = probabilities.shape[-1]
    cells = F.one_hot(groups * classes + labels, num_groups * classes).to(probabilities)
    return (cells.T @ probabilities).unflatten(-2, (num_groups, classes))


def soft_eodd(counts: Tensor) -> Tensor:
    """Mean over classes of half the sum of the ranges of TPR and FPR over the groups.

    This is the metric `eodd` of soft counts. Each range is above zero, so gaps of opposite signs,
    of classes or of TPR and FPR, do not cancel. The released program of BMFT adds signed gaps,
    which do. Groups without a sample of a class, or with nothing else, are left out at that class.

    Args:
        counts: (..., M, C, C), as of `soft_counts`.
    Returns:
        (...); NaN if no class has two groups to compare.
    """
    hits, actual = counts.diagonal(dim1=-2, dim2=-1), counts.sum(-1).detach()
    negatives = actual.sum(-1, keepdim=True) - actual
    alarms = counts.sum(-2) - hits
    known = (actual > 0) & (negatives > 0)
    gap = _range(hits / actual.clamp_min(1e-12), known)
    gap = (gap + _range(alarms / negatives.clamp_min(1e-12), known)) / 2
    compared = known.sum(-2) > 1
    return torch.where(compared, gap, 0).sum(-1) / compared.sum(-1)


def _range(rates: Tensor, known: Tensor) -> Tensor:
    """Largest minus smallest known rate over the groups, (..., C)."""
    return rates.masked_fill(~known, -1).amax(-2) - rates.masked_fill(~known, 2).amin(-2)
