"""Promises about a risk that hold with a stated probability, from independent units.

A unit is a lesion or a patient, and its loss lies in [0, 1]. Thresholds are tested one after the
other from the safest on, each against the hypothesis that its risk is above epsilon, until one is
not rejected (Learn then Test by fixed sequence: Angelopoulos et al. 2021). Then the risk of *all*
rejected thresholds is at most epsilon with probability 1 - delta, however they look in the sample.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv

Floats = NDArray[np.float64]


def binomial_p(bad: Any, n: Any, epsilon: float) -> Floats:
    """P-value of "at least a share epsilon of all units is bad", where `bad` of n units are.

    The probability that a binomial variable of n draws with probability epsilon is at most `bad`;
    exact for losses of 0 and 1. Arrays are broadcast; 1 without units.
    """
    bad, n = np.broadcast_arrays(np.asarray(bad, np.float64), np.asarray(n, np.float64))
    some = np.maximum(n - bad, 1)  # where all are bad the probability is 1
    return np.where(bad < n, betainc(some, bad + 1, 1 - epsilon), 1.0)


def hoeffding_bentkus_p(mean: Any, n: Any, epsilon: float) -> Floats:
    """P-value of "the mean loss is above epsilon", where n units have the mean loss `mean`.

    The smaller of the bounds of Hoeffding (1963) and Bentkus (2004), as Bates et al. (2021) join
    them; valid for any losses in [0, 1]. Arrays are broadcast; 1 without units.
    """
    mean, n = np.broadcast_arrays(np.asarray(mean, np.float64), np.asarray(n, np.float64))
    low = np.minimum(mean, epsilon)
    with np.errstate(divide="ignore", invalid="ignore"):
        hit = np.where(low > 0, low * np.log(low / epsilon), 0.0)
        divergence = hit + (1 - low) * np.log((1 - low) / (1 - epsilon))
    hoeffding = np.exp(-n * divergence)
    # Sums of float losses that should be a whole number must not be rounded up to the next one.
    bentkus = math.e * binomial_p(np.ceil(n * mean - 1e-9), n, epsilon)
    return np.where(n > 0, np.minimum(1.0, np.minimum(hoeffding, bentkus)), 1.0)


def conformal_bound(mean: Any, n: Any) -> Floats:
    """Bound of the expected loss of a new unit (conformal risk control, Angelopoulos et al. 2024).

    It holds on average over samples, not with probability 1 - delta, and only for a loss that does
    not fall from one threshold to the next; 1 without units.
    """
    return (np.asarray(n) * mean + 1) / (np.asarray(n) + 1.0)


def passed(p: Floats, delta: float) -> int:
    """How many tests of a sequence (K,) are rejected at level delta before the first that is not.

    >>> passed(np.array([0.001, 0.02, 0.3, 0.01]), 0.05)
    2
    """
    failed = np.flatnonzero(~(p <= delta))
    return int(failed[0]) if len(failed) else len(p)


def smallest_epsilon(bad: int, n: int, delta: float) -> float:
    """The smallest share that n units, `bad` of them bad, could promise (Clopper and Pearson 1934).

    >>> round(smallest_epsilon(0, 150, 0.05), 4)
    0.0198
    """
    return 1.0 if bad >= n else float(betaincinv(bad + 1, n - bad, 1 - delta))


def most_bad(n: int, epsilon: float, delta: float) -> int:
    """The largest number of bad units among n that still allows the promise; -1 if none does.

    >>> most_bad(150, 0.01, 0.05), most_bad(2400, 0.01, 0.05)
    (-1, 15)
    """
    allowed = np.flatnonzero(binomial_p(np.arange(n + 1), n, epsilon) <= delta)
    return int(allowed[-1]) if len(allowed) else -1


def fewest_units(epsilon: float, delta: float) -> int:
    """The number of units that allows the promise if none of them is bad.

    >>> fewest_units(0.01, 0.05)
    299
    """
    return math.ceil(math.log(delta) / math.log1p(-epsilon))
