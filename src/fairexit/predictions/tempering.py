"""Temperatures: one number for each exit by which its logits are divided (Guo et al. 2017)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

SMALLEST = float(np.finfo(np.float32).tiny)
"""Probabilities below it count as this one: their logarithm is not known in single precision."""


def temper(probabilities: Array, temperature: float | Sequence[float]) -> NDArray[np.float32]:
    """Class probabilities after their logits are divided by a temperature: p^(1/T), normalised.

    A temperature above 1 makes them less sure. The order of the classes does not change, so neither
    does the answer. It is computed in double precision, so that stored predictions and a network's
    own agree after rounding.

    Args:
        probabilities: (..., C), or of every exit (..., E, C).
        temperature: above 0; one number, or one for each of E exits.
    """
    logs = log_probabilities(probabilities)
    scaled = logs / np.asarray(temperature, np.float64)[..., None]
    powers = np.exp(scaled - scaled.max(-1, keepdims=True))
    tempered: NDArray[np.float32] = (powers / powers.sum(-1, keepdims=True)).astype(np.float32)
    return tempered


def log_probabilities(probabilities: Array) -> NDArray[np.float64]:
    """Logarithms of class probabilities (..., C), which are logits up to a constant."""
    # The order of a sum depends on the layout of the array.
    p = np.ascontiguousarray(probabilities, np.float64)
    logs: NDArray[np.float64] = np.log(p.clip(SMALLEST))
    return logs
