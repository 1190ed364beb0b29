"""The claims of Chiu et al. 2023 as comparisons.

They were written down before any answer was judged by them; docs/studies.md describes them.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from fairexit.evaluation.evaluate import PRINTED_GAPS
from fairexit.metrics.rates import AVERAGES
from fairexit.study.collect import POLICY
from fairexit.study.comparisons import FINAL, FIRST, Claim, Comparison, Pair, Side
from fairexit.study.paper import COPIED, METHODS, Printed

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


def claims(paper: Printed | None, dataset: str, exits: Sequence[str]) -> list[Claim]:
    """The claims for one dataset, except the sixth, which is about features.

    Args:
        paper: the printed numbers of the dataset; they give the direction of the seventh claim.
        dataset: name of the prepared data.
        exits: names of the exits of the multi-exit networks, the final one last.
    """
    trusted = [name for name in METHODS if (dataset, name) not in COPIED]
    listed = [_depth(), _exits(trusted), _unawareness(), _best(trusted), _theta(exits)]
    if paper is not None:
        text = f"{paper.groups[0]} is the privileged group under ERM"
        privilege = Comparison(GAP, ((Side("ERM"), None),), 1)
        listed.append(Claim(7, text, (privilege,), (privilege,)))
    return listed


def _depth() -> Claim:
    pair = (Side("ME-ERM", FINAL), Side("ME-ERM", FIRST))
    return Claim(
        1,
        "with depth accuracy rises and fairness falls",
        (*_each(_higher, [pair], "f1", *FAIRNESS),),
        tuple(_higher(metric, pair) for metric in FORMS),
        _higher("f1", pair),
    )


def _exits(trusted: Sequence[str]) -> Claim:
    names = [name for name in ("ERM", "HSIC", "MFD", "FairPrune") if name in trusted]
    pairs = [(Side(f"ME-{name}"), Side(name)) for name in names]
    pruned = [(Side("ME-FairPrune"), Side("FairPrune"))]
    return Claim(
        2,
        "exits lower Eopp1 and Eodd at similar F1, raise FairPrune's accuracy scores and shrink "
        "its group differences",
        (
            *_each(_lower, pairs, *FAIRNESS),
            *_each(_as_high, pairs, "f1"),
            *_each(_higher, pruned, "precision", "recall", "f1"),
            *_each(_lower, pruned, "precision_diff", "recall_diff", "f1_diff"),
        ),
        tuple(_lower(metric, *pairs) for metric in FORMS),
        _as_high("f1", *pairs),
    )


def _unawareness() -> Claim:
    pair = (Side("ME-ERM"), Side("FairPrune"))
    return Claim(
        3,
        "ME-ERM, trained without the attribute, is as fair as FairPrune",
        (*_each(_as_low, [pair], *FAIRNESS),),
        tuple(_as_low(metric, pair) for metric in FORMS),
    )


def _best(trusted: Sequence[str]) -> Claim:
    pairs = [(Side("ME-FairPrune"), Side(name)) for name in trusted if name != "ME-FairPrune"]
    return Claim(
        4,
        "ME-FairPrune has the best Eopp1 and Eodd of all eight methods",
        (*_each(_lower, pairs, *FAIRNESS),),
        # Better than one other method is not the best of all.
        tuple(replace(_lower(metric, *pairs), least=2) for metric in FORMS),
    )


def _theta(exits: Sequence[str]) -> Claim:
    policy = Side("ME-FairPrune")
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
        first, second = (paper.value(a.row, group, "f1") for group in paper.groups)
    elif a.exit_rule == b.exit_rule == POLICY and average in (*AVERAGES, *PRINTED_GAPS):
        row = "avg" if metric == average else "diff"
        first, second = (paper.value(side.row, row, average) for side in (a, b))
    else:
        return None
    return None if first is None or second is None else first - second
