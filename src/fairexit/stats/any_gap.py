"""The combined test: is there a gap in any class?

The mean of the absolute gaps of all classes counts a rare class as much as a common one, and its
noise with it. The sum of the squared gaps, each divided by what chance alone gives at its class,
finds small gaps in many or in common classes far more often, and large ones in rare classes alone
less often. The combined test takes whichever of the two says more, corrected for having looked at
both.
"""

from typing import NamedTuple

import numpy as np

from fairexit.metrics.rates import Values, mean_known, range_known
from fairexit.stats.multiple import max_t

NO_RANGE = 1e-9
"""Range of permuted gaps up to which they are equal but for rounding."""


class AnyGap(NamedTuple):
    """P-values of the combined test.

    Attributes:
        mean: of the mean of the absolute gaps, as `Permutation.p_value` gives it.
        total: of the sum of the squared gaps over their means under permutation.
        combined: the smaller of the two, corrected over both by the same permutations.
    """

    mean: float
    total: float
    combined: float


def scaled_squares(observed: Values, null: Values) -> tuple[float, Values]:
    """Squared gaps relative to chance, the mean over the cells.

    The mean over cells c of g_c^2 / v_c, where v_c is the mean of g_c^2 over the permutations and
    the data, which count as one of them. Cells whose gaps do not vary tell nothing and are left
    out. Where all cells are defined this is the sum of g_c^2 / v_c over their number.

    Args:
        observed: gaps by cell, (J,), NaN where it is undefined.
        null: the same under permutation, (B, J).
    Returns:
        The measured statistic, NaN without any cell, and those under permutation, (B,).
    """
    values = np.concatenate([observed[None], null])
    values = values[:, ~np.isnan(observed)]
    known = ~np.isnan(values)
    times = known.sum(0)
    squares = np.where(known, values, 0.0) ** 2
    size = squares.sum(0) / times
    varies = range_known(values, 0) > NO_RANGE
    statistic = mean_known(np.where(known, squares, np.nan)[:, varies] / size[varies])
    return float(statistic[0]), statistic[1:]


def combined_test(
    observed_class_gaps: Values,
    null_class_gaps: Values,
    observed_mean: float,
    null_mean_draws: Values,
) -> AnyGap:
    """Test whether there is a gap in any class, by two statistics and the same permutations.

    Both statistics are standardised by their permutations, and the larger one is compared with the
    larger one of each permutation (`fairexit.stats.multiple.max_t`).

    Args:
        observed_class_gaps: range over the groups of a rate by class, (J,); for equalised odds the
            ranges of TPR and of FPR together. NaN where a class cannot be compared.
        null_class_gaps: the same under permutation of the groups, (B, J).
        observed_mean: the mean of the absolute gaps, such as Eopp1.
        null_mean_draws: the same under permutation, (B,).
    Returns:
        The p-values, NaN where a statistic is undefined.
    """
    total, null_total = scaled_squares(observed_class_gaps, null_class_gaps)
    observed = np.array([observed_mean, total])
    null = np.stack([null_mean_draws, null_total], axis=1)
    tested = ~np.isnan(observed)
    # A permutation in which no class can be compared says nothing.
    complete = ~np.isnan(null[:, tested]).any(1)
    single, corrected, _ = max_t(observed, null[complete], alpha=0.05)  # p-values need no alpha
    combined = float(np.nanmin(corrected)) if tested.any() else float("nan")
    return AnyGap(float(single[0]), float(single[1]), combined)
