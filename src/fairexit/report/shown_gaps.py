"""Which of the gaps of an audit a report shows."""

import math

from fairexit.auditing.gap_results import Gap
from fairexit.auditing.results import AttributeAudit
from fairexit.metrics.record import METRICS

SAME_OF_TWO = ("eopp0", "eopp1", "eodd_weighted")
"""The gaps that equal Eodd if there are two classes."""

ROUNDING = 1e-12
"""Difference up to which two gaps are the same number."""


def shown_gaps(a: AttributeAudit) -> tuple[Gap, ...]:
    """The gaps without those that equal another one by construction.

    With two classes Eopp0, Eopp1 and Eodd by images are the same number as Eodd, because a true
    positive of one class is a true negative of the other. Where Eopp1 is not shown, its form that
    is weighted by images is not shown either: the rates of the positive class say more.
    """
    if len(a.counts[0]) != 2:
        return a.gaps
    eodd = next((gap.estimate.value for gap in a.gaps if gap.metric == "eodd"), math.nan)
    same = {
        gap.metric
        for gap in a.gaps
        if gap.metric in SAME_OF_TWO and abs(gap.estimate.value - eodd) <= ROUNDING
    }
    return tuple(
        gap
        for gap in a.gaps
        if gap.metric not in same and METRICS[gap.metric].weighted_form_of not in same
    )
