"""Predictions from arrays and frames."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fairexit.errors import UserError
from fairexit.predictions.arrays import from_arrays, from_frame
from fairexit.predictions.files import write_predictions
from fairexit.predictions.reading import Reading
from random_predictions import make


def test_answers_and_numbers_as_names():
    found = from_arrays(
        np.array([1, 0, 1]),
        prediction=[1.0, 0.0, 0.0],
        groups={"tone": [3, np.nan, 4], "sex": ["f", "Unknown", None]},
        clusters=[7, None, 7],
    )
    assert found.classes == ("0", "1")
    assert found.labels.tolist() == [1, 0, 1]
    assert found.answers[:, 0].tolist() == [1, 0, 0]
    assert found.hard
    assert found.attributes["tone"].tolist() == [0, -1, 1]
    assert found.group_names == {"tone": ("3", "4"), "sex": ("f",)}
    assert found.attributes["sex"].tolist() == [0, -1, -1]
    assert found.clusters.tolist() == ["7", "", "7"]
    assert found.ids.tolist() == ["1", "2", "3"]


BA = Reading(classes=["b", "a"])


def test_probabilities_in_the_order_of_the_classes():
    rows = [[0.2, 0.8], [0.6, 0.4]]
    found = from_arrays(["a", "b"], probabilities=rows, ids=["x", "y"], reading=BA)
    assert found.labels.tolist() == [1, 0]
    assert found.probabilities[:, 0].tolist() == np.float32(rows).tolist()
    assert not found.hard


def test_probabilities_may_be_rounded_to_two_digits():
    rows = [[0.33, 0.33, 0.33], [0.67, 0.17, 0.17]]
    found = from_arrays(["a", "b"], probabilities=rows, reading=Reading(classes=["a", "b", "c"]))
    assert found.probabilities[:, 0].tolist() == np.float32(rows).tolist()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give the predictions, the probabilities, or the score of one class"),
        ({"prediction": "ab"}, "prediction is the single value 'ab'"),
        ({"probabilities": [[1, 0]] * 2, "score": [1, 0]}, "the score of one, not both"),
        ({"prediction": ["a"]}, "1 values of prediction but 2 labels"),
        ({"prediction": ["a", "b"], "groups": {"sex": ["f"]}}, "1 values of group 'sex' but 2"),
        (
            {"prediction": ["a", "c"], "reading": Reading(classes=["a", "b"])},
            r"row 2 \(id '2'\): 'c' in column 'prediction' is not a class",
        ),
        (
            {"prediction": ["a", "b"], "reading": Reading(classes=["a", "bb"])},
            r"'b' in column 'label' is not a class; did you",
        ),
        ({"probabilities": [[1, 0, 0]] * 2}, r"shape \(2, 3\); 2 labels and 2 classes need \(2, 2"),
        ({"probabilities": [[0.9, 0.2], [1, 0]]}, r"row 1 \(id '1'\): the prob.* sum to 1.1, not"),
        ({"probabilities": [[np.nan, 0.2], [1, 0]]}, "an answer is missing in 1 row"),
        ({"prediction": ["a", "b"], "ids": ["x", "x"]}, "an earlier row has the same id"),
        (
            {"prediction": ["a", "b"], "reading": Reading(classes=["a"])},
            "'b' in column 'label' is not a class",
        ),
        ({"prediction": [None, "b"]}, r"an answer is missing in 1 row \(first in row 1\)"),
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
    reading = Reading(label="y", prediction="answer", cluster="patient")
    found = from_frame(frame(), reading)
    assert [*found.attributes] == ["sex"]
    assert found.left_out == {"weight": "more than 100 values"}
    assert set(found.clusters) == set(frame()["patient"].astype(str))
    with pytest.raises(UserError, match=r"attribute 'weight' is a number with 200 values.*'bins'"):
        from_frame(frame(), reading, ["weight"])
    cut = replace(reading, bins={"weight": [0]})
    assert from_frame(frame(), cut).group_names["weight"] == ("<0", ">=0")


def test_a_frame_of_probabilities():
    table = frame().assign(**{"p/b": 0.75, "p/a": 0.25})
    found = from_frame(table, Reading(label="y"))
    assert found.classes == ("b", "a")
    assert found.probabilities[0, 0].tolist() == [0.75, 0.25]
    other = table.rename(columns={"p/b": "q_b", "p/a": "q_a"})
    assert from_frame(other, Reading(label="y", prob_prefix="q_")).classes == ("b", "a")


def test_columns_that_are_not_there():
    with pytest.raises(UserError, match=r"^there is no column 'label'; available: answer"):
        from_frame(frame())
    with pytest.raises(UserError, match=r"no column of an attribute 'sx'; did you mean 'sex'\?"):
        from_frame(frame(), Reading(label="y"), ["sx"])
    with pytest.raises(UserError, match="no columns 'p/<class>' and no column 'prediction'"):
        from_frame(frame(), Reading(label="y"))
    with pytest.raises(UserError, match=r"^there is no column 'lesion'; available: answer"):
        from_frame(frame(), Reading(label="y", prediction="answer", cluster="lesion"))
    twice = pd.concat([frame(), frame()[["sex"]]], axis=1)
    with pytest.raises(UserError, match="two columns are called 'sex'"):
        from_frame(twice, Reading(label="y", prediction="answer"))


def test_a_frame_of_several_exits(tmp_path):
    predictions = make()
    write_predictions(predictions, tmp_path / "p.parquet")
    found = from_frame(pd.read_parquet(tmp_path / "p.parquet"))
    assert found.exit_names == predictions.exit_names
    assert (found.answers == predictions.answers).all()


def test_labels_and_groups_that_are_missing():
    table = frame().astype({"sex": "string"})
    table.loc[3, "sex"] = pd.NA
    found = from_frame(table, Reading(label="y", prediction="answer"))
    assert np.flatnonzero(found.attributes["sex"] == -1).tolist() == [3]
    table.loc[4, "y"] = None
    with pytest.raises(UserError, match=r"a label is missing in 1 row \(first in row 5\)"):
        from_frame(table, Reading(label="y", prediction="answer"))


def test_answers_that_disagree_with_their_probabilities():
    table = frame().assign(**{"p/c": 0.2, "p/b": 0.6, "p/a": 0.2}, answer="b")
    reading = Reading(label="y", prediction="answer")
    assert not from_frame(table, reading).hard
    table.loc[7, "answer"] = "a"
    with pytest.raises(
        UserError,
        match=r"row 8 \(id '8'\): the predicted class does not have the largest.* in 1 of 200 rows",
    ):
        from_frame(table, reading)


def test_a_frame_of_probabilities_is_read_by_its_names():
    labels = ["mel", "nv"] * 3
    rows = pd.DataFrame({"nv": [0.1, 0.9] * 3, "mel": [0.9, 0.1] * 3})
    for reading in (Reading(), Reading(classes=["mel", "nv"])):
        read = from_arrays(labels, probabilities=rows, reading=reading)
        assert (read.answers[:, 0] == read.labels).all()
    with pytest.raises(UserError, match="the columns of the probabilities are nv, mel"):
        from_arrays(labels, probabilities=rows, reading=Reading(classes=["mel", "x"]))


def test_one_index_in_two_orders_is_refused():
    labels = pd.Series(["b", "a", "b", "a"])
    with pytest.raises(UserError, match="the same pandas index in another order"):
        from_arrays(labels, prediction=labels.sort_values())
    assert from_arrays(labels, prediction=labels.set_axis(list("wxyz"))).labels.tolist() == [
        1,
        0,
        1,
        0,
    ]
