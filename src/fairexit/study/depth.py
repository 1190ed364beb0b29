"""The sixth claim: entanglement falls with depth."""

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from fairexit.evaluation.entanglement import (
    MEAN,
    Entanglement,
    mean_over_folds,
    mean_over_runs,
    read_entanglement,
)
from fairexit.stats.contrasts import Contrast, Reach
from fairexit.stats.seeds import LEVEL, Variance
from fairexit.study.collect import Pooled
from fairexit.study.comparisons import Claim, Comparison, Side
from fairexit.study.deciding import Design
from fairexit.study.outcomes import ClaimOutcome, Outcome, clipped_ends, corrected, outcome_of
from fairexit.study.paper import ENTANGLED, FALLS, Printed, common_name
from fairexit.study.words import Direction, direction_of, word_of_all

NORMAL = ndtri((np.arange(1000) + 0.5) / 1000)
"""Draws of the standard normal distribution."""


def entanglement_verdict(
    pooled: Sequence[Pooled], paper: Printed | None, design: Design
) -> ClaimOutcome:
    """The verdict on the sixth claim, from the results of `fairexit entangle` in the runs."""
    changes = {
        row: _changes([cell for cell in pooled if common_name(cell.row) == row])
        for row in ENTANGLED
    }
    keys = list(dict.fromkeys(key for by_key in changes.values() for key in by_key))
    falls: dict[str, float | None] = {}
    if keys and paper is not None:
        backbone = pooled[0].runs[0].config.model.backbone
        falls = {pooled[0].group: FALLS.get((paper.dataset, backbone))}
    strict_level = 1 - (1 - LEVEL) / max(1, len(keys) * len(ENTANGLED))
    comparisons: list[Comparison] = []
    outcomes: list[Outcome | None] = []
    strict: list[Direction | None] = []
    for row, (of, temperature) in product(ENTANGLED, keys):
        metric = f"SNNL of {of}, change per stage, T {temperature:g}"
        comparison = Comparison(metric, ((Side(row), None),), -1)
        comparisons.append(comparison)
        if (of, temperature) not in changes[row]:
            outcomes.append(None)
            strict.append(None)
            continue
        change = mean_change(*changes[row][of, temperature])
        means = (float(change.point), math.nan)
        outcomes.append(
            outcome_of(comparison, change, means=means, printed=falls.get(of), design=design)
        )
        decided = change.variance.number > 1
        ends = clipped_ends(change.interval(strict_level))
        strict.append(direction_of(*ends, sign=-1) if decided else "open")
    text = "SNNL of the attribute, and of the target, falls with depth"
    verdict = word_of_all([o.direction if o else None for o in outcomes], strict)
    return ClaimOutcome(Claim(6, text, tuple(comparisons)), verdict, corrected(outcomes))


def measured(seeds: Sequence[Pooled]) -> list[Entanglement]:
    """The entanglement of each seed of one row, averaged over folds.

    A seed is left out if one of its runs was not measured, or on another split or attribute.

    Raises:
        UserError: the runs were measured with different settings.
    """
    entanglements = []
    for cell in seeds:
        files = [run.path / "entanglement.json" for run in cell.runs]
        if not all(file.is_file() for file in files):
            continue
        runs = [read_entanglement(file) for file in files]
        wanted = {"split": "test", "group": cell.group}
        if all(wanted.items() <= run.settings.items() for run in runs):
            entanglements.append(mean_over_folds(runs))
    return entanglements


def _changes(
    seeds: Sequence[Pooled],
) -> dict[tuple[str, float], tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """(Label, temperature) -> mean change per stage of each seed and its standard error, (S,)."""
    entanglements = measured(seeds)
    if not entanglements:
        return {}
    mean_over_runs(entanglements)  # refuses runs that were measured with different settings
    means = [e.rows[e.rows["position"] == MEAN] for e in entanglements]
    values = [np.stack([rows[key] for rows in means], 1) for key in ("change", "change_se")]
    keys = zip(means[0]["of"], means[0]["temperature"], strict=True)
    return {key: (values[0][i], values[1][i]) for i, key in enumerate(keys)}


def mean_change(changes: NDArray[np.float64], errors: NDArray[np.float64]) -> Contrast:
    """The mean change over seeds, with its interval and power.

    What images do to single networks is not known apart from what they do to all. So it is counted
    in both the errors and the spread over seeds, as in `fairexit.stats.seeds.half_width`.

    Args:
        changes: mean change per stage of each seed, (S,).
        errors: their standard errors over images, which the seeds share, (S,).
    """
    number, error = len(changes), float(errors.mean())
    spread = changes.var(ddof=1) if number > 1 else np.zeros(())
    point = np.asarray(changes.mean())

    def reach(level: float) -> Reach:
        half = np.asarray(error * ndtri((1 + level) / 2))
        return Reach(point, point, half, half)

    def shifted(effect: float, sign: int) -> NDArray[np.float64]:
        shift: NDArray[np.float64] = sign * effect + error * NORMAL
        return shift

    variance = Variance(np.asarray(error**2), np.zeros(()), spread, number - 1, number)
    return Contrast(point, variance, np.zeros(()), reach, shifted)
