"""Choice of the threshold on validation, and how stable the choice is."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError, short
from fairexit.evaluation.policy import (
    Candidate,
    Fallback,
    Policy,
    check_fallback,
    check_theta,
    theta_name,
)
from fairexit.evaluation.rules import (
    DEFAULT_GAP,
    ByF1,
    ByMetric,
    check_rule,
    paired_errors,
)
from fairexit.evaluation.thresholds import select
from fairexit.metrics.collapse import COLLAPSED
from fairexit.metrics.rates import Empty, Values
from fairexit.metrics.record import METRICS
from fairexit.predictions.data import Predictions
from fairexit.stats.clusters import find_clusters
from fairexit.stats.resampling import measure, named_measures, resample
from fairexit.stats.sample import Sample
from fairexit.types import UNKNOWN

GRID = (0.8, 0.85, 0.9, 0.95, 0.99, 0.999)
"""The thresholds of Chiu et al. 2023."""

DEFAULT_RULE = "f1"
"""The rule by which a threshold is chosen by default, see `choose_theta`."""

N_RESAMPLES = 400
"""Draws of validation behind standard errors and stability: errors are known to within 4 %."""

SHOWN = ("f1", "eopp1", "eodd")
"""Metrics that are stored of every candidate."""


def choose_theta(
    predictions: Predictions,
    group: str,
    *,
    thetas: Sequence[float] = GRID,
    rule: str = DEFAULT_RULE,
    tolerance: float = 0.01,
    fallback: Fallback = "final",
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

    Args:
        predictions: rows of the split "val" only.
        group: name of the sensitive attribute.
        thetas: the grid, each in (0, 1].
        rule: "f1", or another key of `fairexit.metrics.METRICS`.
        tolerance: allowed loss of macro F1, for "f1" and for rules that are gaps.
        fallback: as for `select`.
        empty: value of a rate without samples, see `fairexit.metrics.rates`.
        costs: cost of each exit, ascending, (E,); stored as shares of the full network's cost.
    Raises:
        UserError: rows belong to another split, the rule is unknown, a theta is out of range, the
            groups cannot be compared, or the number of costs is not that of the exits.
    """
    _check_split(predictions)
    check_rule(rule)
    check_fallback(fallback)
    groups, _ = predictions.group(group)  # raises if the groups cannot be compared
    number = len(predictions.exit_names)
    if number == 1:
        return Policy(None, fallback, "single exit")
    if costs is not None and len(costs) != number:
        raise UserError(f"there are {len(costs)} exit costs, but {number} exits")
    grid = np.unique(check_theta(thetas, np.float64))[::-1]
    candidates: list[float | None] = [*grid.tolist(), None]
    known = predictions.take(groups != UNKNOWN)
    # Until an exit is confident every exit is computed, whichever answers in the end.
    depths = np.stack([select(known.confidence, theta) for theta in candidates])
    answers = [known.answers_at(select(known.confidence, theta, fallback)) for theta in candidates]
    values, draws = _measure(known, group, np.stack(answers), names={*SHOWN, rule}, empty=empty)
    _check_defined(DEFAULT_GAP if rule == "f1" else rule, values, group)
    errors = paired_errors(draws[DEFAULT_GAP])
    usable = np.array([_main_share(answer) < COLLAPSED for answer in answers])
    chooser = (
        ByF1(candidates, tolerance, cost=depths.mean(1), errors=errors, usable=usable)
        if rule == "f1"
        else ByMetric(candidates, tolerance, rule, usable)
    )
    picks = [chooser.choose({k: v[b] for k, v in draws.items()}) for b in range(N_RESAMPLES)]
    shares = np.bincount(picks, minlength=len(candidates)) / N_RESAMPLES
    return Policy(
        candidates[chooser.choose(values)],
        fallback,
        rule,
        tolerance,
        "val",
        group,
        chooser.reason(values) + _left_out(candidates, usable),
        tuple(_candidates(candidates, values, shares, depths=depths, costs=costs)),
    )


def _main_share(answers: NDArray[np.int64]) -> float:
    """The largest share of answers (N,) that one class has; 0 without any."""
    return float(np.bincount(answers).max() / len(answers)) if len(answers) else 0.0


def _left_out(candidates: Sequence[float | None], usable: NDArray[np.bool_]) -> str:
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


def _measure(
    known: Predictions, group: str, answers: NDArray[np.int64], *, names: set[str], empty: Empty
) -> tuple[dict[str, Values], dict[str, Values]]:
    """Metrics of K candidates, (K,), and in each of B draws of whole clusters, (B, K).

    Args:
        known: N samples of known group.
        group: name of the sensitive attribute.
        answers: predicted classes under each candidate, (K, N).
        names: of the metrics.
        empty: as for `choose_theta`.
    """
    sample = Sample(
        labels=known.labels,
        answers=answers,
        groups=known.attributes[group],
        clusters=known.clusters,
        num_classes=len(known.classes),
        num_groups=len(known.group_names[group]),
    )
    clusters, measures = find_clusters(sample), named_measures(sorted(names), empty)
    rng = np.random.default_rng(0)
    draws = resample(clusters.number, clusters.group, N_RESAMPLES, rng, width=clusters.width)
    values = measure(clusters, [clusters.number[None]], measures)
    return {name: value[0] for name, value in values.items()}, measure(clusters, draws, measures)


def _candidates(
    thetas: Sequence[float | None],
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
