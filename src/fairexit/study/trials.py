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
from fairexit.search_space import Axis
from fairexit.tables import Table, number

DIVERGED = "diverged"
"""Mark of a trial whose loss was no longer finite."""


@dataclass(frozen=True)
class Trial:
    """The settings of one trial and its metrics on validation.

    Attributes:
        number: counted from 0.
        settings: key -> value of the settings that are searched.
        values: metric -> value; NaN where the training diverged.
        mark: why the trial cannot be the best: "diverged" where the loss was no longer finite,
            "one class answers" where the network has collapsed, or a part of the method that had
            almost no effect; "" for a trial that can.
        same_as: number of the earlier trial with the same settings, whose run is used; None for a
            trial with a run of its own.
    """

    number: int
    settings: dict[str, Any]
    values: dict[str, float]
    mark: str = ""
    same_as: int | None = None


def criteria(rule: str) -> tuple[str, str]:
    """The two metrics that a search optimises: macro F1, and the rule's gap or the default one."""
    return "f1", DEFAULT_GAP if rule == "f1" else rule


def parse_axis(text: str) -> Axis:
    """Parse `method.weight=0.01:100:log`, `prune.ratio=0.1:0.5` or `train.lr=0.01,0.03`.

    Raises:
        UserError: the text has none of these forms.

    >>> parse_axis("method.weight=0.01:100:log")
    Axis(key='method.weight', values=(0.01, 100), log=True)
    """
    key, equals, rest = text.partition("=")
    try:
        if not equals or not key or not rest:
            raise ValueError
        if ":" not in rest:
            return Axis(key, tuple(yaml.safe_load(part) for part in rest.split(",")))
        first, second, *kind = rest.split(":")
        low, high = _end(first), _end(second)
        if kind not in ([], ["log"]) or not low < high < math.inf or (kind and not low > 0):
            raise ValueError
        return Axis(key, (low, high), bool(kind))
    except (ValueError, yaml.YAMLError):
        raise UserError(
            f"{option('axes')} {short(text)}: write KEY=LOW:HIGH, KEY=LOW:HIGH:log or KEY=A,B,C, "
            "with LOW below HIGH"
        ) from None


def _end(text: str) -> int | float:
    """An end of a range, whole where it is written so."""
    try:
        return int(text)
    except ValueError:
        return float(text)


def best_trial(trials: Sequence[Trial], rule: str, tolerance: float) -> Trial | None:
    """The best trial by a rule; among equals the first. None where every trial is marked.

    Args:
        trials: those that were made; trials with a mark are never the best.
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
    if all(trial.mark == DIVERGED for trial in trials):
        raise UserError(
            "the training of every trial diverged; search lower values, or set train.clip"
        )
    usable = [trial for trial in trials if not trial.mark]
    if not usable:
        return None
    values, f1 = (np.array([trial.values[name] for trial in usable]) for name in (rule, "f1"))
    best = best_option(metric, values, f1, float(f1.max()) - tolerance)
    if best is None:
        raise UserError(f"{metric.label} is not defined in any trial, so none is the best")
    return usable[best]


def trial_table(best: Trial | None, trials: Sequence[Trial]) -> Table:
    """The trials with their settings and metrics on validation; the best one is marked."""
    rows = []
    for t in trials:
        name = f"{t.number}{' *' if t is best else ''}"
        settings = [f"{v:.4g}" if isinstance(v, float) else str(v) for v in t.settings.values()]
        note = f"same as {t.same_as}" if t.same_as is not None else ""
        remark = ", ".join(filter(None, (t.mark, note)))
        rows.append([name, *settings, *map(number, t.values.values()), remark])
    first = trials[0]
    columns = ["Trial", *first.settings, *map(metric_name, first.values), "Remark"]
    return Table("Trials on validation (* the best)", columns, rows)
