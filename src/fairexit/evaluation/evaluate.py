"""Everything the paper's table says about one set of predictions and one attribute."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fairexit.errors import UserError
from fairexit.evaluation.policy import Policy, Theta
from fairexit.evaluation.thresholds import select, shares
from fairexit.metrics import group_metrics as metrics
from fairexit.metrics.counts import count
from fairexit.metrics.group_metrics import Empty
from fairexit.metrics.scores import auroc
from fairexit.predictions.files import Predictions
from fairexit.types import UNKNOWN

SHORT = ("f1", "accuracy", "eopp0", "eopp1", "eodd", "eodd_usual")
"""The count metrics that stand for a single exit."""


ONE_ANSWER = "Every sample is answered with '{}'. Gaps of such a model are 0 and mean nothing."


@dataclass(frozen=True)
class Evaluation:
    """The numbers of one policy; NaN where no sample defines a value.

    `only_answer` is the class that every sample is answered with, if there is such a one.
    `empty` is what a rate without samples counted, see `fairexit.metrics.group_metrics`.
    `groups`, `avg` and `diff` hold macro precision, recall and F1; `exit_share` is group -> exit ->
    share of the group; `exits` tells what happens when everything leaves at one exit;
    `worst_group` is the smallest F1, recall and accuracy of any group; `empty_cells` are the
    (group, class) pairs without a sample. Samples of an unknown group are in no number.
    """

    policy: Policy
    empty: Empty
    n: int
    groups: dict[str, dict[str, float]]
    avg: dict[str, float]
    diff: dict[str, float]
    eopp0: float
    eopp1: float
    eodd: float
    eodd_usual: float
    accuracy: float
    balanced_accuracy: float
    auroc: float
    worst_group: dict[str, float]
    exit_share: dict[str, dict[str, float]]
    exits: list[dict[str, Any]]
    only_answer: str | None
    empty_cells: list[tuple[str, str]]

    def __repr__(self) -> str:
        numbers = {"f1": self.avg["f1"]} | {key: getattr(self, key) for key in SHORT[1:]}
        values = ", ".join(f"{key} {value:.3f}" for key, value in numbers.items())
        return f"Evaluation({self.n} samples, theta {self.policy.theta}: {values})"

    def to_dict(self) -> dict[str, Any]:
        """The fields for JSON, None in the place of NaN."""
        plain: dict[str, Any] = _without_nan(asdict(self))
        return plain


def evaluate(
    predictions: Predictions,
    group: str,
    policy: Policy | Theta | None,
    empty: Empty = "exclude",
) -> Evaluation:
    """All metrics of one attribute under an early-exit policy.

    Args:
        predictions: of one split.
        group: attribute.
        policy: a policy, theta itself, or None, where every sample leaves at the final exit; a
            plain network has one exit whatever is asked.
        empty: what a rate without samples counts, see `fairexit.metrics.group_metrics`.
    Raises:
        UserError: more than one split, an unknown group or one with a single value, a theta out
            of range.
    """
    splits = np.unique(predictions.split)
    if len(splits) > 1:
        raise UserError(f"rows of several splits ({', '.join(splits)}); evaluate one at a time")
    policy = _policy(policy, predictions)
    groups, names = predictions.group(group)
    known = predictions.take(groups != UNKNOWN)
    groups = known.attributes[group]
    exits = select(known.probabilities, policy.theta, policy.fallback)
    chosen = known.probabilities[np.arange(len(known)), exits]
    # First the policy's answers, then those of each exit alone.
    options = [chosen, *np.moveaxis(known.probabilities, 1, 0)]
    answers = np.stack([p.argmax(-1) for p in options])
    counts = count(known.labels, answers, groups, len(known.classes), len(names))
    answered = np.flatnonzero(counts[0].sum((0, 1)))
    values = metrics.compute(counts, empty=empty)
    areas = [math.nan if known.hard else auroc(p, known.labels).item() for p in options]
    left = np.zeros((len(names), len(known.exit_names)), np.int64)
    np.add.at(left, (groups, exits), 1)
    share = shares(left)
    first = {name: value[0].item() for name, value in values.items()}
    of_groups = {key: getattr(metrics, key)(counts[0]) for key in ("precision", "recall", "f1")}
    return Evaluation(
        policy=policy,
        empty=empty,
        n=len(known),
        groups={
            name: {"n": int(left[g].sum())} | {k: v[g].item() for k, v in of_groups.items()}
            for g, name in enumerate(names)
        },
        avg={key: first[key] for key in of_groups},
        diff={key: first[f"{key}_diff"] for key in of_groups},
        **{key: first[key] for key in (*SHORT[1:], "balanced_accuracy")},
        auroc=areas[0],
        worst_group={key: first[f"worst_group_{key}"] for key in ("f1", "recall", "accuracy")},
        exit_share={
            name: dict(zip(known.exit_names, share[g].tolist(), strict=True))
            for g, name in enumerate(names)
        },
        exits=[
            {"exit": name} | {k: values[k][e].item() for k in SHORT} | {"auroc": areas[e]}
            for e, name in enumerate(known.exit_names, start=1)
        ],
        only_answer=known.classes[answered[0]] if len(answered) == 1 else None,
        empty_cells=metrics.empty_cells(counts[0], names, known.classes),
    )


def paper_table(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The rows of the paper's table: one for each group, then Avg and Diff.

    Keys: `row`, `precision`, `recall`, `f1`, `eopp0`, `eopp1`, `eodd`. As in print, the gaps stand
    in the first row and are None in the others.
    """
    named = [*evaluation.groups.items(), ("Avg", evaluation.avg), ("Diff", evaluation.diff)]
    gaps = ("eopp0", "eopp1", "eodd")
    return [
        {"row": name}
        | {key: values[key] for key in ("precision", "recall", "f1")}
        | {key: getattr(evaluation, key) if index == 0 else None for key in gaps}
        for index, (name, values) in enumerate(named)
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
