"""The differences between groups of arrays and frames; fairlearn is the twin."""

import doctest
from pathlib import Path
from typing import Any

import fairlearn.metrics
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import fairexit.metrics.doors
from fairexit.metrics import (
    count,
    demographic_parity_difference,
    eopp1,
    equal_opportunity_difference,
    equalized_odds_difference,
    fpr,
    group_confusion_matrix,
    tpr,
)
from random_predictions import FEW

DIFFERENCES = [
    demographic_parity_difference,
    equal_opportunity_difference,
    equalized_odds_difference,
]


def draw(seed: int, n: int, classes: int, groups: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    true, predicted = rng.integers(0, classes, (2, n))
    return true, predicted, np.array(list("qwert"))[rng.integers(0, groups, n)]


def fairlearn_difference(difference: Any, *samples: Any, **options: Any) -> float:
    true, predicted, features = samples
    twin = getattr(fairlearn.metrics, difference.__name__)
    return twin(true, predicted, sensitive_features=features, **options)


@FEW
@given(st.integers(0, 2**32), st.integers(2, 40), st.integers(1, 5))
@pytest.mark.parametrize("difference", DIFFERENCES)
def test_two_classes_are_fairlearns(difference: Any, seed: int, n: int, groups: int) -> None:
    true, predicted, features = draw(seed, n, 2, groups)
    assume(len(set(features)) > 1)
    expected = fairlearn_difference(difference, true, predicted, features)
    zero = {} if difference is demographic_parity_difference else {"empty": "zero"}
    value = difference(true, predicted, sensitive_features=features, **zero)
    assert value == pytest.approx(expected, abs=1e-12)
    if all(len(set(true[features == name])) == 2 for name in set(features)):
        value = difference(true, predicted, sensitive_features=features)
        assert value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("difference", DIFFERENCES)
@pytest.mark.parametrize("names", [("b", "a"), (1, -1), (True, False), (1.0, 0.0)])
def test_the_positive_class(difference: Any, names: tuple[Any, Any]) -> None:
    true, predicted, features = draw(3, 60, 2, 3)
    larger, smaller = names
    values = {
        positive: fairlearn_difference(
            difference, true == positive, predicted == positive, features
        )
        for positive in (0, 1)
    }
    named = [[names[1 - index] for index in indices] for indices in (true, predicted)]
    for options, positive in (
        ({}, 1),
        ({"labels": [larger, smaller]}, 1),
        ({"pos_label": larger}, 1),
        ({"pos_label": smaller}, 0),
    ):
        value = difference(*named, sensitive_features=features, **options)
        assert value == pytest.approx(values[positive], abs=1e-12)


def test_the_mean_of_the_two_ranges() -> None:
    samples = draw(5, 60, 2, 3)
    expected = fairlearn_difference(equalized_odds_difference, *samples, agg="mean")
    value = equalized_odds_difference(*samples[:2], sensitive_features=samples[2], agg="mean")
    assert value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("difference", DIFFERENCES)
def test_more_classes_are_compared_one_against_the_rest(difference: Any) -> None:
    true, predicted, features = draw(7, 200, 4, 3)
    expected = [
        fairlearn_difference(difference, true == c, predicted == c, features) for c in range(4)
    ]
    values = difference(true, predicted, sensitive_features=features, average=None)
    np.testing.assert_allclose(values, expected)
    macro = difference(true, predicted, sensitive_features=features)
    assert macro == pytest.approx(np.mean(expected))
    weighted = difference(true, predicted, sensitive_features=features, average="weighted")
    sizes = [np.sum(true == c) for c in range(4)]
    assert weighted == pytest.approx(np.average(expected, weights=sizes))
    for c in range(4):
        value = difference(true, predicted, sensitive_features=features, pos_label=c)
        assert value == pytest.approx(expected[c], abs=1e-12)


def test_a_group_without_samples_of_a_class_is_left_out_or_counts_zero() -> None:
    true, predicted, features = [1, 1, 1, 1, 0, 0], [1, 1, 1, 0, 0, 1], list("aabbcc")
    options = {"sensitive_features": features}
    assert equal_opportunity_difference(true, predicted, **options) == 0.5
    assert equal_opportunity_difference(true, predicted, **options, empty="zero") == 1
    assert np.isnan(equalized_odds_difference(true, predicted, **options))
    assert equalized_odds_difference(true, predicted, **options, empty="zero") == 1


def test_odds_compare_only_groups_that_have_both_rates() -> None:
    true, predicted, features = [1, 1, 1, 0, 1, 0], [0, 0, 1, 0, 1, 0], list("aabbcc")
    options = {"sensitive_features": features}
    assert equal_opportunity_difference(true, predicted, **options) == 1
    for agg in ("worst_case", "mean"):
        assert equalized_odds_difference(true, predicted, **options, agg=agg) == 0


@pytest.mark.parametrize("difference", DIFFERENCES)
def test_a_group_of_the_list_without_samples_changes_nothing(difference: Any) -> None:
    true, predicted, features = draw(3, 60, 2, 3)
    value = difference(true, predicted, sensitive_features=features)
    more = difference(true, predicted, sensitive_features=features, groups=["z", *set(features)])
    assert more == value


@pytest.mark.parametrize("difference", DIFFERENCES)
def test_a_class_of_the_list_without_samples_is_no_class_of_two(difference: Any) -> None:
    true, predicted, features = draw(3, 60, 3, 2)
    options = {"sensitive_features": features, "average": None}
    values = difference(true, predicted, **options, labels=[0, 1, 2, 3])
    np.testing.assert_array_equal(values[:3], difference(true, predicted, **options))
    assert np.isnan(values[3]) or (difference is demographic_parity_difference and values[3] == 0)


@pytest.mark.parametrize("only", [0, 1, -1, False])
def test_one_label_of_a_usual_pair_is_enough(only: int) -> None:
    samples = [only] * 4, [only] * 4, list("aabb")
    for difference in DIFFERENCES:
        expected = fairlearn_difference(difference, *samples)
        zero = {} if difference is demographic_parity_difference else {"empty": "zero"}
        assert difference(*samples[:2], sensitive_features=samples[2], **zero) == expected == 0


def test_one_label_with_a_positive_class() -> None:
    options = {"sensitive_features": list("aabb"), "pos_label": "ill"}
    assert demographic_parity_difference(["well"] * 4, ["well"] * 4, **options) == 0
    assert demographic_parity_difference(["ill"] * 4, ["ill"] * 4, **options) == 0


def test_fewer_than_two_groups_give_nan() -> None:
    for difference in DIFFERENCES:
        assert np.isnan(difference([0, 1], [0, 1], sensitive_features=["f", "f"]))


def test_counts_are_those_of_the_indices() -> None:
    true, predicted, features = draw(1, 80, 4, 3)
    names = np.array(["d", "a", "c", "b"])
    matrix = group_confusion_matrix(names[true], names[predicted], sensitive_features=features)
    class_index, group_index = np.argsort(np.argsort(names)), {"e": 0, "q": 1, "w": 2}
    groups = np.array([group_index[name] for name in features])
    expected = count(class_index[true], class_index[predicted], groups, num_classes=4, num_groups=3)
    np.testing.assert_array_equal(matrix, expected)
    fixed = group_confusion_matrix(
        names[true], names[predicted], sensitive_features=features, labels=names, groups=list("wqe")
    )
    np.testing.assert_array_equal(
        fixed, count(true, predicted, 2 - groups, num_classes=4, num_groups=3)
    )


def test_features_are_crossed_as_in_fairlearn() -> None:
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 2, (2, 200))
    frame = pd.DataFrame(
        {"sex": rng.choice(["f", "m", None], 200), "age": rng.choice([30.0, 60.0, np.nan], 200)}
    )
    frame.loc[(frame.sex == "f") & (frame.age == 30), "age"] = 60.0
    forms = [frame, dict(frame), frame.to_numpy(object), list(frame.itertuples(index=False))]
    groups = [("f", 60.0), ("m", 30.0), ("m", 60.0)]
    expected = np.stack(
        [
            group_confusion_matrix(
                true[rows], predicted[rows], sensitive_features=["x"] * rows.sum()
            )[0]
            for rows in ((frame.sex == sex) & (frame.age == age) for sex, age in groups)
        ]
    )
    for features in forms:
        matrix = group_confusion_matrix(true, predicted, sensitive_features=features)
        np.testing.assert_array_equal(matrix, expected)
        fixed = group_confusion_matrix(
            true, predicted, sensitive_features=features, groups=groups[::-1]
        )
        np.testing.assert_array_equal(fixed, expected[::-1])
    known = frame.notna().all(axis=1).to_numpy()
    for difference in DIFFERENCES:
        value = difference(true, predicted, sensitive_features=frame)
        expected = fairlearn_difference(difference, true[known], predicted[known], frame[known])
        assert value == pytest.approx(expected, abs=1e-12)


def test_the_examples_in_the_docstrings_are_true() -> None:
    result = doctest.testmod(fairexit.metrics.doors)
    assert result.failed == 0
    assert result.attempted >= 4


def test_the_examples_in_the_docs_are_true() -> None:
    docs = Path(__file__).parents[2] / "docs" / "metrics.md"
    result = doctest.testfile(str(docs), module_relative=False)
    assert result.failed == 0
    assert result.attempted >= 20


def test_the_means_over_classes_are_those_of_the_table() -> None:
    true, predicted, features = draw(7, 200, 4, 3)
    counts = group_confusion_matrix(true, predicted, sensitive_features=features)
    value = equal_opportunity_difference(true, predicted, sensitive_features=features)
    assert value == pytest.approx(eopp1(counts))
    mean = equalized_odds_difference(true, predicted, sensitive_features=features, agg="mean")
    rates = tpr(counts), fpr(counts)
    usual = [np.mean([np.ptp(rate[:, c]) for rate in rates]) for c in range(4)]
    assert mean == pytest.approx(np.mean(usual))
    assert equalized_odds_difference(true, predicted, sensitive_features=features) > mean
