"""`fairexit monitor` as a user calls it."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fairexit.predictions.files import read_predictions, write_predictions
from fairexit.runs import Run


def answers(n, seed, accuracy=0.85):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    right = rng.random(n) < accuracy
    return pd.DataFrame(
        {
            "id": [f"{seed}-{i}" for i in range(n)],
            "label": np.array(["benign", "melanoma"])[label],
            "prediction": np.array(["benign", "melanoma"])[np.where(right, label, 1 - label)],
            "sex": np.array(["f", "m"])[rng.integers(0, 2, n)],
            "patient_id": [f"{seed}-{i // 2}" for i in range(n)],
        }
    )


@pytest.fixture
def tables(tmp_path):
    """BASE, two weeks like it, and one that is far worse."""
    files = []
    for seed, (name, accuracy) in enumerate(
        [("base", 0.85), ("week1", 0.85), ("week2", 0.85), ("bad", 0.5)]
    ):
        files.append(tmp_path / f"{name}.csv")
        answers(1500 if name == "base" else 300, seed, accuracy).to_csv(files[-1], index=False)
    return files


OPTIONS = ("--group", "sex", "--cluster", "patient_id")


def test_quiet_weeks_leave_the_exit_status_0(tables, command):
    status, printed, err = command("monitor", *tables[:3], *OPTIONS)
    assert status == 0
    assert err.startswith("reading ")
    text = " ".join(printed.split())
    assert "No alarm after 300 patients of week1, week2, looked at 2 times." in text
    for title in ("The mix", "The performance", "The gaps between groups", "Method"):
        assert f"\n{title}\n" in printed
    assert "Gap in true positive rate of melanoma, f minus m" in printed


def test_a_fall_makes_the_exit_status_1_and_writes_all_forms(tables, command, tmp_path):
    files = [tmp_path / "m.html", tmp_path / "m.md", tmp_path / "m.json"]
    status, printed, _ = command(
        "monitor", *tables, *OPTIONS,
        "--out", files[0], "--markdown", files[1], "--json", files[2],
    )  # fmt: skip
    assert status == 1
    assert "The model does worse than in base" in printed
    assert "Method" not in printed
    assert printed.splitlines()[-3:] == [f"written: {file}" for file in files]
    page, text, data = (file.read_text(encoding="utf-8") for file in files)
    assert not re.search(r"(src|href)=\"(?!#|data:)", page)
    assert "Accuracy" in page
    assert ">worse</span>" in page
    assert "look 3: bad" in page
    assert "so far</figcaption>" in page
    assert text.startswith("# Monitor of base\n")
    numbers = json.loads(data)
    assert numbers["worse"] is True
    assert numbers["facts"]["looks"] == ["week1", "week2", "bad"]
    [accuracy] = [
        w for w in numbers["watched"]
        if w["quantity"] == {"question": "performance", "measure": "accuracy", "attribute": "",
                             "group": "", "name": ""}
    ]  # fmt: skip
    assert (accuracy["verdict"], accuracy["alarm"]) == ("worse", 2)
    assert len(accuracy["looks"]) == 3


def test_json_is_printed_alone(tables, command):
    status, printed, _ = command("monitor", *tables[:2], *OPTIONS, "--json", "-")
    assert status == 0
    assert json.loads(printed)["worse"] is False


def test_names_are_escaped_in_the_page(tables, command, tmp_path):
    for file in tables:
        frame = pd.read_csv(file).replace({"sex": {"f": "<b>f"}})
        frame.to_csv(file, index=False)
    command("monitor", *tables, *OPTIONS, "--out", tmp_path / "m.html")
    page = (tmp_path / "m.html").read_text(encoding="utf-8")
    assert "<b>f" not in page
    assert "&lt;b&gt;f" in page


def test_a_grown_table_with_a_column_of_time(tables, command, tmp_path):
    weeks = [pd.read_csv(file).assign(week=k) for k, file in enumerate(tables[1:])]
    pd.concat(weeks).to_csv(tmp_path / "grown.csv", index=False)
    status, printed, _ = command(
        "monitor", tables[0], tmp_path / "grown.csv", *OPTIONS, "--time", "week"
    )
    assert status == 1
    assert "The order of time is that of the column 'week'. Looks: 0, 1, 2." in printed


def test_a_run_is_base_and_its_policy_holds_for_a_table(tiny_run, command, tmp_path):
    stored = read_predictions(tiny_run.predictions("test"))
    ids = stored.ids + "x"
    write_predictions(replace(stored, ids=ids, clusters=ids), tmp_path / "new.parquet")
    base = tmp_path / "run"
    shutil.copytree(tiny_run.path, base)
    write_predictions(replace(stored, clusters=stored.ids), Run(base).predictions("test"))
    status, printed, _ = command("monitor", base, tmp_path / "new.parquet", "--json", "-")
    assert status == 0
    watched = json.loads(printed)["watched"]
    assert {w["quantity"]["measure"] for w in watched} >= {"exit", "confidence", "accuracy"}
    assert [w["difference"]["value"] for w in watched] == [0] * len(watched)
    status, _, err = command("monitor", base, tiny_run.predictions("test"))
    assert status == 2
    assert "give every image once" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--time", "week", "--every", "5"], "--time and --every both say when to look"),
        (["--time", "day"], "there is no column 'day'"),
        (["--alpha", "2"], "--alpha is 2.0; it must be between 0 and 1"),
        (["--every", "1000"], "too few for a look after every 1000; wait for more, or lower"),
        (["--out", "m.csv"], "--out m.csv is an HTML page; call it m.html"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(tables, command, words, message):
    status, printed, err = command("monitor", *tables[:2], *OPTIONS, *words)
    assert (status, printed) == (2, "")
    assert message in err.splitlines()[-1]
    assert "Traceback" not in err


def test_a_table_must_be_new(tables, command):
    status, _, err = command("monitor", tables[0], tables[0], *OPTIONS)
    assert status == 2
    assert "1500 images are in several tables, such as '0-0' in base and base" in err
    status, _, err = command("monitor", tables[0], "none.csv", *OPTIONS)
    assert (status, err) == (2, "fairexit: there is no file or folder none.csv\n")
