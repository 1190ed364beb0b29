"""All metrics of one set of predictions and one attribute, and the rows of the paper's table."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError
from fairexit.evaluation.policy import Policy, Theta
from fairexit.evaluation.thresholds import select, shares
from fairexit.metrics.counts import count, empty_cells
from fairexit.metrics.rates import AVERAGES, BY_GROUP, Empty
from fairexit.metrics.record import compute, main_metrics
from fairexit.metrics.scores import auroc
from fairexit.predictions.data import Predictions
from fairexit.types import UNKNOWN

ONE_ANSWER = "Every sample is answered with '{}'. Gaps of such a model are 0 and mean nothing."


@dataclass(frozen=True)
class Evaluation:
    """The metrics under one policy; NaN where a value is undefined.

    Attributes:
        policy: the early-exit policy.
        empty: value of a rate without samples, see `fairexit.metrics.rates`.
        n: number of samples with a known group; the others are left out of all numbers.
        unknown: number of samples with an unknown group.
        groups: group -> `n` and macro precision, recall and F1.
        metrics: name -> value, for every metric of `fairexit.metrics.METRICS`, and `auroc`.
        exit_share: group -> exit -> share of the group that leaves at this exit.
        exits: for each exit its name as `exit`, and every metric if all samples left there.
        only_answer: the class that is predicted for every sample, if there is only one.
        empty_cells: the (group, class) pairs without a sample.
    """

    policy: Policy
    empty: Empty
    n: int
    unknown: int
    groups: dict[str, dict[str, float]]
    metrics: dict[str, float]
    exit_share: dict[str, dict[str, float]]
    exits: list[dict[str, Any]]
    only_answer: str | None
    empty_cells: list[tuple[str, str]]

    def __repr__(self) -> str:
        values = ", ".join(f"{name} {self.metrics[name]:.3f}" for name in main_metrics())
        return f"Evaluation({self.n} samples, threshold {self.policy.theta}: {values})"

    def to_dict(self) -> dict[str, Any]:
        """The fields for JSON, with None instead of NaN; the metrics stand beside the others."""
        plain: dict[str, Any] = _without_nan(asdict(self))
        return plain | plain.pop("metrics")


def evaluate(
    predictions: Predictions,
    group: str,
    policy: Policy | Theta | None,
    empty: Empty = "exclude",
) -> Evaluation:
    """All metrics of one attribute under an early-exit policy.

    Args:
        predictions: of one split.
        group: name of the sensitive attribute.
        policy: a policy; or one threshold or one for each internal exit; or None if every sample
            leaves at the final exit. It is ignored for a plain network, which has a single exit.
        empty: value of a rate without samples, see `fairexit.metrics.rates`.
    Raises:
        UserError: the rows belong to several splits, the attribute is unknown or has a single
            value, or a threshold is out of range.
    """
    splits = np.unique(predictions.split)
    if len(splits) > 1:
        raise UserError(
            f"the rows are of several splits ({', '.join(splits)}); evaluate one split at a time"
        )
    policy = _policy(policy, predictions)
    groups, names = predictions.group(group)
    known = predictions.take(groups != UNKNOWN)
    groups = known.attributes[group]
    exits = select(known.confidence, policy.theta, policy.fallback)
    # First the answers under the policy, then those of each exit.
    options = [exits, *(np.full(len(known), e) for e in range(len(known.exit_names)))]
    answers = np.stack([known.at(option)[0] for option in options])
    counts = count(
        known.labels, answers, groups, num_classes=len(known.classes), num_groups=len(names)
    )
    answered = np.flatnonzero(counts[0].sum((0, 1)))
    values = compute(counts, empty=empty)
    values["auroc"] = np.array([_auroc(known, option) for option in options])
    exit_counts = np.zeros((len(names), len(known.exit_names)), np.int64)
    np.add.at(exit_counts, (groups, exits), 1)
    share = shares(exit_counts)
    by_group = {name: BY_GROUP[name](counts[0]) for name in AVERAGES}
    policy_metrics, *exit_metrics = (
        {name: value[i].item() for name, value in values.items()} for i in range(len(options))
    )
    return Evaluation(
        policy=policy,
        empty=empty,
        n=len(known),
        unknown=len(predictions) - len(known),
        groups={
            name: {"n": int(exit_counts[g].sum())} | {k: v[g].item() for k, v in by_group.items()}
            for g, name in enumerate(names)
        },
        metrics=policy_metrics,
        exit_share={
            name: dict(zip(known.exit_names, share[g].tolist(), strict=True))
            for g, name in enumerate(names)
        },
        exits=[
            {"exit": name} | metrics
            for name, metrics in zip(known.exit_names, exit_metrics, strict=True)
        ],
        only_answer=known.classes[answered[0]] if len(answered) == 1 else None,
        empty_cells=empty_cells(counts[0], names, known.classes),
    )


def _auroc(predictions: Predictions, exits: NDArray[np.int64]) -> float:
    """AUROC at one exit for each sample, (N,); NaN if only the answers are known."""
    _, probabilities = predictions.at(exits)
    return math.nan if probabilities is None else auroc(probabilities, predictions.labels).item()


PRINTED_GAPS = ("eopp0", "eopp1", "eodd_paper")
"""The gaps that the paper's tables show."""


def paper_table(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The rows of the paper's table: one for each group, then Avg and Diff.

    Keys: `row`, `precision`, `recall`, `f1`, `eopp0`, `eopp1`, `eodd_paper`. As in the paper, the
    gaps are in the first row and None in the others.
    """
    metrics = evaluation.metrics
    average = {name: metrics[name] for name in AVERAGES}
    difference = {name: metrics[f"{name}_diff"] for name in AVERAGES}
    rows = [*evaluation.groups.items(), ("Avg", average), ("Diff", difference)]
    return [
        {"row": name}
        | {key: values[key] for key in AVERAGES}
        | {key: metrics[key] if index == 0 else None for key in PRINTED_GAPS}
        for index, (name, values) in enumerate(rows)
    ]


def _policy(policy: Policy | Theta | None, predictions: Predictions) -> Policy:
    if len(predictions.exit_names) == 1:
        return Policy(None, rule="single exit")
    if policy is None or isinstance(policy, Policy):
        return policy or Policy(None)
    return Policy(policy if isinstance(policy, float | int) else tuple(policy))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
