"""Maximum mean discrepancy between a teacher's classes and a student's class-group cells."""

from typing import NamedTuple

import torch
from torch import Tensor

from fairexit.losses.kernels import gaussian, indicators, squared_distances
from fairexit.types import UNKNOWN


class CellMmd(NamedTuple):
    """MMD^2 of each class and group (C, M), and whether the batch has that cell; if not, 0."""

    values: Tensor
    valid: Tensor


def mmd_by_cell(
    teacher: Tensor,
    student: Tensor,
    labels: Tensor,
    groups: Tensor,
    *,
    num_classes: int,
    num_groups: int,
    sigma: float,
) -> CellMmd:
    """MMD^2 between the teacher's features of a class and the student's of a class and group.

    The biased estimator, mean K_TT + mean K_SS - 2 mean K_TS with the diagonals included (Jung et
    al. 2021). The kernel is exp(-d^2 / (2 sigma D)), where D is the mean squared distance of all
    teacher-student pairs of the batch and has no gradient. All cells are computed at once.

    Args:
        teacher: the teacher's features, (N, D).
        student: the student's features of the same samples, (N, D).
        labels: classes, (N,), in [0, C).
        groups: group indices or UNKNOWN, (N,); samples of unknown group belong to no cell.
        num_classes: C.
        num_groups: M.
        sigma: width of the kernel, in mean squared distances.
    Returns:
        MMD^2 (no unit; differentiable in the features) and validity of each cell.
    """
    known = groups != UNKNOWN
    t, s = teacher.float(), student.float()
    across = squared_distances(t, s)
    # Samples of unknown group are marked in no cell: to select the others would wait for the GPU.
    pairs = (known[:, None] & known).to(t.dtype)
    scale = sigma * (across.detach() * pairs).sum() / pairs.sum()
    # The mean is NaN without samples and 0 if all features are equal; the kernel is then 1.
    scale = torch.where(scale > 0, scale, 1)
    classes = indicators(torch.where(known, labels, UNKNOWN), num_classes, t.dtype)
    cells = torch.where(known, labels * num_groups + groups, UNKNOWN)
    in_cell = indicators(cells, num_classes * num_groups, t.dtype)
    in_class = classes.repeat_interleave(num_groups, dim=1)
    n_class, n_cell = in_class.sum(0).clamp_min(1), in_cell.sum(0)
    size = n_cell.clamp_min(1)
    k_tt = ((gaussian(squared_distances(t, t), scale) @ in_class) * in_class).sum(0)
    k_ss = ((gaussian(squared_distances(s, s), scale) @ in_cell) * in_cell).sum(0)
    k_ts = ((gaussian(across, scale) @ in_cell) * in_class).sum(0)
    values = k_tt / n_class**2 + k_ss / size**2 - 2 * k_ts / (n_class * size)
    valid = n_cell > 0
    shape = (num_classes, num_groups)
    return CellMmd(torch.where(valid, values, 0).view(shape), valid.view(shape))
