"""Equalised odds: gaps between groups in the true and the false positive rate together."""

import numpy as np

from fairexit.metrics.rates import Values, fpr, mean_known, range_known, tpr
from fairexit.metrics.record import gap

# False positives of a class are missed samples of other classes, so the FPR of all classes cannot
# move in the same direction.
MOVED = (True, False)


@gap("eodd", label="Eodd", rates=[tpr, fpr], moved=MOVED, main=True)
def eodd(hits: Values, alarms: Values) -> Values:
    """Equalised odds: mean over classes of half the sum of the ranges of TPR and FPR over groups.

    With two groups: mean over c of (|TPR_0c - TPR_1c| + |FPR_0c - FPR_1c|) / 2, in [0, 1].
    """
    both = ~np.isnan(hits + alarms)
    ranges = [range_known(np.where(both, rates, np.nan), -2) for rates in (hits, alarms)]
    return mean_known(ranges[0] + ranges[1]) / 2


@gap("eodd_paper", label="Eodd as printed", rates=[tpr, fpr], moved=MOVED)
def eodd_paper(hits: Values, alarms: Values) -> Values:
    """Equalised odds as the paper's tables print it; opposite gaps of TPR and FPR cancel.

    Mean over classes of half the range over groups of TPR + FPR; with two groups
    mean over c of |(TPR_0c - TPR_1c) + (FPR_0c - FPR_1c)| / 2 (Chiu et al. 2023). Never above
    `eodd`.
    """
    return mean_known(range_known(hits + alarms, -2)) / 2
