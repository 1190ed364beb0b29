"""Equalised odds: gaps between groups in the true and the false positive rate together."""

import numpy as np

from fairexit.metrics.rates import (
    Values,
    class_share,
    fpr,
    mean_known,
    range_known,
    tpr,
    weighted_mean_known,
)
from fairexit.metrics.record import gap

# False positives of a class are missed samples of other classes, so the FPR of all classes cannot
# move in the same direction.
MOVED = (True, False)


def class_gaps(hits: Values, alarms: Values) -> Values:
    """Half the sum of the ranges of TPR and FPR over the groups that have both, (..., C)."""
    both = ~np.isnan(hits + alarms)
    ranges = [range_known(np.where(both, rates, np.nan), -2) for rates in (hits, alarms)]
    return (ranges[0] + ranges[1]) / 2


@gap("eodd", label="Eodd", rates=[tpr, fpr], moved=MOVED, main=True)
def eodd(hits: Values, alarms: Values) -> Values:
    """Equalised odds: mean over classes of half the sum of the ranges of TPR and FPR over groups.

    With two groups: mean over c of (|TPR_0c - TPR_1c| + |FPR_0c - FPR_1c|) / 2, in [0, 1].
    """
    return mean_known(class_gaps(hits, alarms))


@gap(
    "eodd_weighted",
    label="Eodd by images",
    rates=[tpr, fpr, class_share],
    moved=(*MOVED, False),
    main=True,
    weighted_form_of="eodd",
)
def eodd_weighted(hits: Values, alarms: Values, shares: Values) -> Values:
    """Equalised odds weighted by images: as `eodd`, with the weights of `eopp1_weighted`.

    With two groups: sum over c of n_c (|TPR_0c - TPR_1c| + |FPR_0c - FPR_1c|) / 2 N, in [0, 1].
    """
    return weighted_mean_known(class_gaps(hits, alarms), shares[..., 0, :])


@gap("eodd_paper", label="Eodd as printed", rates=[tpr, fpr], moved=MOVED)
def eodd_paper(hits: Values, alarms: Values) -> Values:
    """Equalised odds as the paper's tables print it; opposite gaps of TPR and FPR cancel.

    Mean over classes of half the range over groups of TPR + FPR; with two groups
    mean over c of |(TPR_0c - TPR_1c) + (FPR_0c - FPR_1c)| / 2 (Chiu et al. 2023). Never above
    `eodd`.
    """
    return mean_known(range_known(hits + alarms, -2)) / 2
