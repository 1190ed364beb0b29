"""The rules on numbers alone: the cheapest with nearly the best F1, a fairer one, ties."""

import numpy as np
import pytest

from fairexit.evaluation.rules import best_option, cheapest_or_fairer, paired_errors
from fairexit.metrics.record import METRICS

THETAS = (0.9, 0.85, 0.8, None)
COST = np.array([0.7, 0.6, 0.5, 1.0])


def choose(f1, gap, error=0.01, cost=COST, tolerance=0.01):
    """Index of the choice, all differences having the same standard error."""
    errors = np.full((len(f1), len(f1)), error)
    chosen, _ = cheapest_or_fairer(
        np.array(f1), np.array(gap), errors=errors, cost=cost, tolerance=tolerance
    )
    return THETAS[chosen]


def test_the_cheapest_within_the_tolerance_is_chosen():
    gap = [0.1] * 4
    assert choose([0.7, 0.7, 0.7, 0.7], gap) == 0.8
    assert choose([0.7, 0.7, 0.6899, 0.7], gap) == 0.85
    assert choose([0.7, 0.7, 0.69, 0.7], gap) == 0.8
    assert choose([0.69, 0.68, 0.5, 0.7], gap, tolerance=0) is None
    # The best F1 is that of any candidate, not only that of the final exit.
    assert choose([0.72, 0.7, 0.7, 0.7], gap) == 0.9


@pytest.mark.parametrize(("lead", "theta"), [(0.0163, 0.8), (0.0165, 0.9)])
def test_a_fairer_theta_must_lead_by_1_64_standard_errors(lead, theta):
    assert choose([0.7] * 4, [0.1 - lead, 0.1, 0.1, 0.1]) == theta


def test_of_the_fairer_thetas_the_fairest_is_chosen_and_of_equals_the_larger():
    assert choose([0.7] * 4, [0.07, 0.06, 0.1, 0.2]) == 0.85
    assert choose([0.7] * 4, [0.1 - 0.03, 0.07, 0.1, 0.2]) == 0.9
    assert choose([0.7] * 4, [0.1, 0.1, 0.1, 0.05]) is None


def test_a_fairer_theta_that_loses_f1_is_not_chosen():
    assert choose([0.68, 0.7, 0.7, 0.7], [0.0, 0.1, 0.1, 0.1]) == 0.8


def test_nothing_is_shown_without_an_error_or_a_gap():
    assert choose([0.7] * 4, [0.0, 0.1, 0.1, 0.1], error=0.0) == 0.8
    assert choose([0.7] * 4, [0.0, 0.1, 0.1, 0.1], error=np.nan) == 0.8
    assert choose([0.7] * 4, [np.nan, 0.1, 0.1, 0.1]) == 0.8
    assert choose([0.7] * 4, [0.0, 0.1, np.nan, 0.1]) == 0.8


def test_of_equal_costs_the_larger_theta_is_chosen():
    cost = np.array([0.5, 0.1 + 0.2, 0.3, 1.0])
    assert choose([0.7] * 4, [0.1] * 4, cost=cost) == 0.85
    assert choose([0.7] * 4, [0.1] * 4, cost=np.ones(4)) == 0.9


def test_values_that_differ_by_rounding_are_equal():
    values = np.array([0.3, 0.1 + 0.2, 0.25 + 1e-14, 0.25])
    f1 = np.full(4, 0.8)
    assert best_option(METRICS["eodd"], values, f1, 0.7) == 2
    assert best_option(METRICS["f1"], -values, f1, 0.7) == 2
    assert best_option(METRICS["eodd"], values[:2], f1[:2], 0.7) == 0


def test_errors_are_the_deviations_of_the_differences():
    draws = np.random.default_rng(0).normal(size=(50, 3))
    draws[7, 1] = np.nan
    errors = paired_errors(draws)
    rows = [row for row in draws if not np.isnan(row).any()]
    for i in range(3):
        for j in range(3):
            expected = np.std([row[i] - row[j] for row in rows], ddof=1)
            assert errors[i, j] == pytest.approx(expected, abs=1e-12)
    assert np.isnan(paired_errors(np.full((5, 3), np.nan))).all()
