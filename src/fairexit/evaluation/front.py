"""The front: the candidates that no other one surpasses."""

import numpy as np
from numpy.typing import NDArray

from fairexit.evaluation.rules import ROUNDING
from fairexit.metrics.rates import Values

BLOCK = 2_000
"""Candidates of which the front is found first, so that few are compared with all others."""


def front_of(values: Values, usable: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The candidates that no other one equals or surpasses in everything.

    Of candidates that are equal in everything, within rounding, the first belongs to the front.

    Args:
        values: of K candidates in D respects, more is better, (K, D); NaN in any keeps a candidate
            out.
        usable: the candidates that take part, (K,).
    Returns:
        Indices in ascending order.
    """
    rounded = np.round(values / ROUNDING) * ROUNDING
    left = np.flatnonzero(usable & ~np.isnan(values).any(1))
    blocks = [_front(rounded, left[i : i + BLOCK]) for i in range(0, len(left), BLOCK)]
    return np.sort(_front(rounded, np.concatenate([left[:0], *blocks])))


def _front(rounded: Values, left: NDArray[np.int64]) -> NDArray[np.int64]:
    """The front of the candidates `left`, whose order decides between equals."""
    # What is best in the sum is surpassed by nothing, and surpasses most.
    left = left[np.argsort(-rounded[left].sum(1), kind="stable")]
    columns = np.ascontiguousarray(rounded[left].T)
    front = []
    while len(left):
        front.append(left[0])
        kept = (columns > columns[:, :1]).any(0)
        left, columns = left[kept], columns[:, kept]
    return np.array(front, np.int64)


def spread_out(values: Values, most: int) -> list[int]:
    """At most `most` of K candidates that cover all: each is the farthest from those before it.

    Args:
        values: (K, D), which are scaled to one range; the first candidate has the best of the first
            column, where more is better.
        most: how many are taken.
    """
    extent = np.ptp(values, axis=0)
    scaled = values / np.where(extent > 0, extent, 1)
    chosen = [int(values[:, 0].argmax())]
    distance = np.full(len(values), np.inf)
    while len(chosen) < min(most, len(values)):
        distance = np.minimum(distance, np.abs(scaled - scaled[chosen[-1]]).sum(1))
        chosen.append(int(distance.argmax()))
    return chosen


def thinned(order: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most `most` of some indices, evenly spaced and with both ends."""
    if len(order) <= most:
        return order
    return order[np.linspace(0, len(order) - 1, most).round().astype(np.int64)]
