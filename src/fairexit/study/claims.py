"""The claims of Chiu et al. 2023 as comparisons.

They were written down before any answer was judged by them; docs/studies.md describes them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from fairexit.evaluation.evaluate import PRINTED_GAPS
from fairexit.metrics.rates import AVERAGES
from fairexit.study.collect import POLICY
from fairexit.study.comparisons import FINAL, FIRST, Claim, Comparison, Pair, Side
from fairexit.study.paper import COPIED, METHODS, Printed, common_name

MARGINS = {
    "f1": 0.02,
    "eopp1": 0.01,
    "eopp1_weighted": 0.005,
    "eodd": 0.005,
    "eodd_weighted": 0.0025,
    "eodd_paper": 0.005,
}
"""Metric -> the loss that "as good as" still allows."""
FORMS = ("eopp1", "eopp1_weighted")
"""The gap of the primary comparisons: each class alike, and each image alike."""
EODD = ("eodd", "eodd_weighted", "eodd_paper")
FAIRNESS = (*FORMS, *EODD)
"""The gaps of the secondary comparisons."""
LOW_THETA, HIGH_THETA = 0.8, 0.999
"""The lowest and highest threshold of the paper's grid."""
GAP = "f1_gap"
"""F1 of the group that the paper calls privileged, minus that of the other."""


def claims(
    paper: Printed | None, dataset: str, exits: Sequence[str], names: Mapping[str, str]
) -> list[Claim]:
    """The claims for one dataset, except the sixth, which is about features.

    Args:
        paper: the printed numbers of the dataset; they give the direction of the seventh claim.
        dataset: name of the prepared data.
        exits: names of the exits of the multi-exit networks, the final one last.
        names: common name of a row -> its name in the study, see `row_names`.
    """
    trusted = [name for name in METHODS if (dataset, name) not in COPIED]
    listed = [_depth(names), _exits(trusted, names), _unawareness(names), _best(trusted, names)]
    listed.append(_theta(exits, names))
    if paper is not None:
        text = f"{paper.groups[0]} is the privileged group under {names['ERM']}"
        privilege = Comparison(GAP, ((Side(names["ERM"]), None),), 1)
        listed.append(Claim(7, text, (privilege,), (privilege,)))
    return listed


def _depth(names: Mapping[str, str]) -> Claim:
    pair = (Side(names["ME-ERM"], FINAL), Side(names["ME-ERM"], FIRST))
    return Claim(
        1,
        "with depth accuracy rises and fairness falls",
        (*_each(_higher, [pair], "f1", *FAIRNESS),),
        tuple(_higher(metric, pair) for metric in FORMS),
        _higher("f1", pair),
    )


def _exits(trusted: Sequence[str], names: Mapping[str, str]) -> Claim:
    methods = [name for name in ("ERM", "HSIC", "MFD", "FairPrune") if name in trusted]
    pairs = [(Side(names[f"ME-{name}"]), Side(names[name])) for name in methods]
    pruned = [(Side(names["ME-FairPrune"]), Side(names["FairPrune"]))]
    return Claim(
        2,
        f"exits lower Eopp1 and Eodd at similar F1, raise {names['FairPrune']}'s accuracy scores "
        "and shrink its group differences",
        (
            *_each(_lower, pairs, *FAIRNESS),
            *_each(_as_high, pairs, "f1"),
            *_each(_higher, pruned, "precision", "recall", "f1"),
            *_each(_lower, pruned, "precision_diff", "recall_diff", "f1_diff"),
        ),
        tuple(_lower(metric, *pairs) for metric in FORMS),
        _as_high("f1", *pairs),
    )


def _unawareness(names: Mapping[str, str]) -> Claim:
    pair = (Side(names["ME-ERM"]), Side(names["FairPrune"]))
    return Claim(
        3,
        f"{names['ME-ERM']}, trained without the attribute, is as fair as {names['FairPrune']}",
        (*_each(_as_low, [pair], *FAIRNESS),),
        tuple(_as_low(metric, pair) for metric in FORMS),
    )


def _best(trusted: Sequence[str], names: Mapping[str, str]) -> Claim:
    best = names["ME-FairPrune"]
    pairs = [(Side(best), Side(names[name])) for name in trusted if name != "ME-FairPrune"]
    return Claim(
        4,
        f"{best} has the best Eopp1 and Eodd of all eight methods",
        (*_each(_lower, pairs, *FAIRNESS),),
        # Better than one other method is not the best of all.
        tuple(replace(_lower(metric, *pairs), least=2) for metric in FORMS),
    )


def _theta(exits: Sequence[str], names: Mapping[str, str]) -> Claim:
    policy = Side(names["ME-FairPrune"])
    low, high, final = (policy._replace(exit_rule=r) for r in (LOW_THETA, HIGH_THETA, FINAL))
    single = [policy._replace(exit_rule=name) for name in exits]
    return Claim(
        5,
        "a higher theta improves accuracy and fairness; the policy is as accurate as the final "
        "exit and no single exit beats it in Eodd",
        (
            _higher("f1", (high, low)),
            *_each(_lower, [(high, low)], *FAIRNESS),
            _as_high("f1", (policy, final)),
            *_each(_as_low, [(policy, side) for side in single], *EODD),
        ),
        tuple(_lower(metric, (high, low)) for metric in FORMS),
        _higher("f1", (high, low)),
    )


def _compared(sign: int, with_margin: bool, metric: str, *pairs: Pair) -> Comparison:
    return Comparison(metric, pairs, sign, MARGINS[metric] if with_margin else 0.0)


_lower, _higher = partial(_compared, -1, False), partial(_compared, 1, False)
_as_low, _as_high = partial(_compared, -1, True), partial(_compared, 1, True)


def _each(
    make: Callable[..., Comparison], pairs: Sequence[Pair], *metrics: str
) -> list[Comparison]:
    """A single comparison for each pair and metric."""
    return [make(metric, pair) for pair in pairs for metric in metrics]


def printed_difference(paper: Printed | None, comparison: Comparison) -> float | None:
    """The paper's a - b, mean over the pairs; None where it does not print all numbers."""
    if paper is None:
        return None
    differences = [_printed(paper, comparison.metric, *pair) for pair in comparison.pairs]
    known = [difference for difference in differences if difference is not None]
    return float(np.mean(known)) if len(known) == len(differences) else None


def _printed(paper: Printed, metric: str, a: Side, b: Side | None) -> float | None:
    """The paper's a - b of one pair."""
    average = metric.removesuffix("_diff")
    if b is None:
        first, second = (paper.value(common_name(a.row), g, "f1") for g in paper.groups)
    elif a.exit_rule == b.exit_rule == POLICY and average in (*AVERAGES, *PRINTED_GAPS):
        row = "avg" if metric == average else "diff"
        first, second = (paper.value(common_name(side.row), row, average) for side in (a, b))
    else:
        return None
    return None if first is None or second is None else first - second
