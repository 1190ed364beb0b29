"""Early exit in NumPy: each image's answer comes from the first exit that is confident enough."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError
from fairexit.evaluation.policy import Policy
from fairexit.evaluation.theta import exit_thetas
from fairexit.predictions.confidence import check_confidence_measure
from fairexit.predictions.tempering import temper
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


OnExit = Callable[[int, NDArray[np.int64], Floats], None]
"""Called at each exit with its index, the rows of the images still in, and their probabilities."""


class Traced(NamedTuple):
    """The answers for a batch, and what the exits before them said.

    Attributes:
        answers: the answers.
        exits: class probabilities at every exit, (B, E, C); NaN at those that an image did not
            reach.
    """

    answers: EarlyExit
    exits: Floats


def softmax(logits: Floats) -> Floats:
    """Class probabilities from logits (..., C)."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    shares: Floats = powers / powers.sum(-1, keepdims=True)
    return shares


def all_exits(images: Pass, num_exits: int) -> Floats:
    """Class probabilities of every exit, (B, E, C), of a pass that has just begun."""
    return np.stack([softmax(images.logits(number)) for number in range(num_exits)], axis=1)


class Rule(NamedTuple):
    """A policy in the form that is applied to each batch.

    Attributes:
        thresholds: of each exit, infinity where no image leaves, and minus infinity at the end.
        measure: class probabilities (..., C) to confidence (...).
        takes_best: whether the most confident exit answers if no threshold is reached.
        temperatures: of each exit; empty for none.
    """

    thresholds: list[float]
    measure: Callable[[Floats], Floats]
    takes_best: bool
    temperatures: tuple[float, ...] = ()

    @classmethod
    def of(cls, policy: Policy, num_exits: int) -> "Rule":
        """The rule of a policy for a network with E exits.

        Raises:
            UserError: there is not one threshold for each internal exit, or not one temperature
                for each exit.
        """
        temperatures = policy.temperature_values
        if temperatures and len(temperatures) != num_exits:
            raise UserError(f"there are {len(temperatures)} temperatures for {num_exits} exits")
        thresholds = exit_thetas(policy.theta, num_exits - 1).tolist()
        measure = check_confidence_measure(policy.confidence_measure).function
        takes_best = policy.fallback == "most_confident" and policy.theta is not None
        return cls([*thresholds, -np.inf], measure, takes_best, temperatures)


def early_exit(images: Pass, count: int, rule: Rule, on_exit: OnExit | None = None) -> EarlyExit:
    """Answer each image at the earliest exit whose confidence is at least the threshold.

    Args:
        images: a pass that has just begun.
        count: number of images B, at least 1.
        rule: the thresholds, and which exit answers if none is reached.
        on_exit: is called at each exit that is computed.
    Returns:
        One row per image, in their order.
    """
    rows = np.arange(count)
    answered: list[tuple[NDArray[np.int64], EarlyExit]] = []
    best: EarlyExit | None = None
    last = len(rule.thresholds) - 1
    for number, threshold in enumerate(rule.thresholds):
        probabilities = softmax(images.logits(number))
        if rule.temperatures:
            probabilities = temper(probabilities, rule.temperatures[number])
        confidence = rule.measure(probabilities)
        if on_exit is not None:
            on_exit(number, rows, probabilities)
        if number == last:
            final = EarlyExit(probabilities, np.full(len(rows), number), confidence)
            answered.append((rows, _more_confident(best, final)))
            break
        leaves = confidence >= threshold
        if rule.takes_best:
            current = EarlyExit(probabilities, np.full(len(rows), number), confidence)
            best = _more_confident(best, current)
        if not leaves.any():
            continue
        left = rows[leaves]
        exits = np.full(len(left), number)
        answered.append((left, EarlyExit(probabilities[leaves], exits, confidence[leaves])))
        if len(left) == len(rows):
            break
        remaining = np.flatnonzero(~leaves)
        images.keep(remaining)
        rows = rows[remaining]
        best = best and _pick(best, remaining)
    return _in_order(answered)


def _more_confident(earlier: EarlyExit | None, later: EarlyExit) -> EarlyExit:
    """For each image the more confident of two answers, the earlier one if they are equal."""
    if earlier is None:
        return later
    gains = later.confidence > earlier.confidence
    return EarlyExit(
        np.where(gains[:, None], later.probabilities, earlier.probabilities),
        np.where(gains, later.exit, earlier.exit),
        np.where(gains, later.confidence, earlier.confidence),
    )


def _pick(answers: EarlyExit, rows: NDArray[np.int64]) -> EarlyExit:
    """The answers of some images."""
    return EarlyExit._make(values[rows] for values in answers)


def _in_order(answered: list[tuple[NDArray[np.int64], EarlyExit]]) -> EarlyExit:
    """All answers, in the order in which the images came."""
    if len(answered) == 1:
        return answered[0][1]
    order = np.concatenate([rows for rows, _ in answered]).argsort()
    columns = zip(*(answers for _, answers in answered), strict=True)
    return EarlyExit._make(np.concatenate(column)[order] for column in columns)
