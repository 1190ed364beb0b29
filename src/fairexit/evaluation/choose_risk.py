"""Choice of the cheapest threshold about which validation can promise something."""

from collections.abc import Sequence

import numpy as np

from fairexit.evaluation.choose import SHOWN, descending, describe, validation_of
from fairexit.evaluation.per_exit import AnyTheta
from fairexit.evaluation.policy import SINGLE_EXIT, Policy
from fairexit.evaluation.risk import GRID, RISK, Risk, certificate, try_thresholds
from fairexit.evaluation.theta import Fallback
from fairexit.evaluation.validation import N_RESAMPLES
from fairexit.metrics.rates import Empty
from fairexit.predictions.confidence import MAX_PROBABILITY
from fairexit.predictions.data import Predictions


def choose_by_risk(
    predictions: Predictions,
    group: str,
    risk: Risk,
    *,
    thetas: Sequence[float] = GRID,
    fallback: Fallback = "final",
    confidence_measure: str = MAX_PROBABILITY,
    empty: Empty = "exclude",
    costs: Sequence[float] | None = None,
) -> Policy:
    """Choose the cheapest threshold that keeps a promise on validation.

    Thresholds are tested from the largest on, and the first that fails ends the tests; the one
    before it is chosen. If the largest fails, every sample leaves at the final exit, which keeps
    any promise, and there is no certificate. Lower thresholds are not tested then, even if they
    would pass: that is what makes the promise hold without dividing delta among the thresholds.

    Args:
        predictions: rows of the split "val" only. They must not have been used to choose anything
            that the promise is about. In particular, epochs that were chosen on the same rows make
            it hold only nearly.
        group: name of the sensitive attribute.
        risk: the promise.
        thetas: the grid, each in (0, 1], written down before the rows are looked at.
        fallback: as for `select`.
        confidence_measure: what is compared with theta.
        empty: value of a rate without samples, see `fairexit.metrics.rates`.
        costs: cost of each exit, ascending, (E,); stored as shares of the full network's cost.
    Raises:
        UserError: as for `choose_theta`.
    """
    validation = validation_of(
        predictions,
        group,
        fallback=fallback,
        confidence_measure=confidence_measure,
        empty=empty,
        costs=costs,
    )
    if len(predictions.exit_names) == 1:
        return Policy(None, fallback, SINGLE_EXIT)
    grid = descending(thetas)
    candidates: list[AnyTheta] = [*grid, None]
    answers = validation.answers(candidates)
    tested = try_thresholds(risk, validation.samples, group, answers[:-1], resamples=N_RESAMPLES)
    shares = np.bincount(tested.draws % len(candidates), minlength=len(candidates)) / N_RESAMPLES
    depths = validation.depths(candidates)
    values = validation.values(answers, SHOWN)
    kept = tested.chosen is not None
    return Policy(
        grid[tested.chosen] if tested.chosen is not None else None,
        fallback,
        RISK,
        split="val",
        group=group,
        reason=tested.reason,
        candidates=tuple(describe(candidates, values, shares, depths=depths, costs=costs)),
        confidence_measure=confidence_measure,
        certificate=certificate(risk, validation.samples, group, tested, number=len(grid))
        if kept
        else None,
    )
