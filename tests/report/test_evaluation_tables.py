"""The table of images by class and group."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from fairexit.report.evaluation_tables import cell_table


def prepared(groups):
    """Twelve images of two classes whose groups follow each other, in train and test."""
    frame = pd.DataFrame(
        {
            "label": ["a", "b"] * 6,
            "age": [groups[i % len(groups)] for i in range(12)],
        }
    )
    split = np.array(["train"] * 8 + ["test"] * 4, object)
    return SimpleNamespace(
        frame=frame,
        splits=lambda fold: split,
        attributes={"age": tuple(groups)},
        classes=("a", "b", "absent"),
    )


def test_few_groups_are_columns():
    table = cell_table(prepared(["young", "old"]), "age")
    assert table.columns[:3] == ["Class", "train young", "train old"]
    assert table.rows[0] == ["a", "4", "0 !", "0 !", "0 !", "2", "0 !"]
    assert "1 classes without any image not shown" in table.title


def test_many_groups_are_rows():
    table = cell_table(prepared(["0", "5", "10", "15", "20"]), "age")
    assert table.columns == ["Part and age", "a", "b"]
    assert len(table.rows) == 15
    assert table.rows[0] == ["train 0", "1", "1"]
    assert table.rows[10] == ["test 0", "1", "0 !"]
    columns = [sum(int(row[k].strip(" !")) for row in table.rows) for k in (1, 2)]
    assert columns == [6, 6]
