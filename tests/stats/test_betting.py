"""Evidence by betting against slow twins, and the promises that it makes."""

import math
from itertools import product

import numpy as np
import pytest

from fairexit.stats import betting
from fairexit.stats.betting import BETS, LEVELS, STEPS, Evidence, evidence_on_mean, lower, wider


def tally(values, looks=None):
    """How often each value has occurred until each look."""
    looks = np.zeros(len(values), int) if looks is None else np.asarray(looks)
    table = np.zeros((looks.max() + 1, LEVELS + 1), np.int64)
    np.add.at(table, (looks, np.rint(np.asarray(values) * LEVELS).astype(int)), 1)
    return table.cumsum(0)


def wealth(values, v):
    """The wealth of bets that the mean is below v, one bet after the other."""
    total = 0.0
    for c in BETS:
        money = 1.0
        for x in values:
            money *= 1 + c * (v - x) / (1 - v)
        total += money / len(BETS)
    return total


def random_evidence(seed, width=9, looks=2, start=-4):
    """Any evidence that rises and falls as evidence does."""
    rng = np.random.default_rng(seed)
    below = np.sort(rng.normal(size=(looks, width)), 1)
    return Evidence(start, below, -np.sort(-rng.normal(size=(looks, width)), 1))


def test_wealth_is_that_of_single_bets():
    values = np.random.default_rng(0).choice([0, 0.25, 0.5, 1], 30)
    evidence = evidence_on_mean(tally(values))
    for step in (40, 200, 399):
        v = step / STEPS
        assert evidence.below[0, step] == pytest.approx(math.log(wealth(values, v)))
        assert evidence.above[0, step] == pytest.approx(math.log(wealth(1 - values, 1 - v)))


def test_money_that_enters_later_bets_only_on_what_follows():
    rng = np.random.default_rng(1)
    values, looks = rng.integers(0, 2, 40).astype(float), np.arange(40) // 10
    evidence = evidence_on_mean(tally(values, looks), restart=True)
    v = 0.7
    for t in range(4):
        entered = [0.5, *(0.5 / (k * (k + 1)) for k in range(1, t + 1))]
        expected = 1 - sum(entered)
        for start, share in enumerate(entered):
            expected += share * wealth(values[(looks >= start) & (looks <= t)], v)
        assert evidence.below[t, round(v * STEPS)] == pytest.approx(math.log(expected))


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("mean", [0.1, 0.5, 0.85])
def test_the_expected_e_value_of_the_true_mean_is_1(mean, restart):
    looks = [0, 0, 0, 1, 1, 2, 2, 2]
    step = round(mean * STEPS)
    expected = np.zeros((3, 2))
    for values in product([0.0, 1.0], repeat=len(looks)):
        probability = np.prod([mean if x else 1 - mean for x in values])
        evidence = evidence_on_mean(tally(values, looks), restart=restart)
        both = np.stack([evidence.below[:, step], evidence.above[:, step]], 1)
        expected += probability * np.exp(both)
    np.testing.assert_allclose(expected, 1, rtol=1e-9)


