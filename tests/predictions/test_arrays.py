"""Predictions from arrays and frames."""

import numpy as np
import pandas as pd
import pytest

from fairexit.errors import UserError
from fairexit.predictions.arrays import from_arrays, from_frame
from fairexit.predictions.arrow import Columns


def test_answers_and_numbers_as_names():
    found = from_arrays(
        np.array([1, 0, 1]),
        prediction=[1.0, 0.0, 0.0],
        groups={"tone": [3, np.nan, 4], "sex": ["f", "Unknown", None]},
        clusters=[7, None, 7],
    )
    assert found.classes == ("0", "1")
    assert found.labels.tolist() == [1, 0, 1]
    assert found.probabilities[:, 0].argmax(1).tolist() == [1, 0, 0]
    assert found.hard
    assert found.attributes["tone"].tolist() == [0, -1, 1]
    assert found.group_names == {"tone": ("3", "4"), "sex": ("f",)}
    assert found.attributes["sex"].tolist() == [0, -1, -1]
    assert found.clusters.tolist() == ["7", "", "7"]
    assert found.ids.tolist() == ["1", "2", "3"]


def test_probabilities_in_the_order_of_the_classes():
    rows = [[0.2, 0.8], [0.6, 0.4]]
    found = from_arrays(["a", "b"], probabilities=rows, classes=["b", "a"], ids=["x", "y"])
    assert found.labels.tolist() == [1, 0]
    assert found.probabilities[:, 0].tolist() == np.float32(rows).tolist()
    assert not found.hard


def test_probabilities_may_be_rounded_to_two_digits():
    rows = [[0.33, 0.33, 0.33], [0.67, 0.17, 0.17]]
    found = from_arrays(["a", "b"], probabilities=rows, classes=["a", "b", "c"])
    assert found.probabilities[:, 0].tolist() == np.float32(rows).tolist()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give either the predictions or the probabilities"),
        ({"prediction": "ab", "probabilities": []}, "give either the predictions or the prob"),
        ({"prediction": ["a"]}, "1 values of prediction but 2 labels"),
        ({"prediction": ["a", "b"], "groups": {"sex": ["f"]}}, "1 values of group 'sex' but 2"),
        ({"prediction": ["a", "c"], "classes": ["a", "b"]}, r"row 2 \(id '2'\): prediction 'c' is"),
        ({"prediction": ["a", "b"], "classes": ["a", "bb"]}, r"label 'b' is not a class; did you"),
        ({"probabilities": [[1, 0, 0]] * 2}, r"shape \(2, 3\); 2 labels and 2 classes need \(2, 2"),
        ({"probabilities": [[0.9, 0.2], [1, 0]]}, r"row 1 \(id '1'\): the prob.* sum to 1.1, not"),
        ({"probabilities": [[np.nan, 0.2], [1, 0]]}, "negative or not a number"),
        ({"prediction": ["a", "b"], "ids": ["x", "x"]}, "an earlier row has the same id"),
        ({"prediction": ["a", "b"], "classes": ["a"]}, "label 'b' is not a class"),
        ({"prediction": [None, "b"]}, r"row 1 \(id '1'\): prediction '' is not a class"),
    ],
)
def test_arrays_that_do_not_fit(given, message):
    with pytest.raises(UserError, match=message):
        from_arrays(["a", "b"], **given)


def frame(n=200):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "y": rng.choice(["a", "b"], n),
            "answer": rng.choice(["a", "b"], n),
            "sex": rng.choice(["f", "m"], n),
            "patient": rng.integers(0, 50, n),
            "weight": rng.normal(size=n),
        }
    )


def test_a_frame_by_its_own_names():
    columns = Columns(label="y", prediction="answer", cluster="patient")
    found, left_out = from_frame(frame(), columns)
    assert [*found.attributes] == ["sex"]
    assert left_out == {"weight": "more than 100 values"}
    assert set(found.clusters) == set(frame()["patient"].astype(str))
    asked, left_out = from_frame(frame(), columns, ["weight"])
    assert [*asked.attributes] == ["sex", "weight"]
    assert left_out == {}


def test_a_frame_of_probabilities():
    table = frame().assign(**{"p/b": 0.75, "p/a": 0.25})
    found, _ = from_frame(table, Columns(label="y"))
    assert found.classes == ("b", "a")
    assert found.probabilities[0, 0].tolist() == [0.75, 0.25]
    other = table.rename(columns={"p/b": "q_b", "p/a": "q_a"})
    assert from_frame(other, Columns(label="y", prob_prefix="q_"))[0].classes == ("b", "a")


def test_columns_that_are_not_there():
    with pytest.raises(UserError, match=r"^there is no column 'label'; available: answer"):
        from_frame(frame())
    with pytest.raises(UserError, match=r"has no column 'sx'; did you mean 'sex'\?"):
        from_frame(frame(), Columns(label="y"), ["sx"])
    with pytest.raises(
        UserError, match="neither a column 'prediction' nor columns of probabilities"
    ):
        from_frame(frame(), Columns(label="y"))
    with pytest.raises(UserError, match=r"^there is no column 'lesion'; available: answer"):
        from_frame(frame(), Columns(label="y", prediction="answer", cluster="lesion"))
    twice = pd.concat([frame(), frame()[["sex"]]], axis=1)
    with pytest.raises(UserError, match="two columns are called 'sex'"):
        from_frame(twice, Columns(label="y", prediction="answer"))
    several = frame().assign(**{"p1/a": 1.0, "pf/a": 1.0})
    with pytest.raises(UserError, match="column 'p1/a' is of one exit among several"):
        from_frame(several, Columns(label="y"))


def test_labels_and_groups_that_are_missing():
    table = frame().astype({"sex": "string"})
    table.loc[3, "sex"] = pd.NA
    found, _ = from_frame(table, Columns(label="y", prediction="answer"))
    assert np.flatnonzero(found.attributes["sex"] == -1).tolist() == [3]
    table.loc[4, "y"] = None
    with pytest.raises(
        UserError, match=r"row 5 \(id '5'\): label '' is not a class; available: a, b"
    ):
        from_frame(table, Columns(label="y", prediction="answer"))


def test_answers_that_disagree_with_their_probabilities():
    table = frame().assign(**{"p/b": 0.75, "p/a": 0.25}, answer="b")
    columns = Columns(label="y", prediction="answer")
    assert not from_frame(table, columns)[0].hard
    table.loc[7, "answer"] = "a"
    with pytest.raises(
        UserError, match=r"row 8 \(id '8'\): the predicted class does not have the largest"
    ):
        from_frame(table, columns)
