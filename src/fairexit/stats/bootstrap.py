"""Bootstrap intervals: a stratified bootstrap over clusters, percentile and BCa, also paired.

Clusters are drawn with replacement within strata. Each group is a stratum (clusters with images of
several groups form another one), so that a small group keeps its size in every draw. The class mix
of a group varies from draw to draw, as it varies between test sets.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fairexit.cluster_index import cluster_index
from fairexit.errors import UserError, nearest, short
from fairexit.metrics.rates import Empty, Values
from fairexit.metrics.record import METRICS
from fairexit.stats.clusters import common_group, find_clusters
from fairexit.stats.intervals import (
    Interval,
    Jackknife,
    bca,
    check_question,
    deletions,
    jackknife,
    percentile,
    with_seeds,
)
from fairexit.stats.resampling import Measures, check_resamples, measure, named_measures, resample
from fairexit.stats.sample import Ints, Sample
from fairexit.types import UNKNOWN

IntervalMethod = Literal["bca", "percentile"]
INTERVAL_METHODS = {"bca": bca, "percentile": percentile}

BLOCKS = 200
"""Deletions in each stratum for the acceleration of scores; more do not change a printed digit."""


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Values of R models in B draws of the same clusters; name -> array.

    Attributes:
        point: the values on the samples themselves, (R, ...).
        draws: the values in each draw, (B, R, ...).
        jackknife: the values without one cluster of each of T types, (T, R, ...).
    """

    point: dict[str, Values]
    draws: dict[str, Values]
    jackknife: dict[str, Jackknife]

    def interval(
        self, name: str, confidence_level: float = 0.95, method: IntervalMethod = "bca"
    ) -> Interval:
        """The interval of each model's value, (R, ...).

        Args:
            name: one of the measures that were drawn.
            confidence_level: coverage, in (0, 1).
            method: "percentile", or "bca" for bias-corrected and accelerated (Efron 1987).
        Raises:
            UserError: an unknown name or method, a confidence_level out of range.
        """
        return self._interval(name, lambda values: values, confidence_level, method)

    def difference(
        self,
        name: str,
        i: int,
        j: int,
        *,
        confidence_level: float = 0.95,
        method: IntervalMethod = "bca",
    ) -> Interval:
        """Model i's value minus model j's, with a paired interval from the same draws of both.

        Arguments as for `interval`; i and j count from 0.
        """
        return self._interval(
            name, lambda values: values[:, i] - values[:, j], confidence_level, method
        )

    def over_seeds(
        self,
        name: str,
        models: Sequence[int],
        baseline: Sequence[int] | None = None,
        confidence_level: float = 0.95,
    ) -> Interval:
        """The mean of a method over training seeds, or its mean paired difference to a baseline.

        The value varies for two reasons: which clusters were tested (the draws) and which seeds
        were trained. See `fairexit.stats.intervals.with_seeds`. With one seed the interval holds
        for that network only.

        Args:
            name: one of the measures that were drawn.
            models: indices of the method's models, one for each of S seeds.
            baseline: indices of the baseline's models, in the same order of seeds.
            confidence_level: coverage, in (0, 1).
        Raises:
            UserError: an unknown name, a confidence_level out of range, or `models` and `baseline`
                of different lengths.
        """
        if not models or (baseline is not None and len(baseline) != len(models)):
            raise UserError("give one model for each seed, and as many baselines")

        def by_seed(values: Values) -> Values:
            chosen = values[:, list(models)]
            return chosen if baseline is None else chosen - values[:, list(baseline)]

        check_question(name, self.point, confidence_level)
        point, draws, jackknifed = self._reduced(name, lambda values: by_seed(values).mean(1))
        seeds = by_seed(self.point[name][None])[0]
        return percentile(point, with_seeds(seeds, draws), jackknifed, confidence_level)

    def _interval(
        self,
        name: str,
        reduce: Callable[[Values], Values],
        confidence_level: float,
        method: IntervalMethod,
    ) -> Interval:
        if method not in INTERVAL_METHODS:
            raise UserError(
                f"there is no interval method '{short(method)}'; "
                f"{nearest(method, INTERVAL_METHODS)}"
            )
        check_question(name, self.point, confidence_level)
        return INTERVAL_METHODS[method](*self._reduced(name, reduce), confidence_level)

    def _reduced(
        self, name: str, reduce: Callable[[Values], Values]
    ) -> tuple[Values, Values, Jackknife]:
        """Point, draws and jackknife, with a function applied to values (B, R, ...)."""
        jackknifed = self.jackknife[name]
        return (
            reduce(self.point[name][None])[0],
            reduce(self.draws[name]),
            replace(jackknifed, values=reduce(jackknifed.values)),
        )


