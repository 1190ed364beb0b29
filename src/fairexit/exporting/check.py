"""The check of an exported model against PyTorch on validation images."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fairexit.data.prepared import Prepared
from fairexit.errors import UserError, short
from fairexit.evaluation.policy import Policy
from fairexit.evaluation.thresholds import answering_exits
from fairexit.inference.exported import over_batches
from fairexit.predictions.data import Predictions
from fairexit.runtime.early_exit import Rule, all_exits, early_exit
from fairexit.runtime.graphs import Floats, Pass

TOLERANCE = 1e-4
"""Largest difference between two probabilities that are taken for the same."""

Begin = Callable[[NDArray[np.uint8]], Pass]


class Answered(NamedTuple):
    """What an exported model answers for N images.

    Attributes:
        probabilities: of every exit, (N, E, C).
        exits: index of the exit that answers under the policy, computed with early exit, (N,).
        chosen: the probabilities at that exit, (N, C).
    """

    probabilities: Floats
    exits: NDArray[np.int64]
    chosen: Floats


def answer(
    begin: Begin, num_exits: int, policy: Policy, *, data: Prepared, rows: NDArray[np.int64]
) -> Answered:
    """All exits' probabilities and the policy's answers for rows of prepared data.

    Args:
        begin: begins a pass of images (B, size, size, 3) through the model.
        num_exits: number of exits E.
        policy: the policy.
        data: the data.
        rows: row numbers, (N,).
    """

    rule = Rule.of(policy, num_exits)

    def both(pixels: NDArray[np.uint8]) -> tuple[Floats, NDArray[np.int64], Floats]:
        early = early_exit(begin(pixels), len(pixels), rule)
        return all_exits(begin(pixels), num_exits), early.exit, early.probabilities

    batches = over_batches(both, data, rows, description="checking the export")
    return Answered(*map(np.concatenate, zip(*batches, strict=True)))


def check_same(answered: Answered, expected: Predictions, policy: Policy) -> float:
    """Check that an exported model answers as PyTorch does.

    Args:
        answered: what the exported model answers.
        expected: what PyTorch answers for the same images.
        policy: the policy.
    Returns:
        The largest difference between two probabilities.
    Raises:
        UserError: a probability differs by more than TOLERANCE, or an image leaves at another exit.
    """
    tempered = expected.tempered(policy.temperature_values)
    exits, chosen = answering_exits(tempered, policy), tempered.probabilities_at(answered.exits)
    assert expected.probabilities is not None
    assert chosen is not None
    gaps = np.maximum(
        np.abs(answered.probabilities - expected.probabilities).max((1, 2)),
        np.abs(answered.chosen - chosen).max(1),
    )
    largest = float(gaps.max())
    if not largest <= TOLERANCE:
        wrong = int((~(gaps <= TOLERANCE)).sum())
        raise UserError(
            f"the exported model's probabilities differ from PyTorch's by up to {largest:.2g} "
            f"(allowed: {TOLERANCE:g}) on {wrong} of {len(expected)} validation images; nothing "
            "was written"
        )
    other = exits != answered.exits
    if other.any():
        raise UserError(
            f"{int(other.sum())} of {len(expected)} validation images leave at another exit in the "
            f"exported model, such as '{short(expected.ids[other][0])}', as their confidence lies "
            f"within {largest:.2g} of the threshold; choose a slightly different one with "
            "`fairexit evaluate`; nothing was written"
        )
    return largest
