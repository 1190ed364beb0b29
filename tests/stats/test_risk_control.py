"""Promises about a risk: p-values against slow sums, and how often a promise is broken."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairexit.stats.risk_control import (
    binomial_p,
    conformal_bound,
    fewest_units,
    hoeffding_bentkus_p,
    most_bad,
    passed,
    smallest_epsilon,
)


def tail(bad, n, epsilon):
    """Probability of at most `bad` of n, summed term by term in exact numbers."""
    share = Fraction(epsilon)
    return float(sum(math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(bad + 1)))


@pytest.mark.parametrize(("bad", "n", "epsilon"), [(0, 1, 0.5), (3, 40, 0.1), (15, 300, 0.05)])
def test_the_binomial_p_value_is_the_sum_of_its_terms(bad, n, epsilon):
    assert binomial_p(bad, n, epsilon) == pytest.approx(tail(bad, n, epsilon), rel=1e-9)


@pytest.mark.parametrize(("mean", "n"), [(0.0, 50), (0.02, 200), (0.3, 30), (0.1, 0)])
def test_hoeffding_and_bentkus_are_as_published(mean, n):
    epsilon = 0.1
    low = min(mean, epsilon)
    h = (low * math.log(low / epsilon) if low else 0) + (1 - low) * math.log(
        (1 - low) / (1 - epsilon)
    )
    expected = min(1, math.exp(-n * h), math.e * tail(math.ceil(round(n * mean, 9)), n, epsilon))
    assert hoeffding_bentkus_p(mean, n, epsilon) == pytest.approx(expected if n else 1, rel=1e-9)


@given(st.integers(1, 400), st.floats(0.005, 0.3), st.floats(0.01, 0.2))
def test_what_might_be_bad_is_where_the_p_value_passes(n, epsilon, delta):
    most = most_bad(n, epsilon, delta)
    assert most < 0 or binomial_p(most, n, epsilon) <= delta
    assert binomial_p(most + 1, n, epsilon) > delta
    assert (n >= fewest_units(epsilon, delta)) == (most >= 0)


@given(st.integers(1, 300), st.data(), st.floats(0.01, 0.2))
def test_the_smallest_promise_is_where_the_p_value_is_delta(n, data, delta):
    bad = data.draw(st.integers(0, n - 1))
    assert binomial_p(bad, n, smallest_epsilon(bad, n, delta)) == pytest.approx(delta, rel=1e-6)


def test_a_sequence_ends_at_the_first_failure():
    assert passed(np.array([0.06, 0.0]), 0.05) == 0
    assert passed(np.array([0.05, 0.01]), 0.05) == 2
    assert passed(np.array([0.01, np.nan, 0.01]), 0.05) == 1


def test_too_few_units_promise_nothing():
    assert most_bad(150, 0.01, 0.05) == -1
    assert binomial_p(0, 0, 0.01) == 1
    assert conformal_bound(0.0, 0) == 1