def bootstrap(
    sample: Sample,
    *,
    metrics: Measures | None = None,
    n_resamples: int = 10_000,
    random_state: int = 0,
    empty: Empty = "exclude",
) -> Bootstrap:
    """Bootstrap metrics of the counts for R models (exits, seeds) on the same samples.

    Args:
        sample: the labels and the models' predictions.
        metrics: names of `METRICS` (all by default), or name -> function of the margins
            (..., M, C) that returns (...) or more axes, such as `fairexit.metrics.tpr`.
        n_resamples: number of draws, B.
        random_state: seed of the draws.
        empty: value of a rate without samples, for metrics given by name; see
            `fairexit.metrics.rates`.
    Raises:
        UserError: an unknown metric, n_resamples < 1.
    """
    check_resamples(n_resamples)
    measures = named_measures([*METRICS] if metrics is None else metrics, empty)
    clusters = find_clusters(sample)
    rng = np.random.default_rng(random_state)
    point = measure(clusters, [clusters.number[None]], measures)
    resamples = resample(clusters.number, clusters.group, n_resamples, rng, width=clusters.width)
    return Bootstrap(
        {name: value[0] for name, value in point.items()},
        measure(clusters, resamples, measures),
        jackknife(clusters, measures),
    )


def bootstrap_scores(
    scores: Mapping[str, Callable[[Values], Values]],
    sample: Sample,
    *,
    n_resamples: int = 1000,
    random_state: int = 0,
) -> Bootstrap:
    """Bootstrap metrics of probabilities, such as AUROC, calibration error and Brier score.

    Args:
        scores: name -> function of sample weights (b, N) that returns (b, ...); for example
            `lambda w: auroc(probabilities, labels, w)`. The weights are 0 for samples of an
            unknown group.
        sample: N samples; their predicted classes are not used.
        n_resamples: number of draws, B.
        random_state: seed of the draws.
    Returns:
        Values with the axes that the functions return; `difference` compares along the first.
    Raises:
        UserError: n_resamples < 1.
    """
    check_resamples(n_resamples)
    groups = sample.groups
    known = groups != UNKNOWN
    index = cluster_index(sample.clusters[known])
    strata = common_group(index, groups[known].astype(np.int64), sample.num_groups)
    rng = np.random.default_rng(random_state)

    def measure_scores(chunks: Iterable[NDArray[Any]]) -> dict[str, Values]:
        values: dict[str, list[Values]] = {name: [] for name in scores}
        for times in chunks:
            weights = np.zeros((len(times), len(groups)))
            weights[:, known] = times[:, index]
            for name, score in scores.items():
                values[name].append(score(weights))
        return {name: np.concatenate(parts) for name, parts in values.items()}

    once = np.ones(len(strata), np.int64)
    block, block_strata = _blocks(strata, rng)
    left_out = deletions(len(block_strata), len(groups))
    jackknives = measure_scores((~out[:, block]).astype(float) for out in left_out)
    sizes = np.ones(len(block_strata), np.int64)
    return Bootstrap(
        {name: value[0] for name, value in measure_scores([once[None]]).items()},
        measure_scores(resample(once, strata, n_resamples, rng)),
        {name: Jackknife(v, sizes, block_strata, block_strata) for name, v in jackknives.items()},
    )


def _blocks(strata: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Assign clusters at random to at most `BLOCKS` blocks in each stratum.

    Args:
        strata: stratum of each cluster, (K,).
        rng: random generator.
    Returns:
        Block of each cluster, (K,), and stratum of each block.
    """
    block = np.empty_like(strata)
    block_strata: list[int] = []
    for stratum in np.unique(strata):
        members = rng.permutation(np.flatnonzero(strata == stratum))
        number = min(BLOCKS, len(members))
        block[members] = len(block_strata) + np.arange(len(members)) % number
        block_strata += [stratum] * number
    return block, np.array(block_strata)
