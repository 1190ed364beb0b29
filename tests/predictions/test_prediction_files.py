"""Files of predictions: there and back, from outside, and what is wrong with them."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fairexit.errors import UserError
from fairexit.predictions.files import Predictions, read_predictions, write_predictions
from random_predictions import make

OUTSIDE = "label,sex,p/no,p/yes\nyes,f,0.25,0.75\nno,m,1,0\nno,,0.5,0.5\n"


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def to_file(text: str) -> Path:
        path = tmp_path / "outside.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return to_file


def same(one: Predictions, two: Predictions) -> None:
    for field in fields(Predictions):
        a, b = getattr(one, field.name), getattr(two, field.name)
        if field.name == "attributes":
            assert a.keys() == b.keys()
            for name in a:
                np.testing.assert_array_equal(a[name], b[name])
        elif isinstance(a, np.ndarray):
            assert a.dtype.kind.replace("U", "O") == b.dtype.kind.replace("U", "O")
            np.testing.assert_array_equal(a, b, err_msg=field.name)
        else:
            assert a == b, field.name


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("exits", [1, 3, 12])
@pytest.mark.parametrize("split", ["test", ""])
def test_there_and_back(tmp_path: Path, suffix: str, exits: int, split: str) -> None:
    predictions = make(exits=exits, split=split)
    path = tmp_path / f"p.{suffix}"
    write_predictions(predictions, path)
    same(read_predictions(path), predictions)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_columns(tmp_path: Path) -> None:
    for exits, prefixes in ((1, ["p"]), (3, ["p1", "p2", "pf"])):
        predictions = make(exits=exits, classes=2)
        write_predictions(predictions, tmp_path / "p.parquet")
        table = pd.read_parquet(tmp_path / "p.parquet")
        expected = [f"{prefix}/{name}" for prefix in prefixes for name in predictions.classes]
        assert [*table] == ["id", "label", "cluster", "split", "sex", "skin tone", *expected]
        assert set(table.label) == set(predictions.classes)
        assert set(table.sex.dropna()) == {"a", "b"}
        assert table[expected].dtypes.unique() == [np.dtype("float32")]


def test_a_column_added_to_our_own_file_is_one_more_attribute(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    write_predictions(make(), path)
    table = pq.read_table(path)
    ages = pa.array(["old", "young"] * (len(table) // 2) + ["old"] * (len(table) % 2))
    pq.write_table(table.append_column("age", ages), path)
    assert read_predictions(path).group_names["age"] == ("old", "young")


def test_names_without_rows_and_class_order_survive(tmp_path: Path) -> None:
    predictions = make()
    rare = replace(
        predictions,
        classes=("z", "absent", "b", "a"),
        labels=np.where(predictions.labels == 1, 0, predictions.labels),
        group_names={"sex": ("z", "a", "nobody"), "skin tone": ("unknown", "light")},
    )
    write_predictions(rare, tmp_path / "p.parquet")
    same(read_predictions(tmp_path / "p.parquet"), rare)


def test_the_same_bytes_again(tmp_path: Path) -> None:
    for name in ("a.parquet", "b.parquet"):
        write_predictions(make(), tmp_path / name)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_hard_answers_stay_hard(tmp_path: Path, suffix: str) -> None:
    answers = make().answers[:, -1]
    hard = replace(make(), probabilities=None, exit_names=("f",), given=answers)
    write_predictions(hard, tmp_path / f"p.{suffix}")
    same(read_predictions(tmp_path / f"p.{suffix}"), hard)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_from_outside(write: Callable[[str], Path], mark: str) -> None:
    predictions = read_predictions(write(mark + OUTSIDE))
    assert predictions.ids.tolist() == ["1", "2", "3"]
    assert predictions.classes == ("no", "yes")
    assert predictions.labels.tolist() == [1, 0, 0]
    assert predictions.attributes["sex"].tolist() == [0, 1, -1]
    assert predictions.group_names == {"sex": ("f", "m")}
    assert predictions.probabilities[:, 0].tolist() == [[0.25, 0.75], [1, 0], [0.5, 0.5]]
    assert (predictions.exit_names, predictions.hard) == (("f",), False)
    assert set(predictions.clusters) == set(predictions.split) == {""}


def test_numbers_have_one_form_except_in_ids(write: Callable[[str], Path]) -> None:
    predictions = read_predictions(
        write("\ufeffid,label,prediction,tone\n007,01,1.0,1.0\n8,2,01,2\n")
    )
    assert predictions.ids.tolist() == ["007", "8"]
    assert predictions.classes == ("01", "2")
    assert predictions.answers[:, 0].tolist() == [0, 0]
    assert predictions.group_names["tone"] == ("1", "2")


def test_a_column_of_answers(write: Callable[[str], Path]) -> None:
    predictions = read_predictions(write("label,prediction,sex\nb,b,f\nb,c,m\na,a,f\n"))
    assert predictions.classes == ("a", "b", "c")
    assert predictions.answers.tolist() == [[1], [2], [0]]
    assert predictions.hard


def test_other_names_of_the_probabilities(write: Callable[[str], Path]) -> None:
    text = OUTSIDE.replace("p/", "prob_")
    predictions = read_predictions(write(text), ["sex"], prob_prefix="prob_")
    assert predictions.classes == ("no", "yes")
    assert predictions.probabilities[0, 0].tolist() == [0.25, 0.75]
    assert [*read_predictions(write(text), prob_prefix="prob_").attributes] == ["sex"]


def test_a_table_of_classify_needs_no_change(write: Callable[[str], Path]) -> None:
    text = (
        "id,prediction,confidence,exit,cost,p/no,p/yes,label,sex\nx,yes,0.75,1,0.4,0.25,0.75,no,f\n"
    )
    predictions = read_predictions(write(text))
    assert [*predictions.attributes] == ["sex"]
    assert predictions.labels.tolist() == [0]


def test_unknown_values_and_wanted_groups(write: Callable[[str], Path]) -> None:
    text = "label,prediction,sex,age\na,a,,1\nb,b,Unknown,2\na,b,NaN,3\na,a,f,4\n"
    predictions = read_predictions(write(text), groups=["sex"])
    assert predictions.attributes["sex"].tolist() == [-1, -1, -1, 0]
    assert [*predictions.attributes] == ["sex"]


def test_numbers_in_an_outside_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"id": [7, 8], "label": [1, 0], "tone": pd.Categorical(["d", None]), "prediction": [1, 1]}
    )
    frame.to_parquet(tmp_path / "p.parquet")
    predictions = read_predictions(tmp_path / "p.parquet")
    assert predictions.ids.tolist() == ["7", "8"]
    assert predictions.labels.tolist() == [1, 0]
    assert predictions.attributes["tone"].tolist() == [0, -1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("label", "lable", r"outside.csv: there is no column 'label'; did you mean 'lable'\?"),
        ("yes,f", "yess,f", r"row 1 \(id '1'\): 'yess' in column 'label' is not a class; did you"),
        ("no,m,1,0", "no,m,1.5,-0.5", r"row 2 \(id '2'\): a probability is negative or not a"),
        (
            "no,m,1,0",
            "no,m,1,",
            r"an answer is missing in 1 row \(first in row 2\).*'drop_missing'",
        ),
        ("no,m,1,0", "no,m,nan,0", r"an answer is missing in 1 row \(first in row 2\)"),
        ("no,m,1,0", "no,m,one,0", "column 'p/no' does not hold numbers: 'one'"),
        ("no,m,1,0", "no,m,1", r"row 2: it has 3 cells where the header has 4 \(no,m,1\)"),
        ("0.5,0.5", "0.5,0.4", r"row 3 \(id '3'\): the probabilities of exit 'f' sum to 0.9, not"),
        ("p/yes", "p/no", "two columns are called 'p/no'"),
        (
            "p/no,p/yes",
            "a,b",
            "no columns 'p/<class>' and no column 'prediction'; .*'prob_prefix', .*'score'",
        ),
        ("p/no,p/yes", "p1/no,p1/yes", "no columns 'pf/<class>' of the final exit"),
        ("p/no,p/yes", "p1/no,pf/yes", "columns 'p1/' and 'pf/' have different classes"),
        (
            OUTSIDE,
            "label,p/yes\nyes,1\n",
            r"at least two classes are needed, but there is only one \('yes'\)",
        ),
        (OUTSIDE, "", "outside.csv: the file is empty"),
        (OUTSIDE, "label,p/a,p/b\n", "there are no rows"),
        (OUTSIDE, "\ufeff", "there are no columns"),
        (OUTSIDE, "PAR1xxxx", "not a readable table"),
        (
            OUTSIDE,
            "id,label,prediction\nx,a,a\ny,b,a\nx,b,b\n",
            r"row 3 \(id 'x'\): an earlier row has the same id; ids must be unique",
        ),
        (
            OUTSIDE,
            "label,prediction,p/a,p/b\na,a,0.6,0.4\nb,a,0.3,0.7\n",
            r"row 2 \(id '2'\): the predicted class does not have the largest probability",
        ),
        (
            OUTSIDE,
            "label,prediction\na,a\nb,b\n,a\n",
            r"a label is missing in 1 row \(first in row 3\)",
        ),
        (
            OUTSIDE,
            "label,prediction\na,\nb,b\n",
            r"an answer is missing in 1 row \(first in row 1\)",
        ),
    ],
)
def test_bad_files(write: Callable[[str], Path], old: str, new: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        read_predictions(write(OUTSIDE.replace(old, new)))
    assert "\n" not in str(error.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "image.csv").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    with pytest.raises(UserError, match=r"there is no column 'label'|not a text file"):
        read_predictions(tmp_path / "image.csv")
    with pytest.raises(UserError, match=r"there is no file .*absent.csv"):
        read_predictions(tmp_path / "absent.csv")
    write_predictions(make(), tmp_path / "p.parquet")
    whole = (tmp_path / "p.parquet").read_bytes()
    (tmp_path / "p.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="not a readable table"):
        read_predictions(tmp_path / "p.parquet")


def test_groups_by_name(write: Callable[[str], Path]) -> None:
    path = write(OUTSIDE)
    with pytest.raises(
        UserError,
        match=r"outside.csv: there is no column of an attribute 'sx'; did you mean 'sex'\?",
    ):
        read_predictions(path, groups=["sx"])
    predictions = read_predictions(path)
    with pytest.raises(
        UserError, match=r"there is no column of an attribute 'Sex'; did you mean 'sex'\?"
    ):
        predictions.group("Sex")
    one = predictions.take(predictions.attributes["sex"] != 0)
    with pytest.raises(
        UserError,
        match=r"attribute 'sex' has only one value \('m'\); at least two groups are needed",
    ):
        one.group("sex")
    none = predictions.take(predictions.attributes["sex"] < 0)
    with pytest.raises(UserError, match="attribute 'sex' has no known value"):
        none.group("sex")
    with pytest.raises(UserError, match="no column begins with 'q_'"):
        read_predictions(path, prob_prefix="q_")


def test_splits() -> None:
    predictions = make()
    predictions.split[:10] = "tes"
    assert len(predictions.of_split("val")) == 50
    assert predictions.of_split("tes").ids.tolist() == predictions.ids[:10].tolist()
    with pytest.raises(UserError, match=r"no rows of split 'test'; did you mean 'tes'\?"):
        predictions.of_split("test")
    with pytest.raises(
        UserError, match="there are no rows of split 'val'; the rows do not name a split"
    ):
        make(split="").of_split("val")


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"p.xlsx: its name must end in .parquet or .csv"):
        write_predictions(make(), tmp_path / "p.xlsx")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file/p.csv: "):
        write_predictions(make(), tmp_path / "file" / "p.csv")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.csv"
    write_predictions(make(), path)
    before = path.read_bytes()

    def full(table: object, to: Path) -> None:
        to.write_bytes(b"half")
        Path("/dev/full").write_bytes(b"x")

    monkeypatch.setattr("pyarrow.csv.write_csv", full)
    with pytest.raises(UserError, match=r"cannot write .*p.csv: No space left on device"):
        write_predictions(make(seed=1), path)
    assert path.read_bytes() == before
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.full(60, 4)}, r"row 1 \(id 'img-0'\): label 4 is out of range"),
        ({"exit_names": ("2", "1", "f")}, "they must be ascending numbers and then 'f'"),
        ({"exit_names": ("1", "f")}, "must have the shape"),
        ({"group_names": {"sex": ("a", "b")}}, "must have the same keys"),
        ({"group_names": {"sex": ("a",), "skin tone": ("d", "l")}}, "group 'sex' 1 is out of"),
        (
            {"attributes": {"exit": np.zeros(60, int)}, "group_names": {"exit": ("a",)}},
            "an attribute cannot be called 'exit'",
        ),
        ({"clusters": np.full(3, "")}, "must have the shape"),
        ({"classes": ("a", "b", "a")}, "a class is named twice: a, b, a"),
    ],
)
def test_bad_arrays(change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(make(), **change)
