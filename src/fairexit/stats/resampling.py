"""Draws of clusters, and the value of a metric in each draw."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from fairexit.errors import UserError
from fairexit.metrics.counts import Margins
from fairexit.metrics.rates import Empty, Values
from fairexit.metrics.record import METRICS, Metric
from fairexit.stats.clusters import Clusters
from fairexit.stats.sample import Ints

Measure = Callable[[Margins], Values]
Measures = Sequence[str] | Mapping[str, Measure]
CHUNK = 256
"""Number of draws that are processed together, fewer where a draw is large."""

LARGE = 2**23
"""How many numbers a chunk may hold in memory."""


def chunks(draws: int, width: int) -> Iterator[int]:
    """Sizes of the chunks in which to process draws of `width` numbers each."""
    most = max(1, min(CHUNK, LARGE // width))
    for start in range(0, draws, most):
        yield min(most, draws - start)


def resample(
    number: Ints, strata: Ints, draws: int, rng: np.random.Generator, *, width: int = 1
) -> Iterator[Ints]:
    """Draw clusters with replacement within each stratum.

    Args:
        number: clusters of each type, (T,).
        strata: stratum of each type, (T,).
        draws: number of draws, B.
        rng: random generator.
        width: how many numbers the caller holds in memory for one draw.
    Yields:
        How often each type occurs, in chunks of draws (b, T).
    """
    members = [np.flatnonzero(strata == h) for h in np.unique(strata)]
    held = [drawn_width(int(number[types].sum()), len(types)) for types in members]
    for rows in chunks(draws, max(width, *held)):
        times = np.empty((rows, len(number)), np.int64)
        for types in members:
            times[:, types] = draw_types(number[types], int(number[types].sum()), rows, rng)
        yield times


def draw_types(weights: Ints, size: int, rows: int, rng: np.random.Generator) -> Ints:
    """Draw `size` clusters with replacement, `rows` times.

    Args:
        weights: integer weight of each type, (T,).
        size: clusters in each draw.
        rows: number of draws.
        rng: random generator.
    Returns:
        How often each type occurs, (rows, T).
    """
    total = int(weights.sum())
    if drawn_width(size, len(weights)) < size:
        return rng.multinomial(size, weights / total, size=rows)
    type_of = np.repeat(np.arange(len(weights)), weights)
    drawn = type_of[rng.integers(0, total, (rows, size))]
    flat = drawn + np.arange(rows)[:, None] * len(weights)
    return np.bincount(flat.ravel(), minlength=rows * len(weights)).reshape(rows, -1)


def drawn_width(size: int, types: int) -> int:
    """How many numbers are drawn for `size` clusters of some types.

    One for each cluster or, with so many clusters that a multinomial is faster, for each type.
    """
    return types if size > 8 * types else size


def sum_margins(clusters: Clusters, times: NDArray[Any]) -> Margins:
    """The margins of draws of clusters.

    Args:
        clusters: T types.
        times: how often each type occurs in each draw, (B, T).
    Returns:
        Margins, each (B, R, M, C).
    """
    return as_margins(_product(times, clusters.contents), clusters)


def sum_regrouped(clusters: Clusters, times: NDArray[Any]) -> Margins:
    """The margins of draws in which clusters may have any group.

    Args:
        clusters: T types of U shapes.
        times: how often each shape occurs with each group in each draw, (B, U * M). Shapes with
            images of several groups keep these, whatever group they are drawn with.
    Returns:
        Margins, each (B, R, M, C).
    """
    m, parts = clusters.num_groups, 2 * len(clusters.answers) + 1
    cube = times.reshape(len(times), -1, m)
    several = clusters.group[clusters.examples] == m
    fixed = cube[:, several].sum(-1)
    if several.any():
        cube = np.where(several[:, None], 0, cube)
    by_group = np.ascontiguousarray(np.moveaxis(cube, 1, 2)).reshape(-1, cube.shape[1])
    by_part = _product(by_group, clusters.shape_contents).reshape(len(times), m, parts, -1)
    sums = np.moveaxis(by_part, 1, 2).reshape(len(times), -1)
    if several.any():
        sums = sums + _product(fixed, clusters.contents[clusters.examples[several]])
    return as_margins(sums, clusters)


def _product(times: NDArray[Any], contents: Any) -> NDArray[Any]:
    """Sums (B, W) of contents (T, W), as often as each occurs in a draw (B, T)."""
    if issparse(contents):
        return np.asarray((contents.T @ times.T).T)
    # Single precision is exact for integers up to 2^24, and twice as fast.
    whole = np.issubdtype(times.dtype, np.integer)
    is_small = whole and times.sum(1).max(initial=0) * contents.max(initial=0) < 2**24
    exact = np.float32 if is_small else np.float64
    product = times.astype(exact) @ contents.astype(exact, copy=False)
    return product.astype(times.dtype)


def as_margins(sums: NDArray[Any], clusters: Clusters) -> Margins:
    """Sums of contents (B, (2 R + 1) * M * C) as margins, each (B, R, M, C)."""
    r = len(clusters.answers)
    parts = sums.reshape(len(sums), 2 * r + 1, clusters.num_groups, clusters.num_classes)
    actual, hits, predicted = parts[:, :1], parts[:, 1 : r + 1], parts[:, r + 1 :]
    return Margins(hits, np.broadcast_to(actual, hits.shape), predicted)


def named_measures(metrics: Measures, empty: Empty = "exclude") -> dict[str, Measure]:
    """Names of `METRICS` as functions of the margins; functions are kept unchanged.

    Raises:
        UserError: an unknown name.
    """
    if isinstance(metrics, Mapping):
        return dict(metrics)

    def bind(record: Metric) -> Measure:
        return lambda margins: record(margins, empty)

    return {name: bind(METRICS[name]) for name in metrics}


def measure(
    clusters: Clusters, chunks: Iterable[NDArray[Any]], measures: Mapping[str, Measure]
) -> dict[str, Values]:
    """Every measure in every draw, name -> (B, R, ...)."""
    return measure_margins((sum_margins(clusters, times) for times in chunks), measures)


def measure_margins(
    chunks: Iterable[Margins], measures: Mapping[str, Measure]
) -> dict[str, Values]:
    """Every measure of chunks of margins, name -> (B, R, ...)."""
    values: dict[str, list[Values]] = {name: [] for name in measures}
    for margins in chunks:
        for name, function in measures.items():
            values[name].append(function(margins))
    return {name: np.concatenate(parts) for name, parts in values.items()}


def check_resamples(number: int) -> None:
    """Raise a UserError if the number of resamples is less than 1."""
    if number < 1:
        raise UserError(
            f"n_resamples is {number}; it must be at least 1, and 1000 or more for intervals"
        )
