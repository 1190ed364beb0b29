"""The doors for arrays and frames: every form of input, and fairlearn as the twin."""

import doctest
import subprocess
import sys
from pathlib import Path
from typing import Any

import fairlearn.metrics
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import fairexit.metrics.doors
from fairexit.errors import UserError
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
TRUE, PREDICTED, SEX = [1, 0, 1, 1, 0], [1, 0, 0, 1, 1], ["f", "m", None, "f", "m"]
COUNTS = [[[0, 0], [0, 2]], [[1, 1], [0, 0]]]


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
    expected = count(class_index[true], class_index[predicted], groups, 4, 3)
    np.testing.assert_array_equal(matrix, expected)
    fixed = group_confusion_matrix(
        names[true], names[predicted], sensitive_features=features, labels=names, groups=list("wqe")
    )
    np.testing.assert_array_equal(fixed, count(true, predicted, 2 - groups, 4, 3))


FORMS = {
    "tuples": tuple,
    "generators": iter,
    "object array": lambda values: np.array(values, object),
    "series": pd.Series,
    "series with another index": lambda values: pd.Series(values, index=range(9, 4, -1)),
    "index": pd.Index,
    "categorical": pd.Categorical,
    "frame": lambda values: pd.DataFrame({"column": values}),
    "arrow": pa.array,
    "arrow in pieces": lambda values: pa.chunked_array([values[:2], values[2:]]),
    "numpy scalars": lambda values: [
        value if value is None else np.array(value)[()] for value in values
    ],
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_input(name: str) -> None:
    form = FORMS[name]
    matrix = group_confusion_matrix(form(TRUE), form(PREDICTED), sensitive_features=form(SEX))
    assert matrix.tolist() == COUNTS
    assert matrix.dtype == np.int64


@pytest.mark.parametrize(
    "labels",
    [
        np.array(TRUE, np.int8),
        np.array(TRUE, bool),
        np.array(TRUE, np.float16),
        np.array(TRUE)[:, None],
        pd.Series(TRUE, dtype="Int64"),
        pd.Series(TRUE, dtype="boolean"),
        torch.tensor(TRUE),
        torch.tensor(TRUE, dtype=torch.bfloat16, requires_grad=True),
        [torch.tensor(value) for value in TRUE],
        np.ma.array(TRUE, mask=False),
    ],
    ids=lambda labels: f"{type(labels).__name__} {getattr(labels, 'dtype', '')}",
)
def test_every_kind_of_number(labels: Any) -> None:
    matrix = group_confusion_matrix(labels, PREDICTED, sensitive_features=SEX)
    assert matrix.tolist() == COUNTS


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT, float("nan")])
def test_samples_without_a_group_are_left_out(missing: Any) -> None:
    sex = [missing if value is None else value for value in SEX]
    for features in (sex, pd.Series(sex), pd.Series(sex, dtype="string"), pd.Categorical(sex)):
        matrix = group_confusion_matrix(TRUE, PREDICTED, sensitive_features=features)
        assert matrix.tolist() == COUNTS


def test_a_text_that_says_unknown_is_a_group() -> None:
    features = ["f", "unknown", "", "f"]
    assert group_confusion_matrix([0, 1, 1, 0], [0] * 4, sensitive_features=features).shape[0] == 3


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


def error(*samples: Any, **options: Any) -> str:
    true, predicted, features = samples
    with pytest.raises(UserError) as caught:
        equalized_odds_difference(true, predicted, sensitive_features=features, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


ERRORS = [
    ((TRUE, PREDICTED[:4], SEX), "y_true has 5 values and y_pred 4; give one for every sample"),
    ((TRUE, PREDICTED, SEX[:2]), "y_true has 5 values and sensitive_features 2"),
    ((TRUE, PREDICTED, {"a": SEX, "b": [1]}), "y_true has 5 values and sensitive_features 1"),
    ((TRUE, [0, None, 1, 1, 0], SEX), "y_pred[1] is missing; every sample needs a label"),
    ((np.array([0, 1, np.nan]), [0, 1, 1], SEX[:3]), "y_true[2] is missing"),
    (("abcd", PREDICTED, SEX), "y_true is the single value 'abcd'; give one for every sample"),
    ((TRUE, PREDICTED, "sex"), "sensitive_features is the single value 'sex'"),
    ((TRUE, 1, SEX), "y_pred is the single value 1"),
    ((torch.tensor(1), PREDICTED, SEX), "y_true is the single value tensor(1)"),
    ((TRUE, np.eye(5), SEX), "y_pred has 5 columns; give one label for every sample"),
    ((TRUE, [[0], [1, 0]], SEX), "y_pred is neither one column nor a table of equally long rows"),
    ((TRUE, PREDICTED, np.zeros((5, 1, 1))), "sensitive_features is neither one column nor"),
    ((TRUE, [0.2, 0.9, 0.4, 0.5, 0.1], SEX), "must hold classes, not scores; 0.1 is no whole"),
    ((TRUE, list("01011"), SEX), "labels mix 0 (int) and '1' (str); give all of them in one form"),
    ((TRUE, PREDICTED, ["f", 1, 1, 1, 1]), "groups mix 1 (int) and 'f' (str)"),
    ((TRUE, PREDICTED, {}), "sensitive_features has no column; give at least one feature"),
    (([], [], []), "labels: no sample has a value; check the input or give labels"),
    ((TRUE, PREDICTED, [None] * 5), "groups: no sample has a value; check the input or give"),
    ((["a"] * 5, ["a"] * 5, SEX), "all labels are 'a'; give both classes in labels, or pos_label"),
]


@pytest.mark.parametrize(("samples", "message"), ERRORS)
def test_bad_samples(samples: Any, message: str) -> None:
    assert message in error(*samples)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": [0]}, "the value 1 occurs and is not in labels=[0]"),
        ({"labels": [0, 1, 0]}, "labels=[0, 1, 0] has a missing or repeated entry; remove it"),
        ({"groups": ["f"]}, "the value 'm' occurs and is not in groups=['f']"),
        ({"groups": ["f", "m", None]}, "has a missing or repeated entry"),
        ({"labels": "01"}, "labels is the single value '01'"),
        ({"pos_label": 2}, "pos_label=2 is no class; the classes are [0, 1]"),
        ({"average": "micro"}, "average='micro' is unknown; give 'macro' or None"),
        ({"agg": "worst"}, "agg='worst' is unknown; did you mean 'worst_case'?"),
        ({"empty": "nan"}, "empty='nan' is not known"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    assert message in error(TRUE, PREDICTED, SEX, **options)


def test_no_torch_is_imported() -> None:
    code = (
        "import sys; from fairexit.metrics import group_confusion_matrix as matrix; "
        "matrix([0, 1], [0, 1], sensitive_features=['a', 'b']); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


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
