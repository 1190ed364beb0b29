"""The printed numbers: avg and diff follow from the rows, except for known misprints."""

import numpy as np
import pandas as pd
import pytest

from fairexit.metrics.rates import average, difference
from fairexit.study.paper import COPIED, METHODS, common_name, paper_tables, printed
from fairexit.study.paper_tables import COLUMNS, PRINTED, latex, markdown_table

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
    row = {"method": "HSIC", "row": "female"}
    for metric in COLUMNS:
        row |= {metric: 0.5, f"{metric}_sd": 0.1, f"{metric}_best": False}
    row |= {f"{metric}_paper": 0.4 for metric in PRINTED}
    table = markdown_table(pd.DataFrame([row]), "title", "sex")
    assert table.columns[-2:] == ["paper", "Eopp1 by images"]
    assert table.columns.count("paper") == len(PRINTED)
    assert table.rows[0][-2:] == ["0.400", "0.500 ± 0.100"]
    last = latex(pd.DataFrame([row]), "title", "sex", "").splitlines()[-4]
    assert last.endswith(r"(0.400) & 0.500 $\pm$ 0.100 \\")
