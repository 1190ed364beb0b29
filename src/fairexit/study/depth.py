"""Claim 6: whether entanglement falls with depth."""

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
from fairexit.study.claims import Claim, Comparison, Side, word_of
from fairexit.study.collect import Pooled
from fairexit.study.outcomes import Outcome, Verdict, bounds, needed
from fairexit.study.paper import ENTANGLED, FALLS, Printed, common_name


def entanglement_verdict(pooled: Sequence[Pooled], paper: Printed | None) -> Verdict:
    """Claim 6, from what `fairexit entangle` has measured in the runs."""
    found = {
        row: _changes([one for one in pooled if common_name(one.row) == row]) for row in ENTANGLED
    }
    keys = list(dict.fromkeys(key for changes in found.values() for key in changes))
    images, number, falls = len(pooled[0].ids), len(keys) * len(ENTANGLED), {}
    if keys and paper is not None:
        backbone = pooled[0].runs[0].config.model.backbone
        falls = {pooled[0].group: FALLS.get((paper.dataset, backbone))}
    comparisons, outcomes = [], []
    for row in ENTANGLED:
        for of, temperature in keys:
            metric = f"SNNL of {of}, change per stage, T {temperature:g}"
            comparison = Comparison(metric, Side(row), None, -1)
            values = found[row].get((of, temperature))
            comparisons.append(comparison)
            outcomes.append(
                values
                and _fall(comparison, *values, number=number, printed=falls.get(of), images=images)
            )
    claim = Claim(
        6, "SNNL of the attribute, and of the target, falls with depth", tuple(comparisons)
    )
    return Verdict(claim, word_of([o.bounds if o else None for o in outcomes]), tuple(outcomes))


def measured(seeds: Sequence[Pooled]) -> list[Entanglement]:
    """What `fairexit entangle` has found in the runs of one row, one for each seed.

    A seed of which a run was not measured, or on another split or attribute, is left out.

    Raises:
        UserError: the runs were not measured alike.
    """
    found = []
    for one in seeds:
        files = [run.path / "entanglement.json" for run in one.runs]
        if not all(file.is_file() for file in files):
            continue
        runs = [read_entanglement(file) for file in files]
        wanted = {"split": "test", "group": one.group}
        if all(wanted.items() <= run.settings.items() for run in runs):
            found.append(mean_over_folds(runs))
    return found


def _changes(
    seeds: Sequence[Pooled],
) -> dict[tuple[str, float], tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Label and temperature -> mean change per stage for each seed, and their errors, (S,)."""
    found = measured(seeds)
    if not found:
        return {}
    mean_over_runs(found)  # refuses runs that were not measured alike
    means = [one.rows[one.rows["position"] == MEAN] for one in found]
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
    """Whether the mean over seeds falls; the errors are over images, which the seeds share."""
    seeds, point, error = len(changes), float(changes.mean()), float(errors.mean())
    spread = float(changes.std(ddof=1)) if seeds > 1 else math.nan

    def ask(level: float) -> float:
        return float(half_width(error, spread, seeds, level))

    half, strict = ask(LEVEL), ask(1 - (1 - LEVEL) / number)
    interval = point - half, point + half
    sides = bounds(comparison, interval, (point - strict, point + strict), seeds)
    smallest = min_detectable_difference(half, error**2, spread**2, seeds)
    enough = (
        None
        if printed is None
        else needed(comparison, printed, of_seeds=spread**2, of_images=error**2, images=images)
    )
    return Outcome(
        comparison, seeds, point, math.nan, point, *interval, sides, printed, smallest, enough
    )
