"""Choice of the threshold on validation, and how stable the choice is."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError, short
from fairexit.evaluation.candidate import Candidate
from fairexit.evaluation.per_exit import AnyTheta, search_per_exit, standard_errors
from fairexit.evaluation.policy import SINGLE_EXIT, Policy
from fairexit.evaluation.rules import DEFAULT_GAP, ByF1, ByMetric, check_rule, paired_errors
from fairexit.evaluation.theta import Fallback, check_fallback, check_thetas, theta_name
from fairexit.evaluation.validation import Validation, usable
from fairexit.metrics.collapse import COLLAPSED
from fairexit.metrics.rates import Empty, Values
from fairexit.metrics.record import METRICS
from fairexit.predictions.confidence import MAX_PROBABILITY, check_confidence_measure
from fairexit.predictions.data import Predictions
from fairexit.types import UNKNOWN

GRID = (0.8, 0.85, 0.9, 0.95, 0.99, 0.999)
"""The thresholds of Chiu et al. 2023."""

DEFAULT_RULE = "f1"
"""The rule by which a threshold is chosen by default, see `choose_theta`."""

SHOWN = ("f1", "eopp1", "eodd")
"""Metrics that are stored of every candidate."""


def choose_theta(
    predictions: Predictions,
    group: str,
    *,
    thetas: Sequence[float] = GRID,
    per_exit: bool = False,
    rule: str = DEFAULT_RULE,
    tolerance: float = 0.01,
    fallback: Fallback = "final",
    confidence_measure: str = MAX_PROBABILITY,
    empty: Empty = "exclude",
    costs: Sequence[float] | None = None,
) -> Policy:
    """Choose the threshold of a grid on validation.

    The rule "f1" chooses the cheapest theta whose macro F1 (mean over groups) is at most
    `tolerance` below the best; a larger theta never costs less, and the final exit, theta None, is
    a candidate and costs most. A theta whose Eodd is lower than that of the cheapest one, by more
    than 1.64 standard errors of the difference on the same images, takes its place; of several the
    one with the lowest Eodd.

    Any other rule is the name of a metric. For a gap, such as "eodd", the threshold with the lowest
    gap is chosen among those whose macro F1 is at most `tolerance` below that of the final exit; if
    there is none, theta is None. For a metric that compares no groups, such as "accuracy", the
    threshold with the best value is chosen.

    A candidate with which one class has 99 % or more of the answers has no gap and means nothing:
    it is chosen only if there is no other, or if it is the final exit and no theta qualifies.

    Of equal thresholds, within rounding, the larger is chosen. The policy also holds what each
    candidate measures and how often the same rule chooses it in resamples of validation, in which
    clusters are drawn whole within groups. There the costs and the standard errors stay those of
    the whole validation set. The draws have a fixed seed.

    With `per_exit` the candidates are those that a greedy search of a theta for each exit tries,
    see `search_per_exit`. The search moves by the metrics on validation; whether a candidate is
    shown to be fairer is tested once, among all candidates, at 5 % together. Resamples choose among
    the same candidates, they do not search anew.

    Args:
        predictions: rows of the split "val" only.
        group: name of the sensitive attribute.
        thetas: the grid, each in (0, 1].
        per_exit: whether each internal exit gets a theta of its own.
        rule: "f1", or another key of `fairexit.metrics.METRICS`.
        tolerance: allowed loss of macro F1, for "f1" and for rules that are gaps.
        fallback: as for `select`.
        confidence_measure: what is compared with theta.
        empty: value of a rate without samples, see `fairexit.metrics.rates`.
        costs: cost of each exit, ascending, (E,); stored as shares of the full network's cost.
    Raises:
        UserError: rows belong to another split, the rule or confidence measure is unknown, a theta
            is out of range, the groups cannot be compared, or the number of costs is not that of
            the exits.
    """
    check_rule(rule)
    validation = validation_of(
        predictions,
        group,
        fallback=fallback,
        confidence_measure=confidence_measure,
        empty=empty,
        costs=costs,
    )
    num_exits = len(predictions.exit_names)
    if num_exits == 1:
        return Policy(None, fallback, SINGLE_EXIT)
    grid = descending(thetas)
    candidates: list[AnyTheta] = [*grid, None]
    if per_exit:
        candidates = _search(validation, grid, num_exits - 1, rule=rule, tolerance=tolerance)
    answers, depths = validation.answers(candidates), validation.depths(candidates)
    values, draws = validation.draws(answers, {*SHOWN, rule})
    _check_defined(DEFAULT_GAP if rule == "f1" else rule, values, group)
    chooser = _chooser(
        rule,
        candidates,
        tolerance,
        cost=depths.mean(1),
        errors=paired_errors(draws[DEFAULT_GAP]),
        usable=usable(answers),
    )
    number = len(draws[DEFAULT_GAP])
    picks = [chooser.choose({k: v[b] for k, v in draws.items()}) for b in range(number)]
    shares = np.bincount(picks, minlength=len(candidates)) / number
    return Policy(
        candidates[chooser.choose(values)],
        fallback,
        rule,
        tolerance,
        "val",
        group,
        chooser.reason(values) + _left_out(candidates, chooser.usable),
        tuple(describe(candidates, values, shares, depths=depths, costs=costs)),
        confidence_measure,
    )


def validation_of(
    predictions: Predictions,
    group: str,
    *,
    fallback: Fallback,
    confidence_measure: str,
    empty: Empty,
    costs: Sequence[float] | None,
) -> Validation:
    """The validation samples of known group; arguments and errors as for `choose_theta`."""
    _check_split(predictions)
    check_fallback(fallback)
    check_confidence_measure(confidence_measure)
    groups, _ = predictions.group(group)  # raises if the groups cannot be compared
    num_exits = len(predictions.exit_names)
    if costs is not None and len(costs) != num_exits:
        raise UserError(f"there are {len(costs)} exit costs, but {num_exits} exits")
    known = predictions.take(groups != UNKNOWN)
    return Validation(known, group, fallback, confidence_measure, empty)


def descending(thetas: Sequence[float]) -> list[float]:
    """A grid of thresholds without repetitions, the largest first."""
    values: list[float] = np.unique(check_thetas(thetas, np.float64))[::-1].tolist()
    return values


def _search(
    validation: Validation,
    grid: Sequence[float],
    num_exits: int,
    *,
    rule: str,
    tolerance: float,
) -> list[AnyTheta]:
    """The candidates of a search by exit; each is measured once.

    Args:
        validation: the samples.
        grid: the thetas.
        num_exits: number of internal exits.
        rule: as for `choose_theta`.
        tolerance: as for `choose_theta`.
    """
    measured: dict[AnyTheta, dict[str, Any]] = {}

    def choose(candidates: Sequence[AnyTheta]) -> int:
        if new := [theta for theta in candidates if theta not in measured]:
            answers = validation.answers(new)
            values: dict[str, NDArray[Any]] = {**validation.values(answers, {*SHOWN, rule})}
            values |= {"cost": validation.depths(new).mean(1), "usable": usable(answers)}
            for k, theta in enumerate(new):
                measured[theta] = {key: value[k] for key, value in values.items()}
        table = {key: np.array([measured[t][key] for t in candidates]) for key in measured[None]}
        cost, ok = table.pop("cost"), table.pop("usable")
        # Standard errors of 0 show nothing to be fairer.
        errors = np.zeros((len(candidates),) * 2)
        chooser = _chooser(rule, candidates, tolerance, cost=cost, errors=errors, usable=ok)
        return chooser.choose(table)

    return search_per_exit(grid, num_exits, choose)


def _chooser(
    rule: str,
    candidates: Sequence[AnyTheta],
    tolerance: float,
    *,
    cost: Values,
    errors: Values,
    usable: NDArray[np.bool_],
) -> ByF1 | ByMetric:
    """The rule of a name for K candidates; arguments as for `ByF1`."""
    if rule != "f1":
        return ByMetric(candidates, tolerance, rule, usable)
    z = standard_errors(candidates)
    return ByF1(candidates, tolerance, cost=cost, errors=errors, usable=usable, z=z)


def _left_out(candidates: Sequence[AnyTheta], usable: NDArray[np.bool_]) -> str:
    """Which candidates are left out because one class answers, as a clause; "" for none."""
    names = [theta_name(theta) for theta, ok in zip(candidates, usable, strict=True) if not ok]
    if not names:
        return ""
    share = f"one class has {100 * COLLAPSED:g} % or more of the answers"
    if len(names) == len(candidates):
        return f"; but with every candidate {share}"
    return f"; left out, because {share}: {', '.join(names)}"


def _check_split(predictions: Predictions) -> None:
    if predictions.splits != ["val"]:
        present = ", ".join(split or "no split" for split in predictions.splits)
        raise UserError(
            "a threshold is chosen only on rows of split 'val', but these rows are of: "
            f"{short(present)}"
        )


def _check_defined(name: str, values: Mapping[str, Values], group: str) -> None:
    if np.isnan(values[name]).any():
        raise UserError(
            f"{METRICS[name].label} of attribute '{group}' is not defined on validation, "
            "because no class occurs in two of its groups"
        )


def describe(
    thetas: Sequence[AnyTheta],
    values: Mapping[str, Values],
    shares: Values,
    *,
    depths: NDArray[np.int64],
    costs: Sequence[float] | None,
) -> Iterator[Candidate]:
    """The candidates as the policy stores them.

    Args:
        thetas: K candidates.
        values: metric name -> value of each, (K,).
        shares: share of the draws in which each is chosen, (K,).
        depths: up to which exit each sample is computed under each candidate, (K, N).
        costs: of the exits, (E,), or None.
    """
    last = depths.max()
    for k, theta in enumerate(thetas):
        metrics = {name: _plain(values[name][k]) for name in SHOWN}
        cost = None if costs is None else float(np.asarray(costs)[depths[k]].mean() / costs[-1])
        yield Candidate(
            theta, float(shares[k]), early=float((depths[k] < last).mean()), cost=cost, **metrics
        )


def _plain(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
