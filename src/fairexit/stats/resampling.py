"""Draws of clusters, and the value of a metric in each draw."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def resample(number: Ints, strata: Ints, draws: int, rng: np.random.Generator) -> Iterator[Ints]:
    """Draw clusters with replacement within each stratum.

    Args:
        number: clusters of each type, (T,).
        strata: stratum of each type, (T,).
        draws: number of draws, B.
        rng: random generator.
    Yields:
        How often each type occurs, in chunks of draws (b, T).
    """
    members = [np.flatnonzero(strata == h) for h in np.unique(strata)]
    for rows in chunks(draws, int(number.sum())):
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
    if size > 8 * len(weights):  # with so many clusters, a multinomial over types is faster
        return rng.multinomial(size, weights / total, size=rows)
    type_of = np.repeat(np.arange(len(weights)), weights)
    drawn = type_of[rng.integers(0, total, (rows, size))]
    flat = drawn + np.arange(rows)[:, None] * len(weights)
    return np.bincount(flat.ravel(), minlength=rows * len(weights)).reshape(rows, -1)


def sum_margins(clusters: Clusters, times: NDArray[Any]) -> Margins:
    """The margins of draws of clusters.

    Args:
        clusters: T types.
        times: how often each type occurs in each draw, (B, T).
    Returns:
        Margins, each (B, R, M, C).
    """
    c, m, r = clusters.num_classes, clusters.num_groups, len(clusters.answers)
    if clusters.is_narrow:
        # With few cells a matrix product is fast; float32 is exact for integers up to 2^24.
        exact = np.float32 if np.issubdtype(times.dtype, np.integer) else times.dtype
        contents = clusters.contents.reshape(len(clusters.number), -1).astype(exact, copy=False)
        sums = (times.astype(exact) @ contents).astype(times.dtype).reshape(-1, 2 * r + 1, m, c)
        actual, hits, predicted = sums[:, :1], sums[:, 1 : r + 1], sums[:, r + 1 :]
        return Margins(hits, np.broadcast_to(actual, hits.shape), predicted)
    by_type = np.ascontiguousarray(times.T)

    def total(cells: Ints, images: Any = slice(None)) -> NDArray[Any]:
        order = np.argsort(cells[images], kind="stable")
        occupied, first = np.unique(cells[images][order], return_index=True)
        sums = np.zeros((m * c, times.shape[0]), times.dtype)
        if len(occupied):
            sums[occupied] = np.add.reduceat(by_type[clusters.owner[images][order]], first, axis=0)
        return sums.T.reshape(-1, m, c)

    base = clusters.groups * c
    actual = base + clusters.labels
    hits = np.stack([total(actual, row == clusters.labels) for row in clusters.answers], 1)
    predicted = np.stack([total(base + row) for row in clusters.answers], 1)
    return Margins(hits, np.broadcast_to(total(actual)[:, None], hits.shape), predicted)


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
