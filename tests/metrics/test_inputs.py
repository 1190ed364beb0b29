"""Labels and sensitive features in every form, and what is wrong with them."""

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from fairexit.errors import UserError
from fairexit.metrics import (
    equalized_odds_difference,
    group_confusion_matrix,
)
from fairexit.metrics.inputs import encode

TRUE, PREDICTED, SEX = [1, 0, 1, 1, 0], [1, 0, 0, 1, 1], ["f", "m", None, "f", "m"]
COUNTS = [[[0, 0], [0, 2]], [[1, 1], [0, 0]]]


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
    (
        (TRUE, list("01011"), SEX),
        "labels: 0 and '0' differ only in form; write one name in one way",
    ),
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
        ({"average": "micro"}, "average='micro' is unknown; give 'macro', 'weighted' or None"),
        ({"agg": "worst"}, "agg='worst' is unknown; did you mean 'worst_case'?"),
        ({"empty": "nan"}, "'empty' is 'nan'; available: exclude, zero"),
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


@pytest.mark.parametrize(
    ("true", "predicted"),
    [
        (["mel", "nv"], ["MEL", "nv"]),
        ([0, 1], ["0", "1"]),
        (["0.0", "1.0"], ["0", "1"]),
        (["mel", "nv"], ["mel", "nv "]),
        (["Caf\u00e9", "x"], ["Cafe\u0301", "x"]),
    ],
)
def test_one_class_in_two_forms_is_refused(true, predicted):
    with pytest.raises(UserError, match="differ only in form"):
        encode(true, predicted, ["f", "m"])


def test_groups_in_two_forms_are_refused():
    with pytest.raises(UserError, match="'Female' and 'female' differ only in form"):
        encode([0, 1], [0, 1], ["Female", "female"])
    with pytest.raises(UserError, match="differ only in form"):
        encode([0, 1], [0, 1], [["Female", 1], ["female", 1]])


def test_labels_and_answers_that_share_nothing_are_refused():
    with pytest.raises(UserError, match="share no value: 'a' and 'x'"):
        encode(["a", "b"], ["x", "y"], ["f", "m"])
    given = encode(["a", "b"], ["x", "y"], ["f", "m"], labels=list("abxy"))
    assert given.predicted.tolist() == [2, 3]
