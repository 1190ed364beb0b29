"""Outside tables: only the columns that have a use are read."""

import numpy as np
import pandas as pd
import pytest

from fairexit.errors import UserError
from fairexit.predictions.arrow import Columns, attribute_columns, read_table
from fairexit.predictions.files import read_predictions


def table(n=400):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "truth": rng.choice(["a", "b"], n),
            "said": rng.choice(["a", "b"], n),
            "sex": rng.choice(["f", "m"], n),
            "lesion_id": rng.integers(0, 90, n).astype(str),
            "note": [f"text {i}" for i in range(n)],
            "image": [f"/images/{i}.png" for i in range(n)],
        }
    )


@pytest.fixture(params=["csv", "parquet"])
def file(request, tmp_path):
    path = tmp_path / f"p.{request.param}"
    if request.param == "csv":
        table().to_csv(path, index=False)
    else:
        table().to_parquet(path)
    return path


COLUMNS = Columns(label="truth", prediction="said", cluster="lesion_id")


def test_columns_with_many_values_are_no_attributes_unless_wanted(file):
    kept, left_out = attribute_columns(file, COLUMNS)
    assert kept == ["sex"]
    assert left_out == dict.fromkeys(("note", "image"), "more than 100 values")
    assert attribute_columns(file, COLUMNS, ["note"])[0] == ["sex", "note"]
    with pytest.raises(
        UserError, match=r"there is no column of an attribute 'sexx'; did you mean 'sex'\?"
    ):
        attribute_columns(file, COLUMNS, ["sexx"])


def test_only_what_is_needed_is_read(file):
    read = read_table(file, COLUMNS, ["sex"])
    assert set(read.column_names) == {"truth", "said", "sex", "lesion_id"}
    found = read_predictions(file, ["sex"], columns=COLUMNS)
    assert [*found.attributes] == ["sex"]
    assert found.clusters.tolist() == table()["lesion_id"].tolist()
    assert np.array(found.classes)[found.labels].tolist() == table()["truth"].tolist()
    assert len(read_predictions(file, columns=COLUMNS).attributes) == 3


@pytest.mark.parametrize("name", ["label", "prediction", "id", "cluster", "split"])
def test_a_column_named_by_the_user_must_be_there(file, name):
    wrong = Columns(**{"label": "truth", "prediction": "said", name: "absent"})
    with pytest.raises(UserError, match="no column 'absent'"):
        read_predictions(file, [], columns=wrong)


def test_a_file_without_attributes(tmp_path):
    (tmp_path / "p.csv").write_text("label,prediction\na,b\n")
    assert attribute_columns(tmp_path / "p.csv", Columns()) == ([], {})
    with pytest.raises(
        UserError, match="there is no column of an attribute 'sex'; none is available"
    ):
        attribute_columns(tmp_path / "p.csv", Columns(), ["sex"])
