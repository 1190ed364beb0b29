"""Outside tables: only the columns that have a use are read, and each option does what it says."""

import tracemalloc

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pytest

from fairexit.errors import UserError
from fairexit.predictions.files import read_predictions, write_predictions
from fairexit.predictions.reading import Reading
from fairexit.tabular.cells import coded


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


READING = Reading(label="truth", prediction="said", cluster="lesion_id")


def test_columns_with_many_values_are_no_attributes_unless_wanted(file):
    read = read_predictions(file, reading=READING)
    assert [*read.attributes] == ["sex"]
    assert read.left_out == dict.fromkeys(("note", "image"), "more than 100 values")
    wanted = read_predictions(file, ["note"], only=False, reading=READING)
    assert [*wanted.attributes] == ["sex", "note"]
    with pytest.raises(
        UserError, match=r"there is no column of an attribute 'sexx'; did you mean 'sex'\?"
    ):
        read_predictions(file, ["sexx"], reading=READING)


def test_only_what_is_needed_is_read(file):
    read = read_predictions(file, ["sex"], reading=READING)
    assert [*read.attributes] == ["sex"]
    assert read.clusters.tolist() == table()["lesion_id"].tolist()
    assert np.array(read.classes)[read.labels].tolist() == table()["truth"].tolist()


@pytest.mark.parametrize("name", ["label", "prediction", "id", "cluster", "split", "score"])
def test_a_column_named_by_the_user_must_be_there(file, name):
    wrong = {"label": "truth", "prediction": "said", name: "absent"}
    wrong |= {"positive": "a"} if name == "score" else {}
    with pytest.raises(UserError, match="no column 'absent'"):
        read_predictions(file, [], reading=Reading(**wrong))


def test_a_file_without_attributes(tmp_path):
    (tmp_path / "p.csv").write_text("label,prediction\na,b\nb,b\n")
    assert read_predictions(tmp_path / "p.csv").attributes == {}
    with pytest.raises(
        UserError, match="there is no column of an attribute 'sex'; none is available"
    ):
        read_predictions(tmp_path / "p.csv", ["sex"])


def test_a_list_column_that_nobody_needs(tmp_path):
    table().assign(boxes=[[1, 2]] * 400).to_parquet(tmp_path / "p.parquet")
    read = read_predictions(tmp_path / "p.parquet", reading=READING)
    assert read.left_out["boxes"] == "its cells are not single values"
    with pytest.raises(UserError, match=r"column 'boxes' holds list<.*>, not single values"):
        read_predictions(tmp_path / "p.parquet", ["boxes"], reading=READING)


