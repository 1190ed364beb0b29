"""Search of a theta for each internal exit."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import ndtri

from fairexit.evaluation.candidate import ExitThetas
from fairexit.evaluation.rules import Z

AnyTheta = float | ExitThetas | None

LEVEL = 0.05
"""Probability that any candidate of equal fairness is called fairer, at most."""


def search_per_exit(
    grid: Sequence[float], num_exits: int, choose: Callable[[Sequence[AnyTheta]], int]
) -> list[AnyTheta]:
    """Greedy coordinate search of a theta for each exit.

    It starts with each theta of the grid for all exits. Then one exit after the other tries every
    theta of the grid, and none, while the other exits keep those of the best candidate so far.
    After each exit the best of all candidates tried so far is chosen anew. The search ends when a
    pass over the exits has nothing new to try. It tries about (E - 1) T candidates in a pass where
    all combinations are (T + 1)^(E - 1), so that it may miss the best combination.

    Args:
        grid: T thetas.
        num_exits: number of internal exits, E - 1.
        choose: index of the best of several candidates, which are ordered as the result.
    Returns:
        All candidates that were tried: single thetas, the largest first, then thetas by exit, and
        the final exit, None, last.
    """
    options = [*grid, None]
    tried = {_plain((theta,) * num_exits) for theta in options}

    def best() -> ExitThetas:
        candidates = _ordered(tried)
        theta = candidates[choose(candidates)]
        return theta if isinstance(theta, tuple) else (theta,) * num_exits

    current, before = best(), 0
    while len(tried) > before:
        before = len(tried)
        for k in range(num_exits):
            tried |= {_plain((*current[:k], theta, *current[k + 1 :])) for theta in options}
            current = best()
    return _ordered(tried)


def standard_errors(candidates: Sequence[AnyTheta]) -> float:
    """Standard errors by which a gap must be lower to be shown to be fairer.

    Thetas of a grid are each compared at 5 %. A search by exit has many more candidates, which are
    compared at 5 % together, by Bonferroni's correction.
    """
    if not any(isinstance(theta, tuple) for theta in candidates):
        return Z
    return float(ndtri(1 - LEVEL / (len(candidates) - 1)))


def _plain(thetas: ExitThetas) -> AnyTheta:
    """A single theta, or None, in place of equal ones."""
    return thetas[0] if len(set(thetas)) == 1 else thetas


def _ordered(candidates: set[AnyTheta]) -> list[AnyTheta]:
    def key(theta: AnyTheta) -> tuple[int, list[float]]:
        kind = 2 if theta is None else int(isinstance(theta, tuple))
        values = theta if isinstance(theta, tuple) else (theta,)
        return kind, [-np.inf if value is None else -value for value in values]

    return sorted(candidates, key=key)
