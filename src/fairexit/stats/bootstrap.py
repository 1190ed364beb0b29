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
from fairexit.stats.contrasts import Contrast, Reach, Terms, by_seed, check_terms
from fairexit.stats.intervals import (
    Interval,
    Jackknife,
    bca,
    check_question,
    deletions,
    jackknife,
    percentile,
)
from fairexit.stats.resampling import Measures, check_resamples, measure, named_measures, resample
from fairexit.stats.sample import Ints, Sample
from fairexit.stats.seeds import pool, seed_variance
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
        function = check_method(method)
        check_question(name, self.point, confidence_level)
        return function(self.point[name], self.draws[name], self.jackknife[name], confidence_level)

    def contrast(
        self,
        name: str,
        terms: Terms,
        rows: Sequence[Sequence[int]] = (),
        *,
        method: IntervalMethod = "bca",
    ) -> Contrast:
        """A weighted sum of models, mean over seeds, such as a method minus a baseline.

        Args:
            name: one of the measures that were drawn.
            terms: weights and models, see `fairexit.stats.contrasts.Terms`.
            rows: models of the rows over which the variance over seeds is pooled, one for each
                seed, see `fairexit.stats.seeds.pool`.
            method: of the interval over images, as for `interval`.
        Raises:
            UserError: an unknown name or method, or terms that do not fit together.
        """
        function = check_method(method)
        check_terms(terms)
        check_question(name, self.point)
        values, drawn_values, jackknifed = self.point[name], self.draws[name], self.jackknife[name]
        pooled = pool((values[list(row)], drawn_values[:, list(row)]) for row in rows)
        seeds, draws = by_seed(values[None], terms)[0], by_seed(drawn_values, terms)
        without = replace(jackknifed, values=by_seed(jackknifed.values, terms).mean(1))
        point, drawn = seeds.mean(0), draws.mean(1)

        def reach(level: float) -> Reach:
            _, low, high, _ = function(point, drawn, without, level)
            middle, half = (low + high) / 2, (high - low) / 2
            return Reach(middle, middle, half, half)

        def shifted(effect: float, sign: int) -> Values:
            return sign * effect + drawn - np.nanmean(drawn, axis=0)

        return Contrast(
            point,
            seed_variance(seeds, draws, pooled),
            np.isnan(draws).any(1).mean(0),
            reach,
            shifted,
        )


def check_method(method: str) -> Callable[[Values, Values, Jackknife, float], Interval]:
    """The function of an interval method.

    Raises:
        UserError: there is no method of this name.
    """
    if method not in INTERVAL_METHODS:
        raise UserError(
            f"there is no interval method '{short(method)}'; {nearest(method, INTERVAL_METHODS)}"
        )
    return INTERVAL_METHODS[method]


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
