"""Claim 6: whether entanglement falls with depth."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fairexit.evaluation.entanglement import (
    MEAN,
    Entanglement,
    half_width,
    mean_over_folds,
    mean_over_runs,
    read_entanglement,
)
from fairexit.study.claims import Claim, Comparison, Side, word_of
from fairexit.study.collect import Pooled
from fairexit.study.outcomes import LEVEL, POWERED, Outcome, Verdict, Z, bounds
from fairexit.study.paper import ENTANGLED, common_name


def entanglement_verdict(pooled: Sequence[Pooled]) -> Verdict:
    """Claim 6, from what `fairexit entangle` has measured in the runs."""
    found = {
        row: _changes([one for one in pooled if common_name(one.row) == row]) for row in ENTANGLED
    }
    keys = list(dict.fromkeys(key for changes in found.values() for key in changes))
    comparisons, outcomes = [], []
    for row in ENTANGLED:
        for of, temperature in keys:
            metric = f"SNNL of {of}, change per stage, T {temperature:g}"
            comparison = Comparison(metric, Side(row), None, -1)
            values = found[row].get((of, temperature))
            comparisons.append(comparison)
            outcomes.append(values and _fall(comparison, *values, len(keys) * len(ENTANGLED)))
    claim = Claim(
        6, "SNNL of the attribute, and of the target, falls with depth", tuple(comparisons)
    )
    return Verdict(claim, word_of([o.bounds if o else None for o in outcomes]), tuple(outcomes))


def measured(seeds: Sequence[Pooled]) -> list[Entanglement]:
    """What `fairexit entangle` has found in the runs of one row, one for each seed.

    A seed of which a run was not measured is left out.

    Raises:
        UserError: the runs were not measured alike.
    """
    found = []
    for one in seeds:
        files = [run.path / "entanglement.json" for run in one.runs]
        if all(file.is_file() for file in files):
            found.append(mean_over_folds([read_entanglement(file) for file in files]))
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
    number: int,
) -> Outcome:
    """Whether the mean over seeds falls; the errors are over images, which the seeds share."""
    seeds, point = len(changes), float(changes.mean())
    spread = float(changes.std(ddof=1)) if seeds > 1 else 0.0

    def ask(level: float) -> tuple[float, float]:
        half = float(half_width(errors.mean(), spread, seeds, level))
        return point - half, point + half

    interval, strict = ask(LEVEL), ask(1 - (1 - LEVEL) / number)
    sides = bounds(comparison, interval, strict)
    smallest = (interval[1] - interval[0]) / 2 * POWERED / Z
    return Outcome(
        comparison, seeds, point, math.nan, point, *interval, sides, None, smallest, None
    )
