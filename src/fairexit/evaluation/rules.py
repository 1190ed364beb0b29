"""Rules that choose one of several options (thresholds, trials) by their measured values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError, nearest, option, short
from fairexit.evaluation.theta import Theta, theta_name
from fairexit.metrics.rates import Values
from fairexit.metrics.record import METRICS, Metric

DEFAULT_GAP = "eodd"
"""The gap that decides where no other metric is named."""

ROUNDING = 1e-12
"""Difference up to which two values are equal."""

Z = 1.64
"""Standard errors that a difference must exceed to be shown: 5 % of a normal curve, one-sided."""


def check_rule(rule: str) -> Metric:
    """The metric by which a rule chooses.

    Raises:
        UserError: there is no metric of this name.
    """
    if rule not in METRICS:
        raise UserError(f"{option('rule')} is '{short(rule)}'; {nearest(rule, METRICS)}")
    return METRICS[rule]


def best_option(metric: Metric, values: Values, f1: Values, min_f1: float) -> int | None:
    """The best of several options (epochs, thresholds, trials) by a metric.

    For a gap this is the lowest value among the options whose macro F1 is at least `min_f1`,
    because a network that predicts the same class for every sample has no gap. For any other metric
    it is the best value. Of equal options, within rounding, the first is returned.

    Args:
        metric: the metric that decides.
        values: value of the metric for each option, (K,); an option with NaN is never chosen.
        f1: macro F1 of each option, (K,).
        min_f1: the smallest F1 allowed, for metrics that are gaps.
    Returns:
        Index of the option, or None if no option qualifies.
    """
    allowed = f1 >= min_f1 - ROUNDING if metric.compares_groups else np.ones(len(values), bool)
    allowed &= ~np.isnan(values)
    if not allowed.any():
        return None
    return _lowest(-values if metric.higher_is_better else values, allowed)


def cheapest_or_fairer(
    f1: Values, gap: Values, *, errors: Values, cost: Values, tolerance: float, z: float = Z
) -> tuple[int, int]:
    """The cheapest option with nearly the best F1, or one that is shown to be fairer than that.

    Allowed are the options whose macro F1 is at most `tolerance` below the best. An allowed option
    is shown to be fairer than the cheapest one if its gap is lower by more than `z` standard errors
    of the paired difference; of several the one with the lowest gap is chosen. A standard error of
    0 shows nothing: the resamples did not vary. Of equal options, within rounding, the first is
    chosen.

    Args:
        f1: macro F1 of each option, (K,).
        gap: a gap between groups, (K,); nothing is shown of an option with NaN.
        errors: standard error of the difference of each two gaps, (K, K).
        cost: what an image costs, (K,).
        tolerance: allowed loss of macro F1.
        z: standard errors that a lower gap must exceed.
    Returns:
        Index of the chosen option, and of the cheapest allowed one.
    """
    allowed = f1 >= f1.max() - tolerance - ROUNDING
    cheapest = _lowest(cost, allowed)
    error = errors[cheapest]
    lead = gap[cheapest] - gap
    fairer = allowed & (lead > np.maximum(z * error, ROUNDING)) & (error > ROUNDING)
    return (_lowest(gap, fairer) if fairer.any() else cheapest), cheapest


def paired_errors(draws: Values) -> Values:
    """Standard errors of the difference of each two options, (K, K), from the same draws of both.

    Args:
        draws: value of each option in each draw, (B, K); draws with NaN are left out.
    Returns:
        Standard deviations over the draws; NaN if fewer than two draws are left.
    """
    draws = draws[~np.isnan(draws).any(1)]
    if len(draws) < 2:
        return np.full((draws.shape[1], draws.shape[1]), np.nan)
    return np.stack([(draws - column[:, None]).std(0, ddof=1) for column in draws.T])


@dataclass(frozen=True, eq=False)
class ByF1:
    """The rule "f1"; arguments as for `cheapest_or_fairer`.

    Candidates that are not `usable`, (K,), are chosen only if none is.
    """

    thetas: Sequence[Theta | None]
    tolerance: float
    cost: Values
    errors: Values
    usable: NDArray[np.bool_]
    z: float = Z

    def _pair(self, values: Mapping[str, Values]) -> tuple[int, int]:
        return cheapest_or_fairer(
            self._f1(values),
            values[DEFAULT_GAP],
            errors=self.errors,
            cost=self.cost,
            tolerance=self.tolerance,
            z=self.z,
        )

    def _f1(self, values: Mapping[str, Values]) -> Values:
        """Macro F1, minus infinity where a candidate is not usable but others are."""
        return np.where(self.usable | ~self.usable.any(), values["f1"], -np.inf)

    def choose(self, values: Mapping[str, Values]) -> int:
        """Index of the chosen candidate by the values of all, (K,)."""
        return self._pair(values)[0]

    def reason(self, values: Mapping[str, Values]) -> str:
        """Why this candidate is chosen, as a clause."""
        chosen, cheapest = self._pair(values)
        gap = values[DEFAULT_GAP]
        close = f"F1 is within {self.tolerance:g} of the best"
        if chosen != cheapest:
            lead = gap[cheapest] - gap[chosen]
            return (
                f"{METRICS[DEFAULT_GAP].label} of {theta_name(self.thetas[chosen])} is {lead:.4f} "
                f"lower than that of {theta_name(self.thetas[cheapest])}, the cheapest whose "
                f"{close}; the difference is {lead / self.errors[cheapest, chosen]:.1f} of its "
                "standard errors"
            )
        f1 = self._f1(values)
        if (f1 >= f1.max() - self.tolerance - ROUNDING).sum() == 1:
            return f"{theta_name(self.thetas[chosen])} is the only candidate whose {close}"
        return (
            f"no theta is shown to be fairer; {theta_name(self.thetas[chosen])} is the cheapest "
            f"whose {close}"
        )


@dataclass(frozen=True, eq=False)
class ByMetric:
    """A rule that is the name of a metric; thetas that are not `usable`, (K,), are never chosen."""

    thetas: Sequence[Theta | None]
    tolerance: float
    rule: str
    usable: NDArray[np.bool_]

    def choose(self, values: Mapping[str, Values]) -> int:
        """Index of the chosen candidate by the values of all, (K,); the last is the final exit."""
        f1, final = values["f1"], len(self.thetas) - 1
        compared = np.where(self.usable, values[self.rule], np.nan)[:-1]
        best = best_option(METRICS[self.rule], compared, f1[:-1], f1[-1] - self.tolerance)
        return final if best is None else best

    def reason(self, values: Mapping[str, Values]) -> str:
        """Why this candidate is chosen, as a clause."""
        theta, metric = self.thetas[self.choose(values)], METRICS[self.rule]
        limit = f"F1 is at most {self.tolerance:g} below that of the final exit"
        if theta is None:
            return f"there is no theta whose {limit}"
        if metric.compares_groups:
            return f"{theta_name(theta)} has the lowest {metric.label} of the thetas whose {limit}"
        return f"{theta_name(theta)} has the best {metric.label} of all thetas"


def _lowest(values: Values, allowed: NDArray[np.bool_]) -> int:
    """Index of the lowest allowed value; of equal values, within rounding, the first."""
    candidates = np.flatnonzero(allowed)
    ranked = values[candidates]
    return int(candidates[np.argmax(ranked <= ranked.min() + ROUNDING)])
