"""What would decide a printed difference, and which way to it needs the fewest training runs."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from fairexit.stats.contrasts import Needed

FOLDS = 5
"""Folds that a study of a single split is advised to make."""
MOST = 1000
"""Seeds above which more of them are no way to a decision."""


@dataclass(frozen=True)
class Design:
    """The data of a study.

    Attributes:
        images: test images; with folds all images.
        total: all images of the prepared data; None where the data are not at hand.
        folds: folds of the study; 1 for a single split.
    """

    images: int
    total: int | None
    folds: int


class Way(NamedTuple):
    """A way to decide a printed difference.

    Attributes:
        name: what to have, such as "9 seeds".
        runs: training runs still to make; None for new test images.
    """

    name: str
    runs: int | None


@dataclass(frozen=True)
class Decides:
    """What would show a printed difference in 80 of 100 studies, one thing changed at a time.

    Attributes:
        seeds: training seeds; infinite if no number suffices, None where one seed was trained.
        images: test images; infinite if no number suffices.
        folds: number of folds with which the seeds at hand suffice; None if they do not, or the
            study has folds.
        ways: those that there are, the cheapest first; new images are the last.
    """

    seeds: float | None
    images: float
    folds: int | None
    ways: tuple[Way, ...]

    def __str__(self) -> str:
        if not self.ways:
            return "nothing of it"
        text = " or ".join(way.name for way in self.ways)
        cheapest = self.ways[0]
        if cheapest.runs is None:
            return text
        return f"{text}; cheapest: {cheapest.name} ({cheapest.runs} runs more)"


def decides(needed: Needed, design: Design, *, seeds: int, rows: int) -> Decides:
    """What would show a difference, from what it takes.

    Args:
        needed: images in multiples of those at hand, and seeds.
        design: the study's data.
        seeds: seeds at hand.
        rows: rows of the comparison, each of which is trained once for each seed and fold.
    """
    more_seeds = needed.seeds
    if more_seeds is not None:
        more_seeds = math.inf if more_seeds > MOST else max(math.ceil(more_seeds), seeds + 1)
    images = needed.images * design.images
    ways = []
    if more_seeds is not None and math.isfinite(more_seeds):
        runs = int(rows * (more_seeds - seeds) * design.folds)
        ways.append(Way(f"{more_seeds:.0f} seeds", runs))
    single = design.folds == 1 and design.total is not None
    folds = FOLDS if single and images <= (design.total or 0) else None
    if folds is not None:
        at = f"{seeds} seed{'s' * (seeds > 1)}"
        ways.append(Way(f"{folds} folds at {at}", rows * seeds * folds))
    ways.sort(key=lambda way: way.runs or 0)
    if math.isfinite(images):
        ways.append(Way(f"{rounded_up(images):,} test images", None))
    return Decides(more_seeds, images, folds, tuple(ways))


def rounded_up(number: float) -> int:
    """A number with two digits, at least as large.

    >>> rounded_up(20871)
    21000
    """
    unit = 10 ** max(0, math.floor(math.log10(max(number, 1))) - 1)
    return math.ceil(number / unit) * unit
