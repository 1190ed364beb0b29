"""Cells that a spreadsheet would run are written as text, and read as they were."""

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairexit.csv_files import csv_text, guarded, unguarded, without_guards

RUN = ["=1+1", "=cmd|' /C calc'!A0", "+1+cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", "--1"]
PLAIN = ["nevus", "-0.5", "+1", "1e-5", "-.5E+3", "", "=", "+", "-", "'tis", "a=b", " =1", "'-5"]


@pytest.mark.parametrize("text", RUN)
def test_a_cell_that_would_run_begins_with_an_apostrophe(text):
    assert guarded(text) == f"'{text}"


@pytest.mark.parametrize("text", PLAIN[:-1])
def test_other_cells_are_unchanged(text):
    assert guarded(text) == text


@given(st.text(alphabet="'=+-@\t\r1.e a", max_size=6))
def test_every_text_is_given_back(text):
    assert unguarded(guarded(text)) == text
    assert guarded(text) in (text, f"'{text}")


@pytest.mark.parametrize("text", ["'tis", "'-5", "'", "''"])
def test_an_apostrophe_of_another_tool_is_kept(text):
    assert unguarded(text) == text


def test_a_frame_keeps_its_numbers():
    frame = pd.DataFrame({"id": ["=1+1", None], "=x": [-0.5, 2], "c": pd.Categorical(["@a", "b"])})
    assert csv_text(frame) == "id,'=x,c\n'=1+1,-0.5,'@a\n,2,b\n"
    assert frame["id"][0] == "=1+1"


def test_an_arrow_table_is_read_back():
    texts = [*RUN, *PLAIN, None]
    table = pa.table({"t": [t if t is None else guarded(t) for t in texts], "n": range(len(texts))})
    back = without_guards(table)
    assert back["t"].to_pylist() == texts
    assert back["n"] == table["n"]


def test_ids_and_groups_join_again(tmp_path):
    from fairexit.data.records import read_table
    from fairexit.predictions.files import read_predictions

    file = tmp_path / "p.csv"
    frame = pd.DataFrame(
        {"id": RUN, "label": "a", "prediction": ["@b", *"aaaaaaab"[: len(RUN) - 1]]}
    )
    frame["label"] = ["@b" if i % 2 else "a" for i in range(len(RUN))]
    frame["sex"] = ["=f" if i % 3 else "m" for i in range(len(RUN))]
    file.write_text(csv_text(frame[frame["id"] != "\r=1"]), newline="")
    predictions = read_predictions(file, ["sex"])
    assert predictions.ids.tolist() == [t for t in RUN if t != "\r=1"]
    assert predictions.classes[0] == "@b"
    assert predictions.group_names["sex"] == ("=f", "m")
    assert read_table(file)["id"].tolist() == predictions.ids.tolist()
