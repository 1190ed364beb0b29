"""Equal opportunity: gaps between groups in the true negative or true positive rate."""

import numpy as np

from fairexit.metrics.counts import Counts, Margins, margins
from fairexit.metrics.rates import Empty, Values, mean_known, range_known, tnr, tpr
from fairexit.metrics.record import gap


def tnr_of_present(counts: Counts | Margins, empty: Empty = "exclude") -> Values:
    """True negative rate by group and class, excluded where the group has none of the class."""
    rates = tnr(counts, empty)
    return np.where(margins(counts).actual > 0, rates, np.nan) if empty == "exclude" else rates


@gap("eopp0", label="Eopp0", rates=[tnr_of_present])
def eopp0(tnr_values: Values) -> Values:
    """Equal opportunity for the negatives: mean over classes of the range of TNR over groups.

    With two groups: mean over c of |TNR_0c - TNR_1c| (Chiu et al. 2023), in [0, 1].
    """
    return mean_known(range_known(tnr_values, -2))


@gap("eopp1", label="Eopp1", rates=[tpr], main=True)
def eopp1(tpr_values: Values) -> Values:
    """Equal opportunity: mean over classes of the range of TPR over groups.

    With two groups: mean over c of |TPR_0c - TPR_1c| (Chiu et al. 2023), in [0, 1].
    """
    return mean_known(range_known(tpr_values, -2))
