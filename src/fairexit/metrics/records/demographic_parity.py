"""Demographic parity: how often each group is given each class, whatever is true."""

import numpy as np

from fairexit.metrics.counts import Counts, Margins, margins
from fairexit.metrics.rates import Empty, Values, mean_known, range_known, ratio_known
from fairexit.metrics.record import gap


def answer_rate(counts: Counts | Margins, empty: Empty = "exclude") -> Values:
    """Share of each group's samples that are given each class, (..., M, C).

    A class that no group has and that nobody is given is left out, whatever `empty` says.
    """
    m = margins(counts)
    rates = ratio_known(m.predicted, m.actual.sum(-1, keepdims=True))
    occurs = (m.actual + m.predicted).sum(-2, keepdims=True) > 0
    return np.where(occurs, rates, np.nan)


@gap("dp_diff", label="demographic parity difference", rates=[answer_rate])
def dp_diff(answered: Values) -> Values:
    """Demographic parity difference: mean over classes of the range of answer rates over groups.

    With two groups: mean over c of |P(answer c | group 0) - P(answer c | group 1)|. It takes no
    account of the truth: where a disease is rarer in one group, a perfect model shows a gap.
    """
    return mean_known(range_known(answered, -2))