def test_evidence_rises_with_what_is_denied():
    values = np.random.default_rng(2).random(200).round(2)
    evidence = evidence_on_mean(tally(values, np.arange(200) // 20), restart=True)
    assert (np.diff(evidence.below, axis=1) >= -1e-9).all()
    assert (np.diff(evidence.above, axis=1) <= 1e-9).all()


def test_order_within_a_look_does_not_matter():
    values = np.random.default_rng(3).random(60)
    one, other = (evidence_on_mean(tally(v)) for v in (values, values[::-1]))
    assert (one.below == other.below).all()


def test_a_difference_is_denied_by_its_least_favourable_pair():
    a, b = random_evidence(0), random_evidence(1, looks=1)
    d = a - b
    assert (d.start, d.below.shape) == (-8, (2, 17))
    last = 8
    for t, (k, step) in product(range(2), enumerate(range(-8, 9))):
        # Every pair of cells whose values may differ by so much, each at its corner.
        pairs = [(i, i - step) for i in range(9) if 0 <= i - step <= last]
        below = min(a.below[t, i] + b.above[0, min(j + 1, last)] for i, j in pairs)
        above = min(a.above[t, min(i + 1, last)] + b.below[0, j] for i, j in pairs)
        assert d.below[t, k] == below
        assert d.above[t, k] == above


def test_the_shortcut_for_one_difference_is_the_whole_difference():
    a, b = random_evidence(2, start=0), random_evidence(3, looks=1, start=0)
    d = a - b
    for by in (0, 3):
        np.testing.assert_array_equal(lower(a, b, by), d.below[:, -by - d.start])
    np.testing.assert_array_equal(lower(-a, -b), d.above[:, -d.start])


def test_a_sign_is_changed_twice_to_no_effect():
    a = random_evidence(4, start=1)
    negative = -a
    b = -negative
    assert b.start == 1
    assert (b.below == a.below).all()
    assert (negative.below == a.above[:, ::-1]).all()


def test_a_wider_gap_is_denied_by_every_pair_that_is_not_wider():
    new, base = random_evidence(5), random_evidence(6, looks=1)
    tolerance = 1
    found = wider(new, base, tolerance)
    for t in range(2):
        for i, j in product(range(9), repeat=2):
            if abs(i - 4) > abs(j - 4) + tolerance:
                continue
            # Evidence on one side of the true pair: NEW is lower, and BASE nearer to 0.
            of_base = base.above[0, j] if j <= 4 else base.below[0, j]
            assert (
                found[t]
                <= max(
                    new.below[t, i] + of_base,
                    new.above[t, i] + (base.below[0, j] if j >= 4 else base.above[0, j]),
                )
                - math.log(2)
                + 1e-12
            )


@pytest.mark.parametrize(
    ("gap", "sees"), [((0.9, 0.6), True), ((0.6, 0.9), True), ((0.8, 0.8), False)]
)
def test_a_gap_that_is_wider_on_either_side_is_seen(gap, sees):
    rng = np.random.default_rng(7)

    def of(p, n, **options):
        return evidence_on_mean(tally((rng.random(n) < p).astype(float)), **options)

    base = of(0.8, 2000) - of(0.8, 2000)
    new = of(gap[0], 1000) - of(gap[1], 1000)
    assert (wider(new, base, 20)[-1] > math.log(20)) == sees


def test_a_gap_that_closes_is_not_wider():
    rng = np.random.default_rng(8)
    sides = [
        evidence_on_mean(tally((rng.random(3000) < p).astype(float))) for p in (0.9, 0.6, 0.75)
    ]
    base, new = sides[0] - sides[1], sides[2] - sides[2]
    assert lower(new, base)[-1] > math.log(1000)
    assert wider(new, base, 0)[-1] < 0


def test_intervals_hold_the_truth_at_all_looks_in_most_series():
    misses = 0
    for seed in range(100):
        rng = np.random.default_rng([9, seed])
        values = rng.beta(4, 2, 400).round(2)
        evidence = evidence_on_mean(tally(values, np.arange(400) // 10))
        low, high = evidence.interval(math.log(2 / 0.2))
        assert (low[-1], high[-1]) == pytest.approx((2 / 3, 2 / 3), abs=0.12)
        misses += not ((low <= 2 / 3) & (high >= 2 / 3)).all()
    assert misses <= 20


def test_wealth_without_bounds_stays_a_number():
    evidence = evidence_on_mean(np.eye(LEVELS + 1, dtype=np.int64)[[LEVELS]] * 10**7)
    for side in (evidence.below, evidence.above):
        assert np.isfinite(side).all()
    assert evidence.above[0, 200] == pytest.approx(math.log(betting.MOST))
