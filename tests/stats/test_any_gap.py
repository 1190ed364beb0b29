"""The combined test of a gap in any class: against loops, and on drawn gaps."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from clustered import as_sample, clustered
from fairexit.metrics.rates import range_known, tpr
from fairexit.stats.any_gap import combined_test, scaled_squares
from fairexit.stats.permutation import permute
from fairexit.stats.resampling import named_measures

FEW = settings(deadline=None, max_examples=25)
SEEDS = st.integers(0, 2**32)
SIZES = np.array([0.01, 0.01, 0.02, 0.02, 0.05, 0.1, 0.1, 0.15])
Values = NDArray[np.float64]


def draw_gaps(rng: np.random.Generator, draws: int, true: Values | float = 0.0) -> Values:
    """Absolute gaps of 8 classes with different noise, (draws, 8)."""
    return np.abs(true + SIZES * rng.standard_normal((draws, len(SIZES))))


def p_values(gaps: Values, null: Values) -> tuple[float, float, float]:
    result = combined_test(gaps, null, float(gaps.mean()), null.mean(1))
    return result.mean, result.total, result.combined


def slow(gaps: list[float], null: list[list[float]]) -> tuple[float, float, float]:
    """The test with loops over draws and classes, where all gaps are defined and vary."""
    rows = [gaps, *null]
    size = [sum(row[c] ** 2 for row in rows) / len(rows) for c in range(len(gaps))]
    statistics = [
        [sum(row) / len(row), sum(g**2 / v for g, v in zip(row, size, strict=True))] for row in rows
    ]
    standard = []
    for column in zip(*statistics, strict=True):
        mean = sum(column) / len(column)
        spread = math.sqrt(sum((x - mean) ** 2 for x in column) / len(column))
        standard.append([(x - mean) / spread for x in column])
    single = [sum(x >= column[0] - 1e-9 for x in column) / len(column) for column in standard]
    largest = [max(pair) for pair in zip(*standard, strict=True)]
    return single[0], single[1], sum(x >= largest[0] - 1e-9 for x in largest) / len(largest)


@FEW
@given(SEEDS, st.integers(2, 60))
def test_equals_a_loop(seed: int, draws: int) -> None:
    rng = np.random.default_rng(seed)
    gaps, null = draw_gaps(rng, 1)[0], draw_gaps(rng, draws)
    assert p_values(gaps, null) == pytest.approx(slow(gaps.tolist(), null.tolist()))


@FEW
@given(SEEDS)
def test_the_p_value_of_the_mean_is_that_of_the_audit(seed: int) -> None:
    chance = permute(
        as_sample(*clustered(seed, 60)),
        metrics=named_measures(["eopp1"]) | {"tpr": tpr},
        n_resamples=99,
    )
    result = combined_test(
        range_known(chance.point["tpr"][0], -2),
        range_known(chance.null["tpr"][:, 0], -2),
        float(chance.point["eopp1"][0]),
        chance.null["eopp1"][:, 0],
    )
    if not np.isnan(chance.null["eopp1"][:, 0]).any():
        np.testing.assert_equal(result.mean, float(chance.p_value("eopp1")[0]))


def test_false_alarms_are_as_many_as_allowed() -> None:
    rng = np.random.default_rng(0)
    alarms = np.array(
        [
            [p <= 0.05 for p in p_values(draw_gaps(rng, 1)[0], draw_gaps(rng, 199))]
            for _ in range(1000)
        ]
    )
    # Four standard errors of 1000 tests are 2.8 %.
    assert (np.abs(alarms.mean(0) - 0.05) < 0.028).all()


@pytest.mark.parametrize(
    ("true", "least", "mean_is_weak"),
    [
        (np.where(SIZES < 0.05, 0.05, 0.0), 0.9, True),  # in common classes, whose noise is small
        (np.where(SIZES > 0.05, 0.35, 0.0), 0.9, False),  # in rare classes
    ],
)
def test_gaps_in_common_and_in_rare_classes_are_found(
    true: Values, least: float, mean_is_weak: bool
) -> None:
    rng = np.random.default_rng(1)
    found = np.array(
        [
            [p <= 0.05 for p in p_values(draw_gaps(rng, 1, true)[0], draw_gaps(rng, 199))]
            for _ in range(100)
        ]
    ).mean(0)
    assert found[2] >= least
    assert (found[0] < 0.5) == mean_is_weak


def test_classes_that_do_not_vary_or_cannot_be_compared_are_left_out() -> None:
    rng = np.random.default_rng(2)
    gaps, null = draw_gaps(rng, 1, 0.05)[0], draw_gaps(rng, 99)
    fixed, undefined = np.full((100, 1), 0.2), np.full((100, 1), np.nan)
    more = np.hstack([np.vstack([gaps, null]), fixed, undefined])
    assert scaled_squares(more[0], more[1:])[0] == pytest.approx(scaled_squares(gaps, null)[0])
    mean = float(gaps.mean())
    assert combined_test(more[0], more[1:], mean, null.mean(1)) == pytest.approx(
        combined_test(gaps, null, mean, null.mean(1))
    )


def test_a_class_that_is_missing_in_some_permutations_keeps_its_size() -> None:
    rng = np.random.default_rng(3)
    gaps, null = draw_gaps(rng, 1)[0], draw_gaps(rng, 999)
    null[::2, 0] = np.nan
    statistic, values = scaled_squares(gaps, null)
    assert np.isfinite(values).all()
    # Each scaled square is 1 on average, so a missing one does not move the mean.
    assert values[::2].mean() == pytest.approx(values[1::2].mean(), abs=0.15)
    assert np.isfinite(statistic)


def test_without_any_class_there_is_no_p_value() -> None:
    nothing = combined_test(np.full(3, np.nan), np.full((9, 3), np.nan), np.nan, np.full(9, np.nan))
    assert all(math.isnan(p) for p in nothing)


def test_a_model_that_gives_one_answer_has_no_gap() -> None:
    result = combined_test(np.zeros(3), np.zeros((99, 3)), 0.0, np.zeros(99))
    assert result.mean == result.combined == 1
    assert math.isnan(result.total)
