"""All metrics of one set of predictions and one attribute, and the rows of the paper's table."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError
from fairexit.evaluation.policy import SINGLE_EXIT, Policy
from fairexit.evaluation.theta import Theta
from fairexit.evaluation.thresholds import answering_exits, shares
from fairexit.files import json_text
from fairexit.metrics.collapse import main_answer_share
from fairexit.metrics.counts import Margins, count_margins, empty_cells
from fairexit.metrics.rates import AVERAGES, BY_GROUP, Empty
from fairexit.metrics.record import compute, main_metrics
from fairexit.metrics.scores import auroc
from fairexit.predictions.data import Predictions
from fairexit.progress import track
from fairexit.types import UNKNOWN

LARGE = 10_000_000
"""Probabilities above which measuring them takes seconds and shows its progress."""

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
        main_answer_share: the largest share of the answers that one class has; a network has
            collapsed if it is 0.99 or more.
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
    main_answer_share: float
    empty_cells: list[tuple[str, str]]

    def __repr__(self) -> str:
        values = ", ".join(f"{name} {self.metrics[name]:.3f}" for name in main_metrics())
        return f"Evaluation({self.n} samples, threshold {self.policy.theta}: {values})"

    def to_dict(self) -> dict[str, Any]:
        """The fields for JSON, with None instead of NaN; the metrics stand beside the others."""
        plain: dict[str, Any] = json.loads(json_text(asdict(self)))
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
    if len(predictions.splits) > 1:
        raise UserError(
            f"the rows are of several splits ({', '.join(predictions.splits)}); evaluate one split "
            "at a time"
        )
    policy = _policy(policy, predictions)
    predictions = predictions.tempered(policy.temperature_values)
    groups, names = predictions.group(group)
    known = predictions.take(groups != UNKNOWN)
    groups = known.attributes[group]
    exits = answering_exits(known, policy)
    num_exits = len(known.exit_names)
    # First the answers under the policy, then those of each exit.
    margins = count_margins(
        known.labels,
        np.concatenate([known.answers_at(exits)[None], known.answers.T]),
        groups,
        num_classes=len(known.classes),
        num_groups=len(names),
    )
    of_policy = Margins(*(margin[0] for margin in margins))
    answered = np.flatnonzero(of_policy.predicted.sum(0))
    values = compute(margins, empty=empty)
    values["auroc"] = _aurocs(known, exits)
    exit_counts = np.bincount(groups * num_exits + exits, minlength=len(names) * num_exits)
    exit_counts = exit_counts.reshape(len(names), num_exits)
    share = shares(exit_counts)
    by_group = {name: BY_GROUP[name](of_policy) for name in AVERAGES}
    policy_metrics, *exit_metrics = (
        {name: value[i].item() for name, value in values.items()} for i in range(1 + num_exits)
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
        main_answer_share=main_answer_share(of_policy).item(),
        empty_cells=empty_cells(of_policy, names, known.classes),
    )


def _aurocs(predictions: Predictions, exits: NDArray[np.int64]) -> NDArray[np.float64]:
    """AUROC at one exit for each sample, (N,), then at each exit; NaN if there are only answers."""
    probabilities, number = predictions.probabilities, len(predictions.exit_names)
    if probabilities is None:
        return np.full(1 + number, math.nan)
    if number == 1:
        return np.repeat(auroc(probabilities[:, 0], predictions.labels), 2)

    def options() -> Iterator[NDArray[np.float32]]:
        yield probabilities[np.arange(len(exits)), exits]
        yield from (probabilities[:, e] for e in range(number))

    large = probabilities.size > LARGE
    shown = track(options(), "AUROC", 1 + number) if large else options()
    return np.array([auroc(values, predictions.labels).item() for values in shown])


PRINTED_GAPS = ("eopp0", "eopp1", "eodd_paper")
"""The gaps that the paper's tables show."""

TABLE_GAPS = (*PRINTED_GAPS, "eopp1_weighted")
"""The gaps of our form of these tables: Eopp1 stands beside its form weighted by images."""


def paper_table(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The rows of the paper's table: one for each group, then Avg and Diff.

    Keys: `row`, `precision`, `recall`, `f1`, `eopp0`, `eopp1`, `eodd_paper`, and beside
    what the paper prints `eopp1_weighted`. As in the paper, the gaps are in the first row and None
    in the others.
    """
    metrics = evaluation.metrics
    average = {name: metrics[name] for name in AVERAGES}
    difference = {name: metrics[f"{name}_diff"] for name in AVERAGES}
    rows = [*evaluation.groups.items(), ("Avg", average), ("Diff", difference)]
    return [
        {"row": name}
        | {key: values[key] for key in AVERAGES}
        | {key: metrics[key] if index == 0 else None for key in TABLE_GAPS}
        for index, (name, values) in enumerate(rows)
    ]


def _policy(policy: Policy | Theta | None, predictions: Predictions) -> Policy:
    if len(predictions.exit_names) == 1:
        temperatures = policy.temperatures if isinstance(policy, Policy) else None
        return Policy(None, rule=SINGLE_EXIT, temperatures=temperatures)
    if policy is None or isinstance(policy, Policy):
        return policy or Policy(None)
    return Policy(policy if isinstance(policy, float | int) else tuple(policy))
