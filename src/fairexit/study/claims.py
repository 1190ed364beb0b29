"""The claims of Chiu et al. 2023 as comparisons, and the rule for the word on each.

Fixed before any run; docs/studies.md says the same in words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from fairexit.study.collect import POLICY
from fairexit.study.paper import COPIED, METHODS, Printed

Word = Literal["holds", "not decided", "contradicted", "not run"]

MARGINS = {"f1": 0.02, "eopp1": 0.01, "eodd_paper": 0.005}
"""By how much "as good as" may miss."""
FAIRNESS = ("eopp1", "eodd_paper")
"""The gaps that the claims are about, in the form that is printed."""
LOW_THETA, HIGH_THETA = 0.8, 0.999
"""The ends of the paper's grid."""
GAP = "f1_gap"
"""F1 of the group that is privileged in print, minus that of the other."""
FIRST, FINAL = "first exit", "final exit"


class Side(NamedTuple):
    """What is compared: a row of the study, and which of its answers.

    Attributes:
        row: common name.
        what: "policy", "first exit", "final exit", an exit's name, or theta.
    """

    row: str
    what: str | float = POLICY

    def __str__(self) -> str:
        if self.what == POLICY:
            return self.row
        what = f"theta {self.what:g}" if isinstance(self.what, float) else self.what
        return f"{self.row} at {what if ' ' in what else f'exit {what}'}"


@dataclass(frozen=True)
class Comparison:
    """It is claimed that metric(a) - metric(b) is above -margin (sign +1) or below margin (-1).

    Without b the metric is itself a difference between two groups.
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
    """One of the seven claims."""

    number: int
    text: str
    comparisons: tuple[Comparison, ...]


class Bounds(NamedTuple):
    """The interval of sign * (a - b) + margin, which the claim says is above zero.

    Attributes:
        low, high: at 95 %.
        strict_high: the upper end at 1 - 0.05 / n for the n comparisons of the claim.
    With one seed they are infinite: it tells nothing of others, and the claims are about methods.
    """

    low: float
    high: float
    strict_high: float


def word_of(found: Sequence[Bounds | None]) -> Word:
    """The word on a claim of these comparisons; None for one that was not run.

    Holds: every interval lies on the claimed side. Contradicted: one lies wholly on the other side,
    at a level at which n comparisons together err 5 times in 100. Else not decided; with nothing
    run, not run.

    >>> word_of([Bounds(0.1, 0.3, 0.4), Bounds(0.0, 0.2, 0.3)])
    'not decided'
    """
    if not any(found):
        return "not run"
    if any(bounds is not None and bounds.strict_high < 0 for bounds in found):
        return "contradicted"
    if all(bounds is not None and bounds.low > 0 for bounds in found):
        return "holds"
    return "not decided"


def claims(paper: Printed | None, dataset: str, exits: Sequence[str]) -> list[Claim]:
    """The claims of protocol section 8 for one dataset, but the sixth, which is about features.

    Args:
        paper: its printed numbers; the seventh claim has its direction from them.
        dataset: as prepared data are called.
        exits: names of the exits of the multi-exit networks, the final one last.
    """
    trusted = [name for name in METHODS if (dataset, name) not in COPIED]
    pairs = [name for name in ("ERM", "HSIC", "MFD", "FairPrune") if name in trusted]
    erm, pruned, both = Side("ME-ERM"), Side("FairPrune"), Side("ME-FairPrune")
    found = [
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
                *_higher(both._replace(what=HIGH_THETA), both._replace(what=LOW_THETA), "f1"),
                *_lower(both._replace(what=HIGH_THETA), both._replace(what=LOW_THETA), *FAIRNESS),
                *_as_high(both, both._replace(what=FINAL), "f1"),
                *(c for e in exits for c in _as_low(both, both._replace(what=e), "eodd_paper")),
            ),
        ),
    ]
    if paper is not None:
        text = f"{paper.groups[0]} is the privileged group under ERM"
        found.append(Claim(7, text, (Comparison(GAP, Side("ERM"), None, 1),)))
    return found


def _lower(a: Side, b: Side, *metrics: str) -> list[Comparison]:
    return [Comparison(metric, a, b, -1) for metric in metrics]


def _higher(a: Side, b: Side, *metrics: str) -> list[Comparison]:
    return [Comparison(metric, a, b, 1) for metric in metrics]


def _as_low(a: Side, b: Side, *metrics: str) -> list[Comparison]:
    return [Comparison(metric, a, b, -1, MARGINS[metric]) for metric in metrics]


def _as_high(a: Side, b: Side, *metrics: str) -> list[Comparison]:
    return [Comparison(metric, a, b, 1, MARGINS[metric]) for metric in metrics]


def printed_difference(paper: Printed | None, comparison: Comparison) -> float | None:
    """The paper's a - b, None where it prints no such numbers."""
    if paper is None:
        return None
    if comparison.b is None:
        first, second = (paper.value(comparison.a.row, g, "f1") for g in paper.groups)
    elif comparison.a.what == comparison.b.what == POLICY:
        metric = comparison.metric.removesuffix("_diff")
        row = "avg" if metric == comparison.metric else "diff"
        sides = (comparison.a, comparison.b)
        first, second = (paper.value(side.row, row, metric) for side in sides)
    else:
        return None
    return None if first is None or second is None else first - second
