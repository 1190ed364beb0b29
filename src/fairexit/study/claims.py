"""The claims of Chiu et al. 2023 as comparisons, and the rule for the verdict on each.

The rule was fixed before any run; docs/studies.md describes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from fairexit.study.collect import POLICY
from fairexit.study.paper import COPIED, METHODS, Printed

Verdict = Literal["holds", "not decided", "contradicted", "not run"]

MARGINS = {"f1": 0.02, "eopp1": 0.01, "eodd_paper": 0.005}
"""Metric -> the loss that "as good as" still allows."""
FAIRNESS = ("eopp1", "eodd_paper")
"""The gaps of the claims, in the form that the paper prints."""
LOW_THETA, HIGH_THETA = 0.8, 0.999
"""The lowest and highest threshold of the paper's grid."""
GAP = "f1_gap"
"""F1 of the group that the paper calls privileged, minus that of the other."""
FIRST, FINAL = "first exit", "final exit"


class Side(NamedTuple):
    """One side of a comparison: a row of the study, and how its exits answer.

    Attributes:
        row: common name of the row.
        exit_rule: "policy", "first exit", "final exit", an exit's name, or theta.
    """

    row: str
    exit_rule: str | float = POLICY

    def __str__(self) -> str:
        if self.exit_rule == POLICY:
            return self.row
        if isinstance(self.exit_rule, float):
            return f"{self.row} at theta {self.exit_rule:g}"
        named = self.exit_rule if self.exit_rule in (FIRST, FINAL) else f"exit {self.exit_rule}"
        return f"{self.row} at {named}"


@dataclass(frozen=True)
class Comparison:
    """The claim that metric(a) - metric(b) is above -margin (sign +1) or below margin (sign -1).

    Where b is None, the metric is itself a difference.
    """

    metric: str
    a: Side
    b: Side | None
    sign: int
    margin: float = 0.0

    def __str__(self) -> str:
        relation = {
            (1, False): ">",
            (-1, False): "<",
            (1, True): "not below",
            (-1, True): "not above",
        }
        claimed = relation[self.sign, self.margin > 0]
        within = f" (margin {self.margin:g})" if self.margin else ""
        return f"{self.metric}: {self.a} {claimed} {self.b if self.b else 0}{within}"


@dataclass(frozen=True)
class Claim:
    """One of the seven claims; it holds if all of its comparisons do."""

    number: int
    text: str
    comparisons: tuple[Comparison, ...]


class Bounds(NamedTuple):
    """The confidence interval of sign * (a - b) + margin, which is above zero if the claim is true.

    With one seed the bounds are infinite: the claims are about methods, and one network says
    nothing about the spread over seeds.

    Attributes:
        low, high: ends of the 95 % interval.
        strict_high: upper end at level 1 - 0.05 / n, for the n comparisons of the claim.
    """

    low: float
    high: float
    strict_high: float


def verdict_of(comparisons: Sequence[Bounds | None]) -> Verdict:
    """The verdict on a claim, from the bounds of its comparisons.

    "holds": every interval lies on the claimed side. "contradicted": at least one lies wholly on
    the other side, at the level at which all n comparisons together err 5 times in 100. "not run":
    no comparison was run. "not decided": everything else.

    Args:
        comparisons: the bounds of each comparison; None for one that was not run.

    >>> verdict_of([Bounds(0.1, 0.3, 0.4), Bounds(0.0, 0.2, 0.3)])
    'not decided'
    """
    if not any(comparisons):
        return "not run"
    if any(bounds is not None and bounds.strict_high < 0 for bounds in comparisons):
        return "contradicted"
    if all(bounds is not None and bounds.low > 0 for bounds in comparisons):
        return "holds"
    return "not decided"


def claims(paper: Printed | None, dataset: str, exits: Sequence[str]) -> list[Claim]:
    """The claims for one dataset, except the sixth, which is about features.

    Args:
        paper: the printed numbers of the dataset; they give the direction of the seventh claim.
        dataset: name of the prepared data.
        exits: names of the exits of the multi-exit networks, the final one last.
    """
    trusted = [name for name in METHODS if (dataset, name) not in COPIED]
    pairs = [name for name in ("ERM", "HSIC", "MFD", "FairPrune") if name in trusted]
    erm, pruned, both = Side("ME-ERM"), Side("FairPrune"), Side("ME-FairPrune")
    low, high = (both._replace(exit_rule=theta) for theta in (LOW_THETA, HIGH_THETA))
    single = [both._replace(exit_rule=exit) for exit in exits]
    listed = [
        Claim(
            1,
            "with depth accuracy rises and fairness falls",
            tuple(_higher(Side("ME-ERM", FINAL), Side("ME-ERM", FIRST), "f1", *FAIRNESS)),
        ),
        Claim(
            2,
            "exits lower Eopp1 and Eodd at similar F1, raise FairPrune's accuracy scores and "
            "shrink its group differences",
            (
                *(c for x in pairs for c in _lower(Side(f"ME-{x}"), Side(x), *FAIRNESS)),
                *(c for x in pairs for c in _as_high(Side(f"ME-{x}"), Side(x), "f1")),
                *_higher(both, pruned, "precision", "recall", "f1"),
                *_lower(both, pruned, "precision_diff", "recall_diff", "f1_diff"),
            ),
        ),
        Claim(
            3,
            "ME-ERM, trained without the attribute, is as fair as FairPrune",
            tuple(_as_low(erm, pruned, *FAIRNESS)),
        ),
        Claim(
            4,
            "ME-FairPrune has the best Eopp1 and Eodd of all eight methods",
            tuple(c for x in trusted[:-1] for c in _lower(both, Side(x), *FAIRNESS)),
        ),
        Claim(
            5,
            "a higher theta improves accuracy and fairness; the policy is as accurate as the final "
            "exit and no single exit beats it in Eodd",
            (
                *_higher(high, low, "f1"),
                *_lower(high, low, *FAIRNESS),
                *_as_high(both, both._replace(exit_rule=FINAL), "f1"),
                *(c for side in single for c in _as_low(both, side, "eodd_paper")),
            ),
        ),
    ]
    if paper is not None:
        text = f"{paper.groups[0]} is the privileged group under ERM"
        listed.append(Claim(7, text, (Comparison(GAP, Side("ERM"), None, 1),)))
    return listed


def _lower(a: Side, b: Side, *metrics: str) -> list[Comparison]:
    return [Comparison(metric, a, b, -1) for metric in metrics]


def _higher(a: Side, b: Side, *metrics: str) -> list[Comparison]:
    return [Comparison(metric, a, b, 1) for metric in metrics]


def _as_low(a: Side, b: Side, *metrics: str) -> list[Comparison]:
    return [Comparison(metric, a, b, -1, MARGINS[metric]) for metric in metrics]


def _as_high(a: Side, b: Side, *metrics: str) -> list[Comparison]:
    return [Comparison(metric, a, b, 1, MARGINS[metric]) for metric in metrics]


def printed_difference(paper: Printed | None, comparison: Comparison) -> float | None:
    """The paper's a - b; None where it does not print both numbers."""
    if paper is None:
        return None
    if comparison.b is None:
        first, second = (paper.value(comparison.a.row, g, "f1") for g in paper.groups)
    elif comparison.a.exit_rule == comparison.b.exit_rule == POLICY:
        metric = comparison.metric.removesuffix("_diff")
        row = "avg" if metric == comparison.metric else "diff"
        sides = (comparison.a, comparison.b)
        first, second = (paper.value(side.row, row, metric) for side in sides)
    else:
        return None
    return None if first is None or second is None else first - second
