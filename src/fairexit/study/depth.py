"""The sixth claim: entanglement falls with depth."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import NamedTuple

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
from fairexit.study.paper import ENTANGLED, FALLS, Printed
from fairexit.study.words import Direction, direction_of, word_of_all


class Fall(NamedTuple):
    """The change of SNNL with depth in S seeds, in nats.

    Attributes:
        change: mean change per position, (S,).
        error: its standard error over images, (S,).
        independent: the change that independence of features and label would give, (S,).
        before: mean SNNL of all positions but the last, (S,).
    """

    change: NDArray[np.float64]
    error: NDArray[np.float64]
    independent: NDArray[np.float64]
    before: NDArray[np.float64]


NORMAL = ndtri((np.arange(1000) + 0.5) / 1000)
"""Draws of the standard normal distribution."""


def entanglement_verdict(
    pooled: Sequence[Pooled], paper: Printed | None, design: Design, names: Mapping[str, str]
) -> ClaimOutcome:
    """The verdict on the sixth claim, from the results of `fairexit entangle` in the runs."""
    rows = [names[name] for name in ENTANGLED]
    falls = {row: _falls([cell for cell in pooled if cell.row == row]) for row in rows}
    keys = list(dict.fromkeys(key for by_key in falls.values() for key in by_key))
    printed: dict[str, float | None] = {}
    if keys and paper is not None:
        backbone = pooled[0].runs[0].config.model.backbone
        printed = {pooled[0].group: FALLS.get((paper.dataset, backbone))}
    strict_level = 1 - (1 - LEVEL) / max(1, len(keys) * len(rows))
    comparisons: list[Comparison] = []
    outcomes: list[Outcome | None] = []
    strict: list[Direction | None] = []
    for row, (of, temperature) in product(rows, keys):
        metric = f"SNNL of {of}, change per position in nats, T {temperature:g}"
        comparison = Comparison(metric, ((Side(row), None),), -1)
        comparisons.append(comparison)
        if (of, temperature) not in falls[row]:
            outcomes.append(None)
            strict.append(None)
            continue
        fall = falls[row][of, temperature]
        change, relative = mean_change(fall.change, fall.error), printed.get(of)
        outcome = outcome_of(
            comparison,
            change,
            means=(float(change.point), math.nan),
            # The paper prints the change relative to the position before.
            printed=None if relative is None else relative * float(fall.before.mean()),
            design=design,
            limit=math.inf,
        )
        outcomes.append(replace(outcome, independent=float(fall.independent.mean())))
        decided = change.variance.number > 1
        ends = clipped_ends(change.interval(strict_level), math.inf)
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


def _falls(seeds: Sequence[Pooled]) -> dict[tuple[str, float], Fall]:
    """(Label, temperature) -> the change of SNNL with depth in each seed."""
    entanglements = measured(seeds)
    if not entanglements:
        return {}
    mean_over_runs(entanglements)  # refuses runs that were measured with different settings
    falls = {}
    for key in entanglements[0].rows.groupby(["of", "temperature"], sort=False).groups:
        parts = [e.rows.groupby(["of", "temperature"]).get_group(key) for e in entanglements]
        means = [part[part["position"] == MEAN].iloc[0] for part in parts]
        before = [part.loc[part["position"] != MEAN, "snnl"].iloc[:-1].mean() for part in parts]
        falls[key] = Fall(
            np.array([mean["change"] for mean in means]),
            np.array([mean["change_se"] for mean in means]),
            np.array([mean["independent_change"] for mean in means]),
            np.array(before),
        )
    return falls


def mean_change(changes: NDArray[np.float64], errors: NDArray[np.float64]) -> Contrast:
    """The mean change over seeds, with its interval and power.

    What images do to single networks is not known apart from what they do to all. So it is counted
    in both the errors and the spread over seeds, as in `fairexit.stats.seeds.half_width`.

    Args:
        changes: mean change per position of each seed, (S,).
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
