"""Early exit in NumPy: each image's answer comes from the first exit that is confident enough."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fairexit.evaluation.policy import Policy
from fairexit.evaluation.theta import exit_thetas
from fairexit.predictions.confidence import check_confidence_measure
from fairexit.runtime.graphs import Floats, Pass


class EarlyExit(NamedTuple):
    """The answers for a batch.

    Attributes:
        probabilities: class probabilities at the exit that answers, (B, C).
        exit: index of that exit, from 0, the final one last, (B,).
        confidence: what the policy compares with theta, (B,).
    """

    probabilities: Floats
    exit: NDArray[np.int64]
    confidence: Floats


def softmax(logits: Floats) -> Floats:
    """Class probabilities from logits (..., C)."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    shares: Floats = powers / powers.sum(-1, keepdims=True)
    return shares


def all_exits(images: Pass, num_exits: int) -> Floats:
    """Class probabilities of every exit, (B, E, C), of a pass that has just begun."""
    return np.stack([softmax(images.logits(number)) for number in range(num_exits)], axis=1)


def early_exit(images: Pass, count: int, num_exits: int, policy: Policy) -> EarlyExit:
    """Answer each image at the earliest exit whose confidence is at least the threshold.

    Args:
        images: a pass that has just begun.
        count: number of images B, at least 1.
        num_exits: number of exits E, the final one included.
        policy: the thresholds, and which exit answers if none is reached.
    Returns:
        One row per image, in their order.
    """
    thresholds = exit_thetas(policy.theta, num_exits - 1)
    measure = check_confidence_measure(policy.confidence_measure).function
    exits, confidence = np.zeros(count, np.int64), np.zeros(count, np.float32)
    probabilities: Any = None
    rows = np.arange(count)
    for number in range(num_exits):
        current = softmax(images.logits(number))
        sure = measure(current)
        if probabilities is None:
            probabilities = np.empty((count, current.shape[1]), np.float32)
        is_final = number == num_exits - 1
        leaves = np.full(len(rows), True) if is_final else sure >= thresholds[number]
        # The most confident exit so far answers for images that reach no threshold.
        answers = leaves
        if policy.fallback == "most_confident" and policy.theta is not None:
            is_first = number == 0
            answers = (leaves & (not is_final)) | (sure > confidence[rows]) | is_first
        written = rows[answers]
        exits[written], confidence[written] = number, sure[answers]
        probabilities[written] = current[answers]
        remaining = np.flatnonzero(~leaves)
        if not len(remaining):
            break
        if len(remaining) < len(rows):
            images.keep(remaining)
            rows = rows[remaining]
    return EarlyExit(probabilities, exits, confidence)
