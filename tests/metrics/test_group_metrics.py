"""Group metrics against explicit loops, scikit-learn and fairlearn, and their properties."""

import math
import warnings
from typing import Any

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame, true_positive_rate
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    precision_recall_fscore_support,
)

import fairexit.metrics
from fairexit import metrics
from fairexit.errors import UserError
from fairexit.metrics.counts import count
from fairexit.metrics.rates import Empty
from fairexit.metrics.record import METRICS, compute
from random_predictions import FEW

SEEDS = st.integers(0, 2**32)
Samples = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def samples(
    seed: int, n: int = 25, classes: int = 4, groups: int = 2, *, evenness: float = 0.5
) -> Samples:
    """Labels, answers, groups; by default so uneven that cells are empty now and then."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(classes, evenness))
    labels = rng.choice(classes, n, p=shares)
    answers = np.where(rng.random(n) < 0.5, labels, rng.choice(classes, n, p=shares))
    return labels, answers, rng.integers(0, groups, n)


def slow_gaps(s: Samples, classes: int, groups: int, empty: Empty) -> dict[str, float]:
    """Eopp0, Eopp1 and both forms of Eodd, sample by sample."""
    gaps: dict[str, list[float]] = {"eopp0": [], "eopp1": [], "eodd_paper": [], "eodd": []}
    for c in range(classes):
        tprs, tnrs, fprs = [], [], []
        both = []
        for g in range(groups):
            cells = {"tp": 0, "fn": 0, "fp": 0, "tn": 0}
            for y, p, a in zip(*s, strict=True):
                if a == g:
                    side = ("tp" if p == c else "fn") if y == c else ("fp" if p == c else "tn")
                    cells[side] += 1
            positives, negatives = cells["tp"] + cells["fn"], cells["fp"] + cells["tn"]
            tpr = cells["tp"] / positives if positives else 0.0
            tnr = cells["tn"] / negatives if negatives else 0.0
            fpr = cells["fp"] / negatives if negatives else 0.0
            if empty == "zero" or positives:
                tprs.append(tpr)
            if empty == "zero" or (positives and negatives):
                tnrs.append(tnr)
                fprs.append(fpr)
                both.append(tpr)
        if len(tprs) > 1:
            gaps["eopp1"].append(max(tprs) - min(tprs))
        if len(both) > 1:
            sums = [t + f for t, f in zip(both, fprs, strict=True)]
            usual = max(both) - min(both) + max(fprs) - min(fprs)
            gaps["eopp0"].append(max(tnrs) - min(tnrs))
            gaps["eodd_paper"].append((max(sums) - min(sums)) / 2)
            gaps["eodd"].append(usual / 2)
    return {name: sum(v) / len(v) if v else math.nan for name, v in gaps.items()}


@FEW
@given(seed=SEEDS, n=st.integers(0, 40), classes=st.integers(1, 5), groups=st.integers(1, 4))
@pytest.mark.parametrize("empty", ["exclude", "zero"])
def test_gaps_equal_a_loop(seed: int, n: int, classes: int, groups: int, empty: Empty) -> None:
    s = samples(seed, n, classes, groups)
    values = compute(count(*s, num_classes=classes, num_groups=groups), empty=empty)
    for name, slow in slow_gaps(s, classes, groups, empty).items():
        if groups == 1:
            assert math.isnan(values[name])
        else:
            np.testing.assert_allclose(values[name], slow, atol=1e-12, err_msg=name)


@FEW
@given(SEEDS, st.integers(1, 40))
def test_macro_means_equal_scikit_learn(seed: int, n: int) -> None:
    labels, answers, groups = samples(seed, n, 5)
    counts = count(labels, answers, groups, num_classes=5, num_groups=2)
    for g in np.unique(groups):
        y, p = labels[groups == g], answers[groups == g]
        expected = precision_recall_fscore_support(y, p, average="macro", zero_division=0)
        ours = [m(counts)[g] for m in (metrics.precision, metrics.recall, metrics.f1)]
        np.testing.assert_allclose(ours, expected[:3], atol=1e-12)
        assert metrics.group_accuracy(counts)[g] == pytest.approx(accuracy_score(y, p))
    assert METRICS["accuracy"](counts, "exclude") == pytest.approx(accuracy_score(labels, answers))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of answers that are no label
        balanced = balanced_accuracy_score(labels, answers)
    assert METRICS["balanced_accuracy"](counts, "exclude") == pytest.approx(balanced)


@FEW
@given(SEEDS, st.integers(2, 4))
def test_eopp1_equals_fairlearn(seed: int, groups: int) -> None:
    s = samples(seed, 200, 3, groups, evenness=8)
    counts = count(*s, num_classes=3, num_groups=groups)
    assume((counts.sum(-1) > 0).all())
    labels, answers, group = s
    gaps = [
        MetricFrame(
            metrics=true_positive_rate,
            y_true=labels == c,
            y_pred=answers == c,
            sensitive_features=group,
        ).difference()
        for c in range(3)
    ]
    assert metrics.eopp1(counts) == pytest.approx(np.mean(gaps))


@FEW
@given(SEEDS)
def test_two_groups_give_the_formulas_of_the_paper(seed: int) -> None:
    counts = count(*samples(seed, 200, 3, evenness=8), num_classes=3, num_groups=2)
    assume((counts.sum(-1) > 0).all())
    t, n, f = (rate(counts) for rate in (metrics.tpr, metrics.tnr, metrics.fpr))
    values = compute(counts)
    assert values["eopp0"] == pytest.approx(abs(n[0] - n[1]).mean())
    assert values["eopp1"] == pytest.approx(abs(t[0] - t[1]).mean())
    assert values["eodd_paper"] == pytest.approx((abs((t[0] - t[1]) + (f[0] - f[1])) / 2).mean())
    assert values["eodd"] == pytest.approx(((abs(t[0] - t[1]) + abs(f[0] - f[1])) / 2).mean())
    f1 = metrics.f1(counts)
    assert values["f1"] == pytest.approx((f1[0] + f1[1]) / 2)
    assert values["f1_diff"] == pytest.approx(abs(f1[0] - f1[1]))
    assert values["worst_group_f1"] == min(f1)


@FEW
@given(SEEDS, st.sampled_from(["exclude", "zero"]))
def test_order_of_samples_and_groups_does_not_matter(seed: int, empty: Empty) -> None:
    labels, answers, groups = samples(seed, 30, 4, 3)
    rng = np.random.default_rng(seed)
    order, names = rng.permutation(30), rng.permutation(3)
    one = compute(count(labels, answers, groups, num_classes=4, num_groups=3), empty=empty)
    two = compute(
        count(labels[order], answers[order], names[groups[order]], num_classes=4, num_groups=3),
        empty=empty,
    )
    for name in METRICS:
        np.testing.assert_allclose(one[name], two[name], atol=1e-12, err_msg=name)


@FEW
@given(SEEDS, st.sampled_from(["exclude", "zero"]))
def test_leading_axes_equal_a_loop(seed: int, empty: Empty) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.7, (2, 3, 3, 4, 4))
    values = compute(counts, empty=empty)
    for i, j in np.ndindex(2, 3):
        for name, one in compute(counts[i, j], empty=empty).items():
            np.testing.assert_array_equal(values[name][i, j], one, err_msg=name)


@FEW
@given(SEEDS)
def test_perfect_answers_have_no_gap(seed: int) -> None:
    labels, _, groups = samples(seed, 60, 4, 3)
    values = compute(count(labels, labels, groups, num_classes=4, num_groups=3))
    for name in ("eopp0", "eopp1", "eodd_paper", "eodd"):
        assert values[name] == 0 or math.isnan(values[name])
    assert values["f1"] == values["accuracy"] == values["balanced_accuracy"] == 1


@FEW
@given(SEEDS, st.sampled_from(["exclude", "zero"]))
def test_usual_eodd_is_never_below_the_papers(seed: int, empty: Empty) -> None:
    values = compute(count(*samples(seed, 40, 4, 3), num_classes=4, num_groups=3), empty=empty)
    assert not values["eodd_paper"] > values["eodd"] + 1e-12


def test_opposite_gaps_cancel_in_eodd_only() -> None:
    # Class 0: TPR 1 and 1/2, FPR 0 and 1/2. Class 1: the same gaps, turned round.
    counts = np.array([[[2, 0], [0, 2]], [[1, 1], [1, 1]]])
    values = compute(counts)
    assert values["eodd_paper"] == 0
    assert values["eodd"] == values["eopp0"] == values["eopp1"] == 0.5


@FEW
@given(SEEDS)
def test_an_absent_last_class_changes_no_mean(seed: int) -> None:
    s = samples(seed, 30, 4)
    one, two = (
        compute(count(*s, num_classes=4, num_groups=2)),
        compute(count(*s, num_classes=5, num_groups=2)),
    )
    for name in METRICS:
        np.testing.assert_allclose(one[name], two[name], atol=1e-12, err_msg=name)


def test_empty_cells_both_ways() -> None:
    # Group 1 has no sample of class 2; there the released metric counts a TPR of 0.
    labels, answers = np.array([0, 1, 2, 0, 1]), np.array([0, 1, 2, 0, 0])
    counts = count(labels, answers, np.array([0, 0, 0, 1, 1]), num_classes=3, num_groups=2)
    assert metrics.eopp1(counts) == pytest.approx((0 + 1) / 2)
    assert metrics.eopp1(counts, "zero") == pytest.approx((0 + 1 + 1) / 3)
    # TNR of class 0: 1 and 0; of class 1: 1 and 1; of class 2: 1 and 1, but only "zero" counts it.
    assert metrics.eopp0(counts) == pytest.approx((1 + 0) / 2)
    assert metrics.eopp0(counts, "zero") == pytest.approx((1 + 0 + 0) / 3)
    assert metrics.empty_cells(counts, ["light", "dark"], ["x", "y", "z"]) == [("dark", "z")]
    assert np.isnan(metrics.tpr(counts)[1, 2])
    assert metrics.tpr(counts, "zero")[1, 2] == 0


def test_a_group_without_samples_is_in_no_mean() -> None:
    counts = np.array([[[3, 1], [0, 4]], [[2, 2], [1, 3]], [[0, 0], [0, 0]]])
    three, two = compute(counts), compute(counts[:2])
    assert three == two
    assert not any(math.isnan(value) for value in three.values())


def test_unknown_groups_count_nowhere() -> None:
    labels, answers, groups = samples(3, 40)
    known = groups == 0
    more = compute(count(labels, answers, np.where(known, 0, -1), num_classes=4, num_groups=2))
    less = compute(count(labels[known], answers[known], groups[known], num_classes=4, num_groups=2))
    np.testing.assert_array_equal([*more.values()], [*less.values()])


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        ({"names": ["eood"]}, "no metric 'eood'; did you mean 'eodd'?"),
        ({"empty": "zeros"}, "'empty' is 'zeros'; did you mean 'zero'?"),
    ],
)
def test_unknown_names(ask: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        compute(np.ones((2, 2, 2)), **ask)


def test_public_names() -> None:
    assert all(hasattr(fairexit.metrics, name) for name in fairexit.metrics.__all__)
    with pytest.raises(AttributeError, match="GroupFairnes'"):
        _ = fairexit.metrics.GroupFairnes
