"""Answers for image files of which nothing is known."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import fairexit
from fairexit.data.prepared import open_prepared
from fairexit.errors import UserError
from fairexit.evaluation.assess import assess
from fairexit.evaluation.policy import Policy
from fairexit.inference.predict import choose_device, classify
from fairexit.models import ExitNet
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
    (tmp_path / "new" / "letter.doc").write_text("none either")
    return tmp_path / "new", names


@pytest.fixture
def judged(tiny_run, tmp_path):
    run = Run(shutil.copytree(tiny_run.path, tmp_path / "run"))
    assess(run.path)
    Policy(0.3).save(run.policy)  # so that some leave early
    return run


def test_one_odd_file_does_not_stop_the_others(command, judged, tmp_path):
    folder = tmp_path / "odd"
    folder.mkdir()
    os.mkfifo(folder / "pipe.png")
    (folder / "zero.jpg").symlink_to("/dev/zero")
    Image.new("RGB", (9, 9)).save(folder / os.fsdecode(b"caf\xe9.png"))
    status, _, error = command(
        "predict", judged.path, "--images", folder, "--out", tmp_path / "a.csv"
    )
    assert status == 0, error
    table = pd.read_csv(tmp_path / "a.csv").set_index("id")
    assert table["problem"].fillna("").to_dict() == {
        "caf\\xe9.png": "",
        "pipe.png": "unreadable file: not a regular file",
        "zero.jpg": "unreadable file: not a regular file",
    }
    assert isinstance(table.loc["caf\\xe9.png", "prediction"], str)


def test_files_are_answered_as_prepared_images_are(command, judged, images, tmp_path):
    folder, names = images
    out = tmp_path / "answers.csv"
    status, printed, _ = command("predict", judged.path, "--images", folder, "--out", out)
    assert status == 0
    assert f"written: {out}" in printed
    table = pd.read_csv(out).set_index("id")
    assert sorted(table.index) == sorted([*names, "broken.jpg"])
    assert "not an image of a format that is read" in table.loc["broken.jpg", "problem"]
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
        (
            ("--images", "nowhere", "--out", "a.csv"),
            "--images is 'nowhere', which is neither a file nor",
        ),
        (("--images", "{empty}", "--out", "a.csv"), "which holds no image"),
        (("--images", "{empty}"), "--images needs --out FILE.csv"),
        (("--images", "{empty}", "--out", "folder"), "--images needs --out FILE.csv"),
        (("--images", "{empty}", "--out", "a.csv", "--last"), "--images excludes --data, --split"),
    ],
)
def test_what_is_refused(command, judged, tmp_path, options, message):
    (tmp_path / "empty").mkdir()
    given = [option.format(empty=tmp_path / "empty") for option in options]
    status, _, err = command("predict", judged.path, *given)
    assert status == 2
    assert message in err


def test_answers_with_labels_are_audited(command, judged, images, tmp_path):
    folder, names = images
    out = tmp_path / "answers.csv"
    assert command("predict", judged.path, "--images", folder, "--out", out)[0] == 0
    answers = pd.read_csv(out)
    classes = fairexit.load_model(judged.path).classes
    scores = answers[[f"p/{name}" for name in classes]]
    read = answers["id"].isin(names)
    assert scores[read].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)
    assert scores[~read].isna().all(axis=None)
    top = scores[read].to_numpy(np.float32).argmax(1)
    assert [classes[i] for i in top] == answers.loc[read, "prediction"].tolist()
    data = open_prepared(judged.config.data.path)
    known = data.frame.set_index("id")[["label", "skin_tone"]]
    keys = answers["id"].str.removeprefix("sub/").str.removesuffix(".png")
    joined = answers[read].join(known, on=keys[read])
    joined.to_csv(tmp_path / "joined.csv", index=False)
    words = ("audit", tmp_path / "joined.csv", "--group", "skin_tone", "--json", "-")
    status, printed, errors = command(*words, "--resamples", 100, "--permutations", 100)
    assert status == 0, errors
    assert "auroc" in printed


def test_a_single_file_is_answered(command, judged, images, tmp_path):
    folder, names = images
    out = tmp_path / "answers.csv"
    status, *_ = command("predict", judged.path, "--images", folder / names[0], "--out", out)
    assert status == 0
    (row,) = pd.read_csv(out).to_dict("records")
    assert row["id"] == Path(names[0]).name
    assert pd.isna(row["problem"])
    assert fairexit.predict(judged, images=folder / names[0])["id"].tolist() == [row["id"]]
    (row,) = fairexit.predict(judged, images=folder / "letter.doc").to_dict("records")
    assert "not an image of a format that is read" in row["problem"]


def test_answers_are_not_overwritten_unless_asked(command, judged, images, tmp_path):
    folder, _ = images
    out = tmp_path / "mine.csv"
    out.write_text("mine")
    words = ("predict", judged.path, "--images", folder, "--out", out)
    status, _, err = command(*words)
    assert (status, out.read_text()) == (2, "mine")
    assert err == (
        f"fairexit: {out} exists already; choose another --out, or set --overwrite to replace it\n"
    )
    with pytest.raises(UserError, match=r"mine\.csv exists already"):
        fairexit.predict(judged, images=folder, out=out)
    assert command(*words, "--overwrite")[0] == 0
    assert out.read_text().startswith("id,prediction,")


@pytest.mark.parametrize("kind", [["--policy-only"], ["--last"]])
def test_other_predictions_are_not_overwritten_unless_asked(command, judged, tmp_path, kind):
    words = ("predict", judged.path, "--split", "test", "--out", tmp_path / "p", *kind)
    assert command(*words)[0] == 0
    status, _, err = command(*words)
    assert (status, err.count("\n")) == (2, 1)
    assert "exists already" in err
    assert command(*words, "--overwrite")[0] == 0
    assert command("predict", judged.path, "--split", "test")[0] == 0


def test_odd_names_of_pictures_stop_nothing(command, judged, images, tmp_path):
    folder, names = images
    odd = [b"caf\xe9.png", b"=cmd.png", b"a\x1b[31m.png", b"[b].png", b"two\nlines.png"]
    for name in odd:
        shutil.copy(folder / names[0], os.path.join(os.fsencode(folder), name))  # noqa: PTH118
    out = tmp_path / "answers.csv"
    status, _, err = command("predict", judged.path, "--images", folder, "--out", out)
    assert status == 0, err
    table = pd.read_csv(out)
    assert len(table) == len(names) + 1 + len(odd)
    expected = {"caf\\xe9.png", "'=cmd.png", "a\x1b[31m.png", "[b].png", "two\nlines.png"}
    assert expected <= set(table["id"])
    assert table.set_index("id").loc[sorted(expected), "problem"].isna().all()


NO_NETWORK = """
import socket, sys
from pathlib import Path
def refuse(*_, **__):
    raise AssertionError("the network was used")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import fairexit
