"""Gaps weighted by images, against an explicit loop, and their properties."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fairexit import metrics
from fairexit.metrics.rates import Empty, weighted_mean_known
from fairexit.metrics.record import METRICS, compute, gaps, main_metrics, weighted_form
from random_predictions import FEW

SEEDS = st.integers(0, 2**32)
PAIRS = {"eopp1": "eopp1_weighted", "eodd": "eodd_weighted"}
Counts = NDArray[np.int64]


def draw(seed: int, groups: int = 2, classes: int = 4, mean: float = 1.0) -> Counts:
    """Counts of a small sample, in which cells are empty now and then."""
    return np.random.default_rng(seed).poisson(mean, (groups, classes, classes))


def slow(counts: Counts, empty: Empty) -> dict[str, float]:
    """Both gaps class by class, with a weight that is counted anew for each."""
    groups, classes, _ = counts.shape
    sums = dict.fromkeys(PAIRS.values(), 0.0)
    weights = dict.fromkeys(PAIRS.values(), 0.0)
    for c in range(classes):
        hits, alarms, both = [], [], []
        for g in range(groups):
            positives = counts[g, c].sum()
            negatives = counts[g].sum() - positives
            tpr = counts[g, c, c] / positives if positives else 0.0
            false = sum(counts[g, y, c] for y in range(classes) if y != c)
            fpr = false / negatives if negatives else 0.0
            if positives or empty == "zero":
                hits.append(tpr)
            if (positives and negatives) or empty == "zero":
                both.append(tpr)
                alarms.append(fpr)
        of_class = sum(counts[g, c].sum() for g in range(groups))
        if len(hits) > 1:
            sums["eopp1_weighted"] += of_class * (max(hits) - min(hits))
            weights["eopp1_weighted"] += of_class
        if len(both) > 1:
            ranges = max(both) - min(both) + max(alarms) - min(alarms)
            sums["eodd_weighted"] += of_class * ranges / 2
            weights["eodd_weighted"] += of_class
    return {name: sums[name] / weights[name] if weights[name] else math.nan for name in sums}


@FEW
@given(
    seed=SEEDS,
    groups=st.integers(1, 4),
    classes=st.integers(1, 5),
    mean=st.sampled_from([0.2, 1.0, 5.0]),
)
@pytest.mark.parametrize("empty", ["exclude", "zero"])
def test_equal_a_loop(seed: int, groups: int, classes: int, mean: float, empty: Empty) -> None:
    counts = draw(seed, groups, classes, mean)
    for name, value in slow(counts, empty).items():
        np.testing.assert_allclose(METRICS[name](counts, empty), value, atol=1e-12, err_msg=name)


@FEW
@given(SEEDS)
@pytest.mark.parametrize(("plain", "weighted"), PAIRS.items())
def test_classes_of_equal_size_give_the_plain_mean(plain: str, weighted: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    answers = rng.dirichlet(np.ones(4), (2, 4))
    share = rng.uniform(0.1, 0.9, 4)  # the groups' shares differ from class to class
    counts = 60 * np.stack([share, 1 - share])[:, :, None] * answers
    assert METRICS[weighted](counts) == pytest.approx(METRICS[plain](counts))


@FEW
@given(SEEDS, st.integers(2, 4))
@pytest.mark.parametrize(("plain", "weighted"), PAIRS.items())
def test_values_lie_between_the_gaps_of_the_classes(
    plain: str, weighted: str, seed: int, groups: int
) -> None:
    counts = draw(seed, groups)
    value = METRICS[weighted](counts)
    assume(not math.isnan(value))
    assert 0 <= value <= 1
    order = np.random.default_rng(seed).permutation(4)
    turned = counts[:, order][:, :, order]
    assert METRICS[weighted](turned) == pytest.approx(value)


@FEW
@given(SEEDS)
def test_a_single_class_with_a_gap_is_all_there_is(seed: int) -> None:
    counts = draw(seed, mean=3)
    counts[0, 1:] = 0  # group 0 has samples of class 0 only
    assume(counts.sum(-1)[:, 0].all())
    hits = metrics.tpr(counts)[:, 0]
    assert METRICS["eopp1_weighted"](counts) == pytest.approx(abs(hits[0] - hits[1]))


def test_a_large_class_outweighs_a_small_one() -> None:
    # Class 0: 90 + 90 images, TPR 0.9 and 0.8. Class 1: 10 + 10 images, TPR 1.0 and 0.0.
    counts = np.array([[[81, 9], [0, 10]], [[72, 18], [10, 0]]])
    assert METRICS["eopp1"](counts) == pytest.approx((0.1 + 1.0) / 2)
    assert METRICS["eopp1_weighted"](counts) == pytest.approx(0.9 * 0.1 + 0.1 * 1.0)


def test_weights_of_classes_without_a_gap_go_to_the_others() -> None:
    # Class 2 is only in group 0: it has no gap, and the weights of the others are 3/4 and 1/4.
    counts = np.array(
        [[[3, 3, 0], [0, 2, 0], [0, 0, 50]], [[6, 0, 0], [2, 0, 0], [0, 0, 0]]], dtype=np.int64
    )
    assert METRICS["eopp1_weighted"](counts) == pytest.approx(3 / 4 * 0.5 + 1 / 4 * 1.0)


def test_no_weight_is_no_value() -> None:
    assert math.isnan(weighted_mean_known(np.array([0.3, np.nan]), np.array([0.0, 1.0])))
    assert weighted_mean_known(np.array([0.3, np.nan]), np.array([0.1, 1.0])) == 0.3


@FEW
@given(SEEDS)
def test_permuting_groups_leaves_the_weights(seed: int) -> None:
    counts = draw(seed, 3)
    # Samples of one class change their groups.
    other = counts.copy()
    other[[0, 1], 2] = other[[1, 0], 2]
    shares = metrics.class_share(counts)
    np.testing.assert_array_equal(metrics.class_share(other), shares)
    np.testing.assert_array_equal(shares[0], shares[2])
    assert shares[0].sum() == pytest.approx(1) or counts.sum() == 0


@FEW
@given(SEEDS)
def test_with_two_classes_eodd_is_the_same_by_images(seed: int) -> None:
    counts = draw(seed, 2, 2, 3)
    assume((counts.sum(-1) > 0).all())
    values = compute(counts)
    assert values["eodd_weighted"] == pytest.approx(values["eodd"])


def test_both_forms_stand_side_by_side_in_every_list() -> None:
    for names in (main_metrics(), gaps()):
        for plain, weighted in PAIRS.items():
            assert names.index(weighted) == names.index(plain) + 1
    assert {name: weighted_form(name) for name in PAIRS} == PAIRS
    assert weighted_form("eopp0") == ""
