"""The sixth claim: entanglement falls with depth."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fairexit.evaluation.entanglement import (
    MEAN,
    Entanglement,
    mean_over_folds,
    mean_over_runs,
    read_entanglement,
)
from fairexit.stats.seeds import LEVEL, half_width, min_detectable_difference
from fairexit.study.claims import Claim, Comparison, Side, verdict_of
from fairexit.study.collect import Pooled
from fairexit.study.outcomes import ClaimOutcome, Outcome, bounds, needed
from fairexit.study.paper import ENTANGLED, FALLS, Printed, common_name


def entanglement_verdict(pooled: Sequence[Pooled], paper: Printed | None) -> ClaimOutcome:
    """The verdict on the sixth claim, from the results of `fairexit entangle` in the runs."""
    changes = {
        row: _changes([cell for cell in pooled if common_name(cell.row) == row])
        for row in ENTANGLED
    }
    keys = list(dict.fromkeys(key for by_key in changes.values() for key in by_key))
    images, number, falls = len(pooled[0].ids), len(keys) * len(ENTANGLED), {}
    if keys and paper is not None:
        backbone = pooled[0].runs[0].config.model.backbone
        falls = {pooled[0].group: FALLS.get((paper.dataset, backbone))}
    comparisons, outcomes = [], []
    for row in ENTANGLED:
        for of, temperature in keys:
            metric = f"SNNL of {of}, change per stage, T {temperature:g}"
            comparison = Comparison(metric, Side(row), None, -1)
            values = changes[row].get((of, temperature))
            comparisons.append(comparison)
            outcomes.append(
                values
                and _fall(comparison, *values, number=number, printed=falls.get(of), images=images)
            )
    claim = Claim(
        6, "SNNL of the attribute, and of the target, falls with depth", tuple(comparisons)
    )
    verdict = verdict_of([o.bounds if o else None for o in outcomes])
    return ClaimOutcome(claim, verdict, tuple(outcomes))


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


def _fall(
    comparison: Comparison,
    changes: NDArray[np.float64],
    errors: NDArray[np.float64],
    *,
    number: int,
    printed: float | None,
    images: int,
) -> Outcome:
    """The outcome for the mean over seeds; the errors are over images, which the seeds share.

    Args:
        comparison: that the change is below zero.
        changes: mean change per stage of each seed, (S,).
        errors: their standard errors, (S,).
        number: number of comparisons of the claim.
        printed: the paper's change.
        images: number of test images.
    """
    seeds, point, error = len(changes), float(changes.mean()), float(errors.mean())
    spread = float(changes.std(ddof=1)) if seeds > 1 else math.nan

    def half_width_at(level: float) -> float:
        return float(half_width(error, spread, seeds, level))

    half, strict = half_width_at(LEVEL), half_width_at(1 - (1 - LEVEL) / number)
    interval = point - half, point + half
    sides = bounds(comparison, interval, (point - strict, point + strict), seeds)
    smallest = min_detectable_difference(half, error**2, spread**2, seeds)
    enough = (
        None
        if printed is None
        else needed(
            comparison,
            printed,
            seed_variance=spread**2,
            image_variance=error**2,
            images=images,
        )
    )
    return Outcome(
        comparison, seeds, point, math.nan, point, *interval, sides, printed, smallest, enough
    )
