"""A run is tested on the images of another hospital, which lack some of its classes."""

import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fairexit.data.prepared import open_prepared
from fairexit.errors import UserError
from fairexit.inference.inputs import open_data, open_request
from fairexit.predictions.files import read_predictions


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """A table of 40 images of two of the five classes, in another order, and the images."""
    folder = tmp_path_factory.mktemp("hospital")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(40):
        Image.fromarray(rng.integers(0, 255, (28, 28, 3), np.uint8)).save(folder / f"{i}.png")
        rows.append((f"{i}.png", ("scar", "melanoma")[i % 2], "fm"[i // 2 % 2], f"P{i // 4}"))
    pd.DataFrame(rows, columns=["file", "dx", "sex", "patient"]).to_csv(
        folder / "t.csv", index=False
    )
    return folder


def words(hospital, out, *more):
    columns = ["--id", "file", "--label", "dx", "--group", "sex", "--cluster", "patient"]
    fixed = ["--out", out, "--size", 28, "--workers", 1, "--split", "test"]
    return ["prepare", "table", hospital / "t.csv", *columns, *fixed, *more]


@pytest.mark.parametrize("classes", ["none", "run", "names"])
def test_prepare_predict_and_audit_another_hospital(tiny_run, hospital, tmp_path, command, classes):
    known = open_data(tiny_run).classes
    more = {"none": [], "run": ["--classes-of", tiny_run.path], "names": ["--classes"]}[classes]
    more = [*more, ",".join(known)] if classes == "names" else more
    status, printed, error = command(*words(hospital, tmp_path / "other", *more))
    assert status == 0, error
    data = open_prepared(tmp_path / "other")
    assert set(data.frame["split"]) == {"test"}
    assert data.classes == (("melanoma", "scar") if classes == "none" else known)
    assert ("classes have no image" in printed) == (classes != "none")

    out = tmp_path / "answers"
    given = ["predict", tiny_run.path, "--data", tmp_path / "other", "--out", out]
    status, _, error = command(*given, "--split", "test", "--device", "cpu")
    assert status == 0, error
    predictions = read_predictions(out / "test.parquet")
    assert predictions.classes == known
    names = np.asarray(known)[predictions.labels]
    assert names.tolist() == data.frame["label"].tolist()
    assert predictions.group_names == {"sex": ("f", "m")}

    page = tmp_path / "a.html"
    quick = ["--resamples", 100, "--permutations", 100, "--out", page]
    quick += ["--threshold", 0.9]
    status, printed, error = command("audit", out / "test.parquet", "--group", "sex", *quick)
    assert status == 0, error
    assert "40 samples" in printed
    assert page.is_file()

    status, _, error = command(*given, "--device", "cpu")
    assert status == 2
    assert "split 'val' of" in error
    assert "has no images; choose the split with --split among: test" in error


def test_a_class_that_the_model_does_not_know(tiny_run, hospital, tmp_path, command):
    table = pd.read_csv(hospital / "t.csv")
    table.loc[5, "dx"] = "cyst"
    table.to_csv(hospital / "odd.csv", index=False)
    given = words(hospital, tmp_path / "odd")
    given[2] = hospital / "odd.csv"
    status, _, error = command(*given, "--classes-of", tiny_run.path)
    assert status == 2
    assert "id '5.png': class 'cyst' is not one of the classes given, nevus, melanoma" in error
    assert "(1 such rows); rename it in the table" in error
    status, _, error = command(*given)
    assert status == 0, error
    message = "the image '5.png' has the class 'cyst', which the model does not know"
    with pytest.raises(UserError, match=message):
        open_data(tiny_run, tmp_path / "odd")


def test_options_that_exclude_each_other(tiny_run, hospital, tmp_path, command):
    for more, message in [
        (["--folds", 4], "--folds and --split exclude each other"),
        (["--classes", "a,b", "--classes-of", tiny_run.path], "--classes and --classes-of exclude"),
        (["--classes", "scar,scar,melanoma"], "--classes names 'scar' twice"),
        (["--classes", "scar"], "at least two classes are needed, but there is only one ('scar')"),
    ]:
        status, _, error = command(*words(hospital, tmp_path / "x", *more))
        assert status == 2
        assert message in error
        assert not (tmp_path / "x").exists()


def test_a_hospital_with_one_class_can_be_tested(tiny_run, hospital, tmp_path, command):
    table = pd.read_csv(hospital / "t.csv").assign(dx="melanoma")
    table.to_csv(hospital / "one.csv", index=False)
    given = words(hospital, tmp_path / "one", "--classes-of", tiny_run.path)
    given[2] = hospital / "one.csv"
    assert command(*given)[0] == 0
    request = open_request(
        tiny_run, ["test"], data=tmp_path / "one", last=False, out=tmp_path / "answers"
    )
    assert len(request.rows["test"]) == 40


def test_a_run_with_a_policy_shows_how_to_audit_other_data(tiny_run, hospital, tmp_path, command):
    run = shutil.copytree(tiny_run.path, tmp_path / "run")
    assert command("evaluate", run)[0] == 0
    assert command(*words(hospital, tmp_path / "other"))[0] == 0
    given = ["--data", tmp_path / "other", "--out", tmp_path / "out", "--split", "test"]
    status, printed, error = command("predict", run, *given, "--device", "cpu")
    assert status == 0, error
    line = printed.splitlines()[-1].partition(": fairexit ")[2].split()
    table = str(tmp_path / "out" / "test.parquet")
    assert line[:4] == ["audit", table, "--policy", str(run)]
    quick = ["--resamples", 100, "--permutations", 100, "--group", "sex"]
    line[-1] = str(tmp_path / "audit.html")
    assert command(*line, *quick)[0] == 0
