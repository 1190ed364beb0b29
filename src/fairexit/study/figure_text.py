"""The captions of Figures 2a and 2b: what is drawn, of how many images and seeds."""

import textwrap
from collections.abc import Sequence

import numpy as np

from fairexit.study.collect import Pooled

WIDTH = 190
"""Characters in a line of a caption."""


def caption(cells: Sequence[Pooled], *, over_theta: bool) -> str:
    """The caption of a row's figure, in lines.

    Args:
        cells: the seeds of the row.
        over_theta: whether it is Figure 2a, or 2b.
    """
    what = (
        "Every image leaves at the first exit whose confidence reaches theta; final exit: all "
        "images leave there. Triangles: thetas of the runs' own policies, their area by the number "
        "of runs."
        if over_theta
        else "All images leave at one exit, or at the exits that each run's own policy says."
    )
    return "\n".join(textwrap.wrap(f"{what} {_images(cells)} {_bands(cells, over_theta)}", WIDTH))


def _images(cells: Sequence[Pooled]) -> str:
    cell, seeds = cells[0], ", ".join(str(cell.seed) for cell in cells)
    groups = cell.sample.groups
    sizes = ", ".join(f"{name} {(groups == g).sum():,}" for g, name in enumerate(cell.group_names))
    unknown = int(np.sum(groups < 0))
    sizes += f", unknown and left out {unknown:,}" if unknown else ""
    folds = ", each answered out of fold" if len(cell.runs) > 1 else ""
    mean = f"Mean over the seeds {seeds}" if len(cells) > 1 else f"Seed {seeds} alone"
    return f"{mean}; n = {len(groups):,} test images{folds} ({sizes})."


def _bands(cells: Sequence[Pooled], over_theta: bool) -> str:
    name = "Bands" if over_theta else "Bars"
    over = "images and seeds" if len(cells) > 1 else "images alone"
    return (
        f"{name}: 95 % confidence intervals over {over}; of a gap, all true gaps that the measured "
        "one does not contradict, and as chance enlarges measured gaps, they may lie below it."
    )