def write(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_text(text)
    return path


SCORED = "label,s\n1,0.9\n0,0.5\n0,0.2\n1,0.3\n"


def test_the_score_of_one_class(tmp_path):
    path = write(tmp_path, SCORED)
    read = read_predictions(path, reading=Reading(score="s", positive="1"))
    assert read.classes == ("0", "1")
    np.testing.assert_allclose(read.probabilities[:, 0, 1], [0.9, 0.5, 0.2, 0.3], rtol=1e-6)
    assert read.answers[:, 0].tolist() == [1, 1, 0, 0]
    lower = read_predictions(path, reading=Reading(score="s", positive="1", cut=0.25))
    assert lower.answers[:, 0].tolist() == [1, 1, 0, 1]
    other = read_predictions(path, reading=Reading(score="s", positive="0"))
    assert other.classes == ("1", "0")
    assert other.answers[:, 0].tolist() == [1, 1, 0, 0]


def test_logits_of_one_class_and_of_all(tmp_path):
    path = write(tmp_path, "label,s\n1,3\n0,-40\n0,-200\n1,-1\n")
    with pytest.raises(UserError, match=r"row 1: the score 3 is not between 0 and 1.*'logits'"):
        read_predictions(path, reading=Reading(score="s", positive="1"))
    read = read_predictions(path, reading=Reading(score="s", positive="1", logits=True))
    assert read.answers[:, 0].tolist() == [1, 0, 0, 0]
    assert read.probabilities[1, 0, 1] == pytest.approx(4.2e-18, rel=0.02)
    path = write(tmp_path, "label,p/a,p/b\na,2,1\nb,-3,5\n")
    read = read_predictions(path, reading=Reading(logits=True))
    np.testing.assert_allclose(read.probabilities[0, 0], [0.7310586, 0.2689414], rtol=1e-5)
    with pytest.raises(UserError, match="sum to 3, not 1"):
        read_predictions(write(tmp_path, "label,p/a,p/b\na,2,1\nb,3,5\n"))


def test_a_score_of_one_class_among_many(tmp_path):
    path = write(tmp_path, "dx,s\nmel,0.9\nnv,0.1\nbcc,0.6\nMEL,0.4\n")
    read = read_predictions(path, reading=Reading(label="dx", score="s", positive="mel"))
    assert read.classes == ("not mel", "mel")
    assert read.labels.tolist() == [1, 0, 0, 1]
    assert "every label but 'mel' is read as 'not mel'" in read.notes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score": "s"}, "'score' needs 'positive'"),
        ({"cut": 0.3}, "'cut' needs 'score'"),
        ({"score": "s", "positive": "1", "cut": 1.5}, "'cut' is 1.5; it must be between 0 and 1"),
        ({"score": "s", "positive": "1", "prob_prefix": "q"}, "'prob_prefix' and 'score' exclude"),
        ({"score": "s", "positive": "yes"}, "'positive' is 'yes', which is not a label"),
        ({"bins": {"age": (60, 30)}}, "give ascending cuts"),
        ({"min_group": -1}, "'min_group' is -1"),
    ],
)
def test_options_that_do_not_fit(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        read_predictions(write(tmp_path, SCORED), reading=Reading(**options))


def test_columns_of_any_name(tmp_path):
    path = write(tmp_path, "label,Prob Melanoma,nv,age\nmel,0.7,0.3,40\nnv,0.2,0.8,70\n")
    named = Reading(prob={"mel": "Prob Melanoma", "nv": "nv"})
    read = read_predictions(path, reading=named)
    assert (read.classes, read.answers[:, 0].tolist()) == (("mel", "nv"), [0, 1])
    assert [*read.attributes] == ["age"]
    bare = write(tmp_path, "label,NV,mel,age\nmel,0.3,0.7,40\nnv,0.8,0.2,70\n")
    read = read_predictions(bare, reading=Reading(prob_prefix=""))
    assert (read.classes, read.answers[:, 0].tolist()) == (("mel", "nv"), [0, 1])
    assert [*read.attributes] == ["age"]
    with pytest.raises(UserError, match=r"no column is called like the class 'nv'.*'prob'"):
        read_predictions(
            write(tmp_path, "label,mel\nmel,0.7\nnv,0.2\n"), reading=Reading(prob_prefix="")
        )


def test_rows_without_an_answer(tmp_path):
    path = write(tmp_path, "label,prediction,sex\na,a,f\nb,,m\n,a,f\nb,b,m\nb,a,f\n")
    with pytest.raises(UserError, match=r"a label is missing in 1 row \(first in row 3\)"):
        read_predictions(path)
    read = read_predictions(path, reading=Reading(drop_missing=True))
    assert read.answers[:, 0].tolist() == [0, 1, 0]
    assert "1 row without a label was left out" in read.notes
    assert "1 row without an answer was left out" in read.notes
    with pytest.raises(UserError, match="every row lacks an answer"):
        read_predictions(write(tmp_path, "label,prediction\na,\nb,\n"))


def test_answers_that_follow_a_cut(tmp_path):
    text = "label,prediction,p/no,p/yes\nyes,yes,0.65,0.35\nno,no,0.8,0.2\nyes,yes,0.1,0.9\n"
    read = read_predictions(write(tmp_path, text))
    assert read.answers[:, 0].tolist() == [1, 0, 1]
    assert not read.hard
    assert "a cut-off of the probability of 'yes' between 0.2 and 0.35" in read.notes[0]
    swapped = text.replace("p/no,p/yes", "p/yes,p/no")
    with pytest.raises(UserError, match="does not have the largest probability, in 2 of 3 rows"):
        read_predictions(write(tmp_path, swapped))


def test_a_tie_is_answered_as_given(tmp_path):
    text = "label,prediction,p/a,p/b\nb,b,0.5,0.5\na,a,0.5,0.5\nb,b,0.2,0.8\n"
    read = read_predictions(write(tmp_path, text))
    assert read.answers[:, 0].tolist() == [1, 0, 1]
    assert not read.notes


def test_columns_that_contradict_each_other(tmp_path):
    with pytest.raises(UserError, match="columns 'p/a' and 'pf/a' are both of class 'a'"):
        read_predictions(write(tmp_path, "label,p/a,p/b,pf/a,pf/b\na,1,0,0,1\nb,1,0,0,1\n"))
    with pytest.raises(UserError, match=r"'A' and 'a' are one name|'a' and 'A' are one name"):
        read_predictions(write(tmp_path, "label,p/a,p/A\na,1,0\nA,1,0\n"))
    with pytest.raises(UserError, match="probabilities of 2 exits and a column of answers"):
        read_predictions(
            write(tmp_path, "label,prediction,p1/a,p1/b,pf/a,pf/b\na,a,1,0,0,1\nb,b,1,0,0,1\n")
        )


def test_a_cluster_that_is_a_placeholder(tmp_path):
    frame = table()
    frame["lesion_id"] = np.where(np.arange(400) % 2, "unknown", frame["lesion_id"])
    frame.to_csv(tmp_path / "t.csv", index=False)
    read = read_predictions(tmp_path / "t.csv", reading=READING)
    assert set(read.clusters[1::2]) == {""}
    assert not read.notes
    frame["lesion_id"] = np.where(np.arange(400) % 2, "not recorded", frame["lesion_id"])
    frame.to_csv(tmp_path / "t.csv", index=False)
    read = read_predictions(tmp_path / "t.csv", reading=READING)
    assert "'not recorded' in column 'lesion_id' holds 50 % of the rows" in read.notes[0]
    named = Reading(
        label="truth",
        prediction="said",
        cluster="lesion_id",
        unknown_values=["Not Recorded"],
    )
    read = read_predictions(tmp_path / "t.csv", reading=named)
    assert set(read.clusters[1::2]) == {""}
    assert not read.notes


@pytest.mark.parametrize(
    ("labels", "answers", "message"),
    [
        (["a", "b"], ["x", "y"], "20 of 20 answers are names that no label has"),
        (["a", "b"], [0.731, 0.269], r"numbers such as 0.731, not class names.*'score'"),
        (["0", "1"], ["no", "yes"], "20 of 20 answers are names that no label has"),
    ],
)
def test_answers_that_are_no_labels(tmp_path, labels, answers, message):
    pd.DataFrame({"label": labels * 10, "prediction": answers * 10}).to_csv(
        tmp_path / "t.csv", index=False
    )
    with pytest.raises(UserError, match=message):
        read_predictions(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("labels", "answers"),
    [
        (["0.0", "1.0"], ["0", "1"]),
        (["True", "False"], ["1", "0"]),
        (["TRUE", "FALSE"], ["True", "False"]),
        (["01", "02"], ["1", "2"]),
        (["mel", "nv"], ["MEL", " nv "]),
        (["Caf\u00e9", "x"], ["Cafe\u0301", "x"]),
        (["1e0", "2"], ["1", "2.000"]),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "parquet", "frame", "jsonl"])
def test_one_name_in_two_forms(tmp_path, labels, answers, kind):
    frame = pd.DataFrame({"label": labels * 10, "prediction": answers * 10, "sex": ["f", "m"] * 10})
    if kind == "frame":
        from fairexit.predictions.arrays import from_frame

        read = from_frame(frame)
    else:
        path = tmp_path / f"t.{kind}"
        if kind == "csv":
            frame.to_csv(path, index=False)
        elif kind == "parquet":
            frame.to_parquet(path)
        else:
            frame.to_json(path, orient="records", lines=True)
        read = read_predictions(path)
    assert len(read.classes) == 2
    assert (read.answers[:, 0] == read.labels).all()


@pytest.mark.parametrize("cell", ["nan", "NaN", "NA", "N/A", "<NA>", "null"])
def test_a_cell_that_says_it_is_missing_is_no_class(tmp_path, cell):
    path = write(tmp_path, f"label,prediction\na,a\nb,b\n{cell},a\nb,{cell}\n")
    with pytest.raises(UserError, match=r"a label is missing in 1 row \(first in row 3\)"):
        read_predictions(path)
    read = read_predictions(path, reading=Reading(drop_missing=True))
    assert read.classes == ("a", "b")
    named = read_predictions(path, reading=Reading(classes=["a", "b", cell]))
    assert len(named) == 4


def peak_of(path, message):
    """Peak of Python's and NumPy's memory, in MB, until a table is refused."""
    tracemalloc.start()
    with pytest.raises(UserError, match=message):
        read_predictions(path)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return peak


def test_what_is_no_class_is_refused_at_once(tmp_path):
    n = 60_000
    path = tmp_path / "p.parquet"
    labels = [f"name {i}" for i in range(n)]
    pd.DataFrame({"label": labels, "prediction": labels}).to_parquet(path)
    assert peak_of(path, r"'label' has 60,000 different cells, which are no classes") < 30
    labels = [f"name {i % 6000}" for i in range(n)]
    pd.DataFrame({"label": labels, "prediction": labels}).to_parquet(path)
    assert peak_of(path, "'label' has 6,000 different names, which are no classes; at most") < 30


@pytest.mark.parametrize("column", ["id", "label", "cluster"])
def test_a_very_long_cell_is_refused_at_once(tmp_path, column):
    n = 20_000
    path = tmp_path / "p.parquet"
    cells = {"id": np.arange(n).astype(str), "label": ["a", "b"] * (n // 2)}
    frame = pd.DataFrame({**cells, "cluster": "c", "prediction": cells["label"]}, dtype=object)
    frame.loc[7, column] = "x" * 2_000_000
    frame.to_parquet(path)
    assert peak_of(path, rf"row 8: the cell in column '{column}' has 2,000,000 characters") < 30


def test_long_names_take_the_memory_of_their_own_length_only(tmp_path):
    n = 20_000
    frame = pd.DataFrame({"label": ["a", "b"] * (n // 2), "cluster": "c", "split": "test"})
    frame = frame.assign(id=np.arange(n).astype(str), prediction=frame["label"]).astype(object)
    frame.loc[7, ["id", "cluster"]] = "x" * 900
    frame.to_parquet(tmp_path / "p.parquet")
    tracemalloc.start()
    read = read_predictions(tmp_path / "p.parquet")
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    assert read.ids[7] == read.clusters[7] == "x" * 900
    assert peak < 30  # an array of fixed width takes 72 MB


def test_cells_of_many_chunks(tmp_path):
    chunks = [[f"id {100 * k + i}" for i in range(100)] for k in range(300)]
    codes, cells = coded(pa.chunked_array(chunks), "id")
    assert [cells[code] for code in codes] == [cell for chunk in chunks for cell in chunk]


def test_a_missing_label_beside_a_score_is_missing(tmp_path):
    path = write(tmp_path, "label,s\nmel,0.9\nnv,0.1\nNA,0.9\n?,0.9\n")
    with pytest.raises(UserError, match=r"a label is missing in 2 rows \(first in row 3\)"):
        read_predictions(path, score="s", positive="mel")
    read = read_predictions(path, score="s", positive="mel", drop_missing=True)
    assert (read.classes, len(read)) == (("nv", "mel"), 2)


def test_plus_and_minus_are_classes(tmp_path):
    read = read_predictions(write(tmp_path, "label,prediction\n+,+\n-,-\n"))
    assert read.classes == ("+", "-")


def test_answers_that_no_label_has_are_said(tmp_path):
    path = write(tmp_path, "label,prediction\n" + "mel,melanoma\nnv,nv\n" * 3)
    read = read_predictions(path)
    assert "3 of 6 answers are names that no label has: 'melanoma'" in read.notes[0]


@pytest.mark.parametrize("form", ["me\u200bl", "\uff4d\uff45\uff4c", "mel\u200e", "MEL"])
def test_invisible_and_wide_characters(tmp_path, form):
    path = write(tmp_path, "label,prediction\n" + f"mel,{form}\nnv,nv\n" * 3)
    assert read_predictions(path).classes == ("mel", "nv")


def test_a_patient_in_two_forms_is_one(tmp_path):
    rows = "".join(f"a,a,P{i}\nb,b,p{i} \n" for i in range(20))
    path = write(tmp_path, "label,prediction,patient\n" + rows)
    read = read_predictions(path, cluster="patient")
    assert len(set(read.clusters)) == 20
    assert "20 names in column 'patient' are other forms" in read.notes[0]


def test_a_header_in_the_middle_is_refused(tmp_path):
    text = "label,prediction\na,a\nb,b\n"
    with pytest.raises(UserError, match="row 3 repeats the header"):
        read_predictions(write(tmp_path, text + text))


def test_a_quotation_mark_that_is_not_closed_is_said(tmp_path):
    text = 'label,prediction,note\na,a,x\nb,b,"big\na,b,x\nb,a,"y"""\na,a,x\n'
    read = read_predictions(write(tmp_path, text))
    assert "5 lines of the file are" in read.notes[0]


def test_columns_in_another_case_and_splits_without_a_name(tmp_path):
    path = write(tmp_path, "Label,PREDICTION,Split\na,a,Test\nb,b,test\na,b,train\nb,b,\n")
    read = read_predictions(path)
    assert "column 'Split' is read as 'split'" in read.notes
    measured = read.of_split("test")
    assert len(measured) == 2
    assert "1 of 4 rows name no split and are left out" in measured.notes


def test_decimal_commas_are_numbers_in_every_column(tmp_path):
    rows = "".join(f"a;a;{age},5\nb;b;{age},5\n" for age in range(20, 60))
    path = write(tmp_path, "label;prediction;age\n" + rows)
    with pytest.raises(UserError, match="'age' is a number with 40 values"):
        read_predictions(path, ["age"])
    assert read_predictions(path, bins={"age": [40]}).group_names["age"] == ("<40", ">=40")


def test_logits_that_are_probabilities_are_refused(tmp_path):
    with pytest.raises(UserError, match="all scores are between 0 and 1"):
        read_predictions(write(tmp_path, SCORED), score="s", positive="1", logits=True)


def test_a_frame_and_a_wrong_option():
    frame = table()
    assert read_predictions(frame, ["sex"], reading=READING).group_names == {"sex": ("f", "m")}
    with pytest.raises(UserError, match="unknown option 'scor'; did you mean 'score'"):
        read_predictions(frame, scor="x")


def test_rows_that_are_left_keep_their_numbers(tmp_path):
    path = write(tmp_path, "label,prediction\na,a\n,a\nb,b\n")
    assert read_predictions(path, drop_missing=True).ids.tolist() == ["1", "3"]


def test_one_column_has_one_meaning(tmp_path):
    with pytest.raises(UserError, match="'label', 'prediction' and 'score' must be different"):
        read_predictions(write(tmp_path, "label,prediction\na,a\nb,b\n"), label="prediction")


def test_a_cut_makes_the_answers_and_says_so(tmp_path):
    path = write(tmp_path, "label,prediction,s\n1,1,0.9\n0,0,0.5\n0,0,0.2\n1,1,0.6\n")
    given = read_predictions(path, score="s", positive="1")
    assert given.answers[:, 0].tolist() == [1, 0, 0, 1]
    cut = read_predictions(path, score="s", positive="1", cut=0.4)
    assert cut.answers[:, 0].tolist() == [1, 1, 0, 1]
    assert "the answers are made by the cut; the column 'prediction' is unused" in cut.notes


def test_the_texts_of_a_file_are_read_in_one_pass(tmp_path, monkeypatch):
    passes = []
    real = pyarrow.csv.read_csv

    def counted(*args, **options):
        passes.append(options["convert_options"].include_columns)
        return real(*args, **options)

    monkeypatch.setattr("pyarrow.csv.read_csv", counted)
    path = write(tmp_path, "id,label,cluster,sex,p/a,p/b\nx,a,k,f,1,0\ny,b,k,m,0.2,0.8\n")
    assert len(read_predictions(path)) == 2
    assert passes == [["label", "cluster", "id", "sex"]]


def test_a_thousand_is_no_decimal(tmp_path):
    path = write(tmp_path, 'label,prediction,dose\na,b,"1,000"\nb,a,900\na,a,10\n')
    with pytest.raises(UserError, match="'1,000' is not a number"):
        read_predictions(path, ["dose"], bins={"dose": [50]})
    path = write(tmp_path, "label;prediction;dose\na;b;0,5\nb;a;90\na;a;10,25\n")
    read = read_predictions(path, ["dose"], bins={"dose": [50]})
    assert read.attributes["dose"].tolist() == [0, 1, 0]
    assert "numbers were read with decimal commas" in read.notes


@pytest.mark.parametrize("kind", ["frame", "parquet"])
def test_categories_that_do_not_occur_are_no_classes_or_groups(tmp_path, kind):
    frame = pd.DataFrame(
        {
            "label": pd.Categorical(["a", "b", "a", "NA"], ["", "x", "NA", "b", "a"]),
            "prediction": ["a", "b", "b", "a"],
            "sex": pd.Categorical(["f", "m", "f", "m"], ["f", "m", "x"]),
        }
    )
    path = tmp_path / "t.parquet"
    frame.to_parquet(path)
    read = read_predictions(frame if kind == "frame" else path, drop_missing=True)
    assert read.classes == ("a", "b")
    assert read.group_names["sex"] == ("f", "m")


def test_codes_of_patients_are_no_decimal_numbers(tmp_path):
    codes = ["1.1", "1.10", "1e5", "100000", "10e4", "9" * 34 + "1", "9" * 34 + "2", "007", "7"]
    frame = pd.DataFrame({"label": ["a", "b"] * 4 + ["a"], "patient": codes})
    frame.assign(prediction=frame["label"]).to_csv(tmp_path / "t.csv", index=False)
    read = read_predictions(tmp_path / "t.csv", cluster="patient")
    assert len(set(read.clusters)) == len(codes) - 1  # 007 and 7 are one


def test_whole_numbers_with_gaps_stay_exact():
    big = 9_007_199_254_740_993
    table_ = pa.table(
        {"label": ["a", "b", "a"], "prediction": ["a", "b", "b"], "cluster": [big, big - 1, None]}
    )
    assert read_predictions(table_).clusters.tolist() == [str(big), str(big - 1), ""]


def test_missing_classes_are_the_same_everywhere(tmp_path):
    path = write(tmp_path, "label,a,b\na,0.9,0.1\nb,0.2,0.8\nNA,0.5,0.5\n")
    assert read_predictions(path, prob_prefix="", drop_missing=True).classes == ("a", "b")
    path = write(tmp_path, "label,prediction\n+,-\n-,-\n")
    assert read_predictions(path).classes == ("+", "-")


def test_a_score_has_no_list_of_classes(tmp_path):
    with pytest.raises(UserError, match="'score' is of two classes, so 'classes' has no meaning"):
        read_predictions(write(tmp_path, SCORED), score="s", positive="1", classes=["1", "0"])


def test_a_header_that_a_spreadsheet_would_run(tmp_path):
    predictions = read_predictions(table().rename(columns={"sex": "=cmd"}), reading=READING)
    write_predictions(predictions, tmp_path / "p.csv")
    assert "'=cmd" in (tmp_path / "p.csv").read_text().splitlines()[0]
    assert "=cmd" in read_predictions(tmp_path / "p.csv").attributes


def test_empty_lines_before_the_header(tmp_path):
    assert len(read_predictions(write(tmp_path, "\n\nlabel,prediction\na,a\nb,b\n"))) == 2


def test_a_first_line_that_names_the_separator(tmp_path):
    read = read_predictions(write(tmp_path, "sep=;\nlabel;prediction\na;a\nb;b\n"))
    assert (read.classes, len(read)) == (("a", "b"), 2)
