"""P-values corrected for multiple tests."""

import numpy as np

from fairexit.metrics.rates import Values


def max_t(observed: Values, null: Values, alpha: float) -> tuple[Values, Values, Values]:
    """P-values of many tests, uncorrected and corrected by the largest statistic of each draw.

    Each statistic is standardised: minus its mean under permutation, divided by its standard
    deviation. The corrected p-value is the share of draws whose largest statistic over all tests is
    at least as large as this one (Westfall and Young 1993, single-step max-T). It accounts for the
    dependence between the tests and limits the probability of any false positive to alpha.

    Args:
        observed: J statistics; those that are NaN are not tested.
        null: the same statistics in B draws without an effect, (B, J).
        alpha: allowed probability of any false positive.
    Returns:
        P-values uncorrected and corrected, and the statistic from which the corrected test
        rejects, each (J,), NaN where the statistic is NaN.
    """
    tested = np.flatnonzero(~np.isnan(observed))
    result = np.full((3, len(observed)), np.nan)
    if len(tested):
        # The data count as one of the draws, so that no p-value is 0.
        values = np.concatenate([observed[None, tested], null[:, tested]])
        mean, spread = values.mean(0), values.std(0)
        t = np.divide(values - mean, spread, out=np.zeros(values.shape), where=spread > 1e-9)
        largest = t.max(1)
        # Sums in a different order differ in the last digits; ties must remain ties.
        result[0, tested] = (t >= t[0] - 1e-9).mean(0)
        result[1, tested] = (largest[:, None] >= t[0] - 1e-9).mean(0)
        result[2, tested] = mean + spread * np.quantile(largest, 1 - alpha)
    return result[0], result[1], result[2]


def holm(p_values: Values) -> Values:
    """P-values (J,) corrected by the step-down method of Holm (1979); NaN is not tested.

    >>> holm(np.array([0.01, 0.04, np.nan, 0.03])).tolist()
    [0.03, 0.06, nan, 0.06]
    """
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    corrected = np.full(len(p_values), np.nan)
    steps = p_values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected
