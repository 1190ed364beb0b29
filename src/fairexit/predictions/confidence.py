"""Confidence measures: how sure an exit is of its answer, by name.

Each is computed by one NumPy function, for stored predictions and within a network alike, so that
a sample leaves at the same exit in both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError, nearest, option, short

MAX_PROBABILITY = "max_probability"
"""The measure of Chiu et al. 2023, and the default."""

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class ConfidenceMeasure:
    """A confidence measure; the larger, the surer.

    Attributes:
        name: its key in options and files.
        label: its name in text.
        function: class probabilities (..., C) -> confidence (...), at most 1, of the same type.
        lowest: number of classes -> its smallest value, which equal probabilities have.
    """

    name: str
    label: str
    function: Callable[[Array], Array]
    lowest: Callable[[int], float]


def max_probability(probabilities: Array) -> Array:
    """The largest probability, from 1 / C to 1."""
    largest: Array = probabilities.max(-1)
    return largest


def margin(probabilities: Array) -> Array:
    """The largest probability minus the second largest, from 0 to 1."""
    two = np.partition(probabilities, -2, axis=-1)[..., -2:]
    difference: Array = two[..., 1] - two[..., 0]
    return difference


def entropy(probabilities: Array) -> Array:
    """One minus the entropy as a share of its maximum log C, from 0 to 1.

    It is computed in double precision, so that the order of the sum does not matter after rounding.
    """
    # The order of a sum depends on the layout of the array.
    p = np.ascontiguousarray(probabilities, np.float64)
    logs = np.log(p, where=p > 0, out=np.zeros_like(p))
    share = -(p * logs).sum(-1) / np.log(probabilities.shape[-1])
    # Rounded tables may sum to slightly more or less than 1.
    confidence: Array = (1 - share).clip(0, 1).astype(probabilities.dtype)
    return confidence


CONFIDENCE_MEASURES = {
    measure.name: measure
    for measure in (
        ConfidenceMeasure(
            MAX_PROBABILITY, "the largest probability", max_probability, lambda classes: 1 / classes
        ),
        ConfidenceMeasure(
            "margin", "the largest minus the second largest probability", margin, lambda _: 0.0
        ),
        ConfidenceMeasure("entropy", "one minus the normalised entropy", entropy, lambda _: 0.0),
    )
}
"""Every confidence measure by name."""


def check_confidence_measure(name: str) -> ConfidenceMeasure:
    """The confidence measure of a name.

    Raises:
        UserError: there is no such measure.
    """
    if name not in CONFIDENCE_MEASURES:
        raise UserError(
            f"{option('confidence_measure')} is '{short(name)}'; "
            f"{nearest(name, CONFIDENCE_MEASURES)}"
        )
    return CONFIDENCE_MEASURES[name]
