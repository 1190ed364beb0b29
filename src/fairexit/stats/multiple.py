"""Many tests at once: p-values that heed how many there are."""

import numpy as np

from fairexit.metrics.rates import Values


def max_t(observed: Values, null: Values, alpha: float) -> tuple[Values, Values, Values]:
    """P-values of many tests, alone and corrected by the largest statistic of each draw.

    Each statistic is put into standard deviations above its mean under permutation. The corrected
    p-value is the share of draws whose largest one over all tests is as large as this (Westfall
    and Young 1993, single-step max-T). It heeds that the tests hang together and holds the chance
    of any false alarm at alpha.

    Args:
        observed: J statistics; NaN takes no part.
        null: the same in B draws without effect, (B, J).
        alpha: allowed chance of any false alarm.
    Returns:
        P-values alone and corrected, and the statistic from which the corrected test rejects,
        each (J,), NaN where the statistic is.
    """
    tested = np.flatnonzero(~np.isnan(observed))
    result = np.full((3, len(observed)), np.nan)
    if len(tested):
        # The data are one of the draws, so that no p-value is 0.
        values = np.concatenate([observed[None, tested], null[:, tested]])
        mean, spread = values.mean(0), values.std(0)
        t = np.divide(values - mean, spread, out=np.zeros(values.shape), where=spread > 1e-9)
        largest = t.max(1)
        # Sums in another order differ in the last digits; a tie must stay a tie.
        result[0, tested] = (t >= t[0] - 1e-9).mean(0)
        result[1, tested] = (largest[:, None] >= t[0] - 1e-9).mean(0)
        result[2, tested] = mean + spread * np.quantile(largest, 1 - alpha)
    return result[0], result[1], result[2]
