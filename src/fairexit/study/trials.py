"""Trials of a hyper-parameter search: the settings that are searched, and which trial is best."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml

from fairexit.errors import UserError, option, short
from fairexit.evaluation.rules import DEFAULT_GAP, best_option, check_rule
from fairexit.report.vocabulary import metric_name
from fairexit.tables import Table, number


@dataclass(frozen=True)
class Axis:
    """A setting that is searched.

    Attributes:
        key: name of the setting, such as `method.weight`.
        values: the values to try, or the two ends of a range.
        log: whether a range is searched on a logarithmic scale; None where the values are a list.
    """

    key: str
    values: tuple[Any, ...]
    log: bool | None = None


@dataclass(frozen=True)
class Trial:
    """The settings of one trial and its metrics on validation.

    Attributes:
        number: counted from 0.
        settings: key -> value of the settings that are searched.
        values: metric -> value; NaN where the training diverged.
    """

    number: int
    settings: dict[str, Any]
    values: dict[str, float]

    @property
    def diverged(self) -> bool:
        """Whether the loss of the training was no longer finite."""
        return math.isnan(self.values["f1"])


def criteria(rule: str) -> tuple[str, str]:
    """The two metrics that a search optimises: macro F1, and the rule's gap or the default one."""
    return "f1", DEFAULT_GAP if rule == "f1" else rule


def parse_axis(text: str) -> Axis:
    """Parse `method.weight=0.01:100:log`, `prune.ratio=0.1:0.5` or `train.lr=0.01,0.03`.

    Raises:
        UserError: the text has none of these forms.

    >>> parse_axis("method.weight=0.01:100:log")
    Axis(key='method.weight', values=(0.01, 100.0), log=True)
    """
    key, equals, rest = text.partition("=")
    try:
        if not equals or not key or not rest:
            raise ValueError
        if ":" not in rest:
            return Axis(key, tuple(yaml.safe_load(part) for part in rest.split(",")))
        first, second, *kind = rest.split(":")
        low, high = float(first), float(second)
        if kind not in ([], ["log"]) or not low < high < math.inf or (kind and not low > 0):
            raise ValueError
        return Axis(key, (low, high), bool(kind))
    except (ValueError, yaml.YAMLError):
        raise UserError(
            f"{option('axes')} {short(text)}: write KEY=LOW:HIGH, KEY=LOW:HIGH:log or KEY=A,B,C, "
            "with LOW below HIGH"
        ) from None


def best_trial(trials: Sequence[Trial], rule: str, tolerance: float) -> Trial:
    """The best trial by a rule; among equals the first.

    Args:
        trials: those that were made; trials that diverged are never the best.
        rule: a metric's name. For a gap such as "eodd", the lowest value among the trials whose
            macro F1 is at most `tolerance` below the highest; for others such as "f1", the best
            value.
        tolerance: the allowed loss of macro F1.
    Raises:
        UserError: an unknown rule, or every trial has diverged.
    """
    metric = check_rule(rule)
    if not 0 <= tolerance <= 1:
        raise UserError(
            f"{option('tolerance')} is {tolerance}; it is a loss of F1 and must be between 0 and 1"
        )
    converged = [trial for trial in trials if not trial.diverged]
    if not converged:
        raise UserError(
            "the training of every trial diverged; search lower values, or set train.clip"
        )
    values, f1 = (np.array([trial.values[name] for trial in converged]) for name in (rule, "f1"))
    best = best_option(metric, values, f1, float(f1.max()) - tolerance)
    if best is None:
        raise UserError(f"{metric.label} is not defined in any trial, so none is the best")
    return converged[best]


def trial_table(best: Trial, trials: Sequence[Trial]) -> Table:
    """The trials with their settings and metrics on validation; the best one is marked."""
    keys = list(best.settings)
    rows = [
        [
            f"{t.number}{' *' if t is best else ''}",
            *(f"{v:.4g}" if isinstance(v, float) else str(v) for v in t.settings.values()),
            *(["diverged", ""] if t.diverged else map(number, t.values.values())),
        ]
        for t in trials
    ]
    columns = ["Trial", *keys, *map(metric_name, best.values)]
    return Table("Trials on validation (* the best)", columns, rows)
