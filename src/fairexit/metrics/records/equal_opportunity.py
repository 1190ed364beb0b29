"""Equal opportunity: gaps between groups in the true negative or true positive rate."""

import numpy as np

from fairexit.metrics.counts import Counts, Margins, margins
from fairexit.metrics.rates import (
    Empty,
    Values,
    class_share,
    mean_known,
    range_known,
    tnr,
    tpr,
    weighted_mean_known,
)
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


@gap(
    "eopp1_weighted",
    label="Eopp1 by images",
    rates=[tpr, class_share],
    moved=[True, False],
    main=True,
    weighted_form_of="eopp1",
)
def eopp1_weighted(tpr_values: Values, shares: Values) -> Values:
    """Equal opportunity weighted by images: mean of the ranges of TPR with weights n_c / N.

    n_c of the N samples of known group have class c. Classes at which fewer than two groups can be
    compared have no range, and the other weights are divided by their sum. With two groups: sum
    over c of n_c |TPR_0c - TPR_1c| / N, in [0, 1].

    In a bootstrap the weights are those of each draw; with fixed weights the intervals differ by
    less than 1 % of their width.
    """
    return weighted_mean_known(range_known(tpr_values, -2), shares[..., 0, :])
