"""The printed numbers: avg and diff follow from the rows, except for known misprints."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from networks import pooled

from fairexit.metrics.rates import average, difference
from fairexit.runs import Run
from fairexit.study.paper import COPIED, METHODS, common_name, paper_tables, printed, row_names
from fairexit.study.paper_tables import COLUMNS, PRINTED, legend, paper_frame, paper_table

KNOWN_ERRORS = {("2", "HSIC", "diff"), ("S1", "HSIC", "diff")}


def test_avg_and_diff_follow_from_the_rows_but_hsics_diff_in_tables_2_and_s1():
    wrong = set()
    for (table, method), rows in paper_tables().groupby(["table", "method"]):
        at = rows.set_index("row")
        groups = [name for name in at.index if name not in ("avg", "diff")]
        assert len(groups) == 2
        for metric in ("precision", "recall", "f1"):
            values = at.loc[groups, metric].to_numpy()
            for row, ours in (("avg", average(values)), ("diff", difference(values))):
                # Printed group values are rounded, so their mean and gap may be off by 0.001.
                if abs(ours - at.loc[row, metric]) > 0.001 + 1e-9:
                    wrong.add((table, method, row))
    assert wrong == KNOWN_ERRORS


def test_mfd_and_advrev_of_table_2_are_one_row():
    table = paper_tables()
    table = table[table["table"] == "2"].set_index("method").drop(columns="table")
    pd.testing.assert_frame_equal(
        table.loc["MFD"].reset_index(drop=True), table.loc["AdvRev"].reset_index(drop=True)
    )
    assert ("fitzpatrick17k", "MFD") in COPIED


def test_every_method_is_known_under_its_common_name():
    paper = printed("isic2019", "sex")
    assert paper.tables == ("1", "3")
    assert paper.groups == ("female", "male")
    assert paper.value("ERM", "female", "f1") == 0.746
    assert paper.value("ME-ERM", "avg", "recall") == 0.730
    assert paper.value("ME-FairPrune", "diff", "precision") == 0.032
    assert paper.value("FairPrune", "diff", "eodd_paper") == 0.014
    assert paper.value("ME-FairPrune", "avg", "eopp1") == 0.020
    assert paper.value("ME-AdvRev", "avg", "f1") is None
    assert all(paper.value(m, "avg", "f1") for m in METHODS)
    assert printed("fitzpatrick17k", "skin_tone").groups == ("dark", "light")
    assert printed("isic2019", "age_group") is None
    assert len(paper_tables()) == 4 * (8 + 8 + 6 + 6)


@pytest.mark.parametrize("row", ["HSIC", "ME-MFD", "HSIC-searched"])
def test_other_names_stay(row):
    assert common_name(row) == row


def test_no_number_is_missing_where_the_paper_prints_one():
    numbers = paper_tables()
    assert np.isfinite(numbers[["precision", "recall", "f1"]].to_numpy()).all()
    gaps = numbers[numbers["eopp0"].notna()]
    assert len(gaps) == len(numbers) / 4
    # The paper's Eodd lets opposite gaps cancel, so it is at most the usual form, up to rounding.
    assert (gaps["eodd_paper"] <= (gaps["eopp0"] + gaps["eopp1"]) / 2 + 0.001).all()


def test_what_the_paper_does_not_print_stands_beside_it_without_a_number_of_the_papers():
    row = {"row": "HSIC", "mark": "", "printed_as": "HSIC", "group": "female"}
    for metric in COLUMNS:
        row |= {metric: 0.5, f"{metric}_sd": 0.1, f"{metric}_best": False}
    row |= {f"{metric}_paper": 0.4 for metric in PRINTED}
    table = paper_table(pd.DataFrame([row]), "title", "sex")
    assert table.columns[-2:] == ["paper", "Eopp1 by images ↓"]
    assert table.columns.count("paper") == len(PRINTED)
    assert table.rows[0][-2:] == ["0.400", "0.500 ± 0.100"]
    frame = pd.DataFrame([row | {"f1_best": True}])
    table = paper_table(frame, "title", "sex", brackets=True)
    assert table.columns[2:5] == ["Precision ↑", "Recall ↑", "F1 ↑"]
    assert table.rows[0][2:5] == ["0.500 ± 0.100 (0.400)"] * 2 + ["0.500 ± 0.100 (0.400) *"]
    assert table.rows[0][-1] == "0.500 ± 0.100"
    assert "In brackets: the printed number" in legend(frame, brackets=True)
    without = frame.drop(columns=[f"{metric}_paper" for metric in PRINTED])
    assert "printed" not in legend(without)


def test_the_papers_name_of_a_row_stands_beside_the_studys():
    isic = printed("isic2019", "sex")
    names = {"ERM": "ResNet18", "ME-ERM": "ME-ResNet18", "HSIC": "HSIC", "ME-AdvRev": ""}
    assert {name: isic.name(name) for name in names} == names
    values = dict.fromkeys([f"{m}{part}" for m in COLUMNS for part in ("", "_sd")], 0.5)
    values |= {f"{metric}_best": False for metric in COLUMNS}
    rows = [
        {"row": row, "mark": mark, "printed_as": paper, "group": "avg"}
        for row, mark, paper in (
            ("ERM", "", "ResNet18"), ("ResNet18", "", "ResNet18"), ("other", "", ""),
            ("ME-ERM", "one class answers", "ME-ResNet18"),
        )
    ]  # fmt: skip
    table = paper_table(pd.DataFrame([row | values for row in rows]), "title", "sex")
    assert [row[0] for row in table.rows] == [
        "ERM (paper: ResNet18)",
        "ResNet18",
        "other",
        "ME-ERM (paper: ME-ResNet18, one class answers)",
    ]


def test_a_studys_own_names_are_kept():
    names = row_names(["ME-VGG-11", "HSIC", "my own"])
    assert (names["ME-ERM"], names["HSIC"], names["my own"]) == ("ME-VGG-11", "HSIC", "my own")
    assert names["FairPrune"] == "FairPrune", "the study lacks it"


def study_of(*rows):
    """Cells of rows, each a name with its seeds and the skill of its networks."""
    return [pooled(name, seed, skill) for name, seeds, skill in rows for seed in seeds]


def constant(cell):
    """The cell, with one class as every answer."""
    cell.predictions[0].probabilities[:] = (1, 0, 0)
    return cell


def without_effect(cell):
    run = SimpleNamespace(config=cell.runs[0].config, inactive=("penalty inactive",))
    return replace(cell, runs=(run,))


def best_rows(study):
    """Metric -> rows with the mark of the best mean."""
    frame = paper_frame(study, None)
    assert "is_compared" not in frame
    return {m: set(frame.loc[frame[f"{m}_best"], "row"]) for m in COLUMNS}


def highest_f1(study):
    """Rows with the mark of the best mean F1."""
    frame = paper_frame(study, None)
    return set(frame.loc[frame["f1_best"] & (frame["group"] == "avg"), "row"])


@pytest.fixture
def plain_runs(monkeypatch):
    config = SimpleNamespace(model=SimpleNamespace(backbone="resnet18"))
    monkeypatch.setattr(Run, "config", config)
    monkeypatch.setattr(Run, "inactive", ())


def test_a_row_in_which_one_class_answers_is_marked_and_never_the_best(plain_runs):
    study = study_of(("A", (0, 1), 3.0), ("B", (0, 1), 2.0))
    study += [constant(pooled("C", seed, 3.0)) for seed in (0, 1)]
    best = best_rows(study)
    assert all(best.values())
    assert set().union(*best.values()) <= {"A", "B"}
    frame = paper_frame(study, None)
    assert set(frame.loc[frame["row"] == "C", "mark"]) == {"one class answers"}
    assert (frame.loc[frame["row"] == "C", "eopp1"].dropna() == 0).all()
    once = [*study[:5], pooled("C", 1, 3.0)]
    frame = paper_frame(once, None)
    assert set(frame.loc[frame["row"] == "C", "mark"]) == {"one class answers in seed 0"}
    assert set().union(*best_rows(once).values()) <= {"A", "B"}


def test_a_row_without_effect_is_never_the_best(plain_runs):
    study = study_of(("A", (0,), 1.0), ("B", (0,), 2.0))
    better = pooled("C", 0, 9.0)
    assert highest_f1([*study, better]) == {"C"}
    assert highest_f1([*study, without_effect(better)]) == {"B"}


def test_no_mark_crosses_different_numbers_of_seeds(plain_runs):
    study = study_of(("A", (0, 1), 1.0), ("B", (0, 1), 2.0), ("C", (0,), 9.0))
    assert highest_f1(study) == {"B"}
    assert not any(best_rows(study[2:]).values()), "B has more seeds than the others"
