"""Answers for image files of which nothing is known."""

import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import fairexit
from fairexit.data.prepared import open_prepared
from fairexit.errors import UserError
from fairexit.evaluation.assess import assess
from fairexit.evaluation.policy import Policy
from fairexit.inference.predict import classify
from fairexit.runs import Run


@pytest.fixture
def images(tiny_run, tmp_path):
    """The test images of the run's own data as files, one of them damaged; and their ids."""
    data = open_prepared(tiny_run.config.data.path)
    rows = data.rows("test")[:20]
    (tmp_path / "new" / "sub").mkdir(parents=True)
    names = [f"sub/{data.frame['id'][row]}.png" for row in rows]
    for row, name in zip(rows, names, strict=True):
        Image.fromarray(np.asarray(data.images[row])).save(tmp_path / "new" / name)
    (tmp_path / "new" / "broken.jpg").write_bytes(b"no image")
    (tmp_path / "new" / "letter.txt").write_text("none either")
    return tmp_path / "new", names


@pytest.fixture
def judged(tiny_run, tmp_path):
    run = Run(shutil.copytree(tiny_run.path, tmp_path / "run"))
    assess(run.path)
    Policy(0.3).save(run.policy)  # so that some leave early
    return run


def test_files_are_answered_as_prepared_images_are(command, judged, images, tmp_path):
    folder, names = images
    out = tmp_path / "answers.csv"
    status, printed, _ = command("predict", judged.path, "--images", folder, "--out", out)
    assert status == 0
    assert f"written: {out}" in printed
    table = pd.read_csv(out).set_index("file")
    assert sorted(table.index) == sorted([*names, "broken.jpg"])
    assert "not an image format" in table.loc["broken.jpg", "problem"]
    assert table.loc["broken.jpg", ["prediction", "confidence", "exit", "cost"]].isna().all()
    (file,) = classify(judged, ["test"], out=tmp_path / "own")
    own = pd.read_csv(file).set_index("id")
    for name in names:
        mine, its = table.loc[name], own.loc[name.removeprefix("sub/").removesuffix(".png")]
        assert mine["prediction"] == its["prediction"]
        assert mine["confidence"] == pytest.approx(its["confidence"], abs=1e-5)
        assert str(mine["exit"]) == str(its["exit"])
        assert mine["cost"] == pytest.approx(its["cost"], abs=1e-5)
        assert pd.isna(mine["problem"])
    model = fairexit.load_model(judged.path)
    again = model([folder / name for name in names], batch_size=3)
    assert again["prediction"].tolist() == [table.loc[name, "prediction"] for name in names]
    assert model([folder / "broken.jpg"])["prediction"].isna().all()
    assert len(model([])) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--images", "nowhere", "--out", "a.csv"), "--images is 'nowhere', which is not a folder"),
        (("--images", "{empty}", "--out", "a.csv"), "which holds no image"),
        (("--images", "{empty}"), "--images needs --out FILE.csv"),
        (("--images", "{empty}", "--out", "folder"), "--images needs --out FILE.csv"),
        (("--images", "{empty}", "--out", "a.csv", "--last"), "goes without --data, --split"),
    ],
)
def test_what_is_refused(command, judged, tmp_path, options, message):
    (tmp_path / "empty").mkdir()
    given = [option.format(empty=tmp_path / "empty") for option in options]
    status, _, err = command("predict", judged.path, *given)
    assert status == 2
    assert message in err


def test_without_a_policy_there_is_no_answer(judged):
    judged.policy.unlink()
    with pytest.raises(
        UserError, match="has no stored policy; choose a threshold with `fairexit evaluate`"
    ):
        fairexit.load_model(judged.path)
