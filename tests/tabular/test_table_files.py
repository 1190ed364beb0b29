"""Tables in every form that people have are the same table."""

import gzip

import pandas as pd
import pyarrow as pa
import pytest

from fairexit.errors import UserError
from fairexit.tabular import dialect
from fairexit.tabular.cells import coded, numbers_of
from fairexit.tabular.files import open_table

FRAME = pd.DataFrame(
    {"id": ["a1", "a2", "a3"], "größe": ["groß", "1.25", "2.5"], "note": ['x;"y"', "é", ""]}
)


def write(path, frame=FRAME):
    suffix = path.suffix
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    elif suffix == ".tsv":
        frame.to_csv(path, index=False, sep="\t")
    elif suffix == ".txt":
        frame.to_csv(path, index=False, sep=";", encoding="utf-16")
    elif suffix == ".dat":
        frame.to_csv(path, index=False, sep="|", encoding="latin-1")
    elif suffix == ".parquet":
        frame.to_parquet(path)
    elif suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True, force_ascii=False)
    elif suffix == ".json":
        frame.to_json(path, orient="records")
    else:
        frame.to_excel(path, index=False)
    return open_table(path)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "txt", "dat", "parquet", "jsonl", "json", "xlsx"])
def test_one_table_in_every_form(tmp_path, suffix):
    table = write(tmp_path / f"t.{suffix}")
    assert table.names == ("id", "größe", "note")
    frame = table.frame(table.names)
    assert frame.fillna("").to_dict("list") == FRAME.to_dict("list")
    assert frame["note"].iloc[2] is None
    assert bool(table.notes) == (suffix == "dat")  # an encoding was guessed


@pytest.mark.parametrize(("separator", "suffix"), [(";", "csv"), ("\t", "tsv"), (",", "csv")])
def test_decimal_commas(tmp_path, separator, suffix):
    path = tmp_path / f"t.{suffix}"
    frame = FRAME.assign(größe=["0,5", "1,25", "2,0"])
    frame.to_csv(path, index=False, sep=separator)
    assert open_table(path).frame(["größe"])["größe"].tolist() == ["0.5", "1.25", "2.0"]
    (batch,) = open_table(path).batches(["größe"])
    assert batch["größe"].to_pylist() == [0.5, 1.25, 2.0]


def test_numbers_of_text(tmp_path):
    (tmp_path / "t.csv").write_text("x\n1\ntwo\n")
    with pytest.raises(UserError, match=r"t.csv: column 'x' does not hold numbers: 'two'"):
        open_table(tmp_path / "t.csv").read(["x"], ["x"])
    pd.DataFrame({"x": ["1", "two"]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(UserError, match="column 'x' does not hold numbers"):
        numbers_of(open_table(tmp_path / "t.parquet").read(["x"])["x"], "x")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"a,a\n1,2\n", "two columns are called 'a'; rename one"),
        (b"a,b\n1,2,3\n", "it has 3 cells where the header has 2 .*decimal comma"),
        (b"a\0b\0\n", "UTF-16 without a byte order mark"),
        (b"a,b\n\x81\x8d,1\n", "neither UTF-8 nor Windows-1252"),
        (b"\xfd7zXZ", "is compressed .xz.; unpack it first"),
        (b"\x1f\x8b\x08\x00x", "t.csv is not a readable table"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "an old Excel file; save it as .xlsx"),
        (b"PK\x03\x04broken", "is not a readable table"),
        (b"PAR1broken", "is not a readable table"),
        (b'{"a": 1}\n{"a": ', "is not JSON with one object a line"),
        (b"[1, 2]", "must hold one JSON object a line"),
        (b"a\n" + b"x" * 2_000 + b"\n", "the cell in column 'a' has 2,000 characters"),
    ],
)
def test_files_that_are_refused_in_one_line(tmp_path, data, message):
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    with pytest.raises(UserError, match=message) as error:
        whole(path)
    assert "\n" not in str(error.value)


def test_a_compressed_table(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(FRAME.to_csv(index=False).encode()))
    assert whole(path).fillna("").to_dict("list") == FRAME.to_dict("list")


def whole(path):
    table = open_table(path)
    return table.frame(table.names)


def test_what_is_no_file(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        open_table(tmp_path / "absent.csv")
    with pytest.raises(UserError, match="is a folder, not a table"):
        open_table(tmp_path)


def test_mixed_and_nested_json(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"a": 1, "b": [1]}\n{"a": "x", "c": true}\n')
    table = open_table(tmp_path / "t.jsonl")
    assert table.names == ("a", "b", "c")
    assert not table.is_readable("b")
    assert table.frame(["a", "c"]).to_dict("list") == {"a": ["1", "x"], "c": [None, "True"]}


@pytest.mark.parametrize("block", [6, 7, 8])
@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("a,b\nxé,1\nyy,2\n".encode(), "utf-8"),  # é is bytes 5 and 6
        (b"a,b\nx\xc3,1\nyy,2\n", "cp1252"),  # a character that ASCII cuts off
        (b"a,b\nxy,1\nyy,2\nz\xe9,3\n", "cp1252"),
        (b"a,b\nxy,1\nyy,2\nz,\xc3", "cp1252"),
    ],
)
def test_the_encoding_does_not_depend_on_where_the_blocks_of_a_file_end(
    tmp_path, monkeypatch, block, content, encoding
):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    blocks = [content[i : i + block] for i in range(0, len(content), block)]
    monkeypatch.setattr(dialect, "_blocks", lambda _: iter(blocks))
    assert dialect.detect(path).encoding == encoding


def test_a_missing_category_of_texts_is_an_empty_cell():
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 2]), pa.array(["a", None, ""]))
    codes, cells = coded(pa.chunked_array([column]), "x")
    assert codes.tolist() == [0, -1, -1, -1]
    assert cells == ["a"]
