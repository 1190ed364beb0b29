"""Demographic parity: how often each class is predicted in each group, whatever the true class."""

import numpy as np

from fairexit.metrics.counts import Counts, Margins, margins
from fairexit.metrics.rates import Empty, Values, mean_known, range_known, ratio_known
from fairexit.metrics.record import gap


def answer_rate(counts: Counts | Margins, empty: Empty = "exclude") -> Values:
    """Share of each group's samples that are predicted as each class, (..., M, C).

    A class that neither occurs nor is predicted in any group is NaN, whatever `empty` is.
    """
    m = margins(counts)
    rates = ratio_known(m.predicted, m.actual.sum(-1, keepdims=True))
    occurs = (m.actual + m.predicted).sum(-2, keepdims=True) > 0
    return np.where(occurs, rates, np.nan)


@gap("dp_diff", label="demographic parity difference", rates=[answer_rate])
def dp_diff(answer_rates: Values) -> Values:
    """Demographic parity difference: mean over classes of the range of answer rates over groups.

    With two groups: mean over c of |P(answer c | group 0) - P(answer c | group 1)|. It ignores the
    true classes: where a disease is rarer in one group, a perfect model shows a gap.
    """
    return mean_known(range_known(answer_rates, -2))