from fairexit.runs import open_run
from fairexit.training.checkpoint import load_net
run, images = sys.argv[1:]
load_net(open_run(Path(run)))
assert len(fairexit.load_model(run)(images)) == 1
assert len(fairexit.predict(run, images=images)) == 1
"""


@pytest.mark.parametrize("pretrained", [True, "weights.safetensors"])
def test_a_run_is_opened_without_the_network(judged, images, tmp_path, pretrained):
    folder, names = images
    file = judged.path / "config.json"
    info = json.loads(file.read_text())
    info["model"]["pretrained"] = info["run"]["model"]["pretrained"] = pretrained
    file.write_text(json.dumps(info))
    result = subprocess.run(
        [sys.executable, "-c", NO_NETWORK, judged.path, folder / names[0]],
        env=os.environ | {"TORCH_HOME": str(tmp_path), "HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr


def test_without_a_policy_there_is_no_answer(judged):
    judged.policy.unlink()
    with pytest.raises(
        UserError, match="has no stored policy; choose a threshold with `fairexit evaluate`"
    ):
        fairexit.load_model(judged.path)


@pytest.fixture
def model(judged, monkeypatch):
    """A classifier whose costs nobody counts: they stand in config.json."""
    model = fairexit.load_model(judged.path, device="cpu")
    monkeypatch.setattr(ExitNet, "exit_costs", None)
    return model


def test_every_form_of_image_has_the_same_answer(model, images):
    folder, names = images
    files = [folder / name for name in names]
    expected = model(files)
    assert expected["id"].tolist() == [str(file) for file in files]
    pixels = np.stack([np.asarray(Image.open(file)) for file in files])
    tensor = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    forms = {
        "paths as text": [str(file) for file in files],
        "Pillow images": [Image.open(file) for file in files],
        "a generator": (Image.open(file) for file in files),
        "one array": pixels,
        "a list of arrays": list(pixels),
        "a tensor of bytes": tensor,
        "a tensor of numbers": tensor / 255,
        "a mixture": [files[0], pixels[1], tensor[2] / 255, *map(Image.open, files[3:])],
    }
    for name, form in forms.items():
        answers = model(form, batch_size=7)
        pd.testing.assert_frame_equal(answers.drop(columns="id"), expected.drop(columns="id"))
        assert len(answers["id"].unique()) == len(files), name
    for form in (str(files[0]), files[0], Image.open(files[0]), pixels[0], tensor[0]):
        (answer,) = model(form).to_dict("records")
        assert answer["prediction"] == expected["prediction"][0]
        assert answer["confidence"] == pytest.approx(expected["confidence"][0], abs=1e-6)
    assert model(pixels[0])["id"].tolist() == ["0"]


def test_arrays_of_another_size_are_brought_to_the_networks(model):
    large = np.random.default_rng(0).integers(0, 256, (2, 90, 60, 3), dtype=np.uint8)
    of_files = model([Image.fromarray(image) for image in large])
    for form in (large, torch.from_numpy(large).permute(0, 3, 1, 2)):
        pd.testing.assert_frame_equal(model(form), of_files)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((9, 9), np.uint8), r"array of uint8 \(9, 9\) is not an image; give files"),
        (np.zeros((9, 9, 3)), r"array of float64 \(9, 9, 3\) is not an image"),
        (np.zeros((2, 3, 9, 9), np.uint8), r"array of uint8 \(3, 9, 9\) is not an image"),
        (torch.zeros(9, 9, 3), r"tensor of float32 \(9, 9, 3\) is not an image"),
        (torch.zeros(3, 9, 9, dtype=torch.int64), "tensor of int64"),
        (torch.zeros(3, 28, 28) - 1, "values must lie between 0 and 1"),
        (torch.full((3, 28, 28), float("nan")), "values must lie between 0 and 1"),
        (torch.zeros(3, 9, 9), r"must be \(3, 28, 28\), not \(3, 9, 9\); uint8 ones"),
        (7, "int is not an image"),
        ([None], "NoneType is not an image"),
    ],
)
def test_what_is_no_image(model, image, message):
    with pytest.raises(UserError, match=message):
        model(image)


def test_an_image_that_cannot_be_decoded_is_a_problem_of_its_row(model, images):
    folder, names = images
    answers = model([Image.new("F", (9, 9)), folder / names[0]])
    assert "floating-point image has no known white" in answers["problem"][0]
    assert answers["prediction"].isna().tolist() == [True, False]


def test_a_classifier_shows_itself_in_a_line(model):
    assert repr(model) == (
        "Classifier(resnet18 with exits 1, 3, f; 5 classes, images of 28 px, theta 0.3)"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [("abacus", "'device' is 'abacus'"), ("meta", "'device' is 'meta', which computes nothing")],
)
def test_a_device_that_cannot_compute(name, message):
    with pytest.raises(UserError, match=message):
        choose_device(name)
