"""Exports answer as PyTorch does, whatever the network, and are refused if they do not."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

import fairexit
from fairexit import runtime
from fairexit.data.prepared import open_prepared
from fairexit.errors import UserError
from fairexit.evaluation.policy import Policy
from fairexit.evaluation.thresholds import answering_exits
from fairexit.exporting import check, folder
from fairexit.extras import EXTRAS, is_installed
from fairexit.inference.inputs import open_data
from fairexit.inference.predict import predict_rows
from fairexit.models import create_model
from fairexit.predictions.files import read_predictions
from fairexit.training.checkpoint import load_net

ONNX = ("staged", "all-exits")

if not is_installed("export"):
    pytest.skip("the extra 'export' is not installed", allow_module_level=True)


def torch_predictions(run, split):
    data = open_data(run)
    return data, data.rows(split), predict_rows(load_net(run), data, data.rows(split), split)


@pytest.mark.parametrize("form", ONNX)
def test_an_export_answers_test_images_as_pytorch_does(exported, judged, form):
    data, rows, expected = torch_predictions(judged, "test")
    model = runtime.load(exported[form].path, threads=1)
    pixels = np.asarray(data.images[rows])
    answers = model.answer(pixels)
    exits = answering_exits(expected, Policy.load(judged.policy))
    assert set(exits) == {0, 1, 2}
    assert answers.exit.tolist() == exits.tolist()
    np.testing.assert_allclose(answers.probabilities, expected.probabilities_at(exits), atol=1e-5)
    np.testing.assert_allclose(model.probabilities(pixels), expected.probabilities, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 7])
def test_the_batch_has_any_size(exported, judged, batch):
    data, rows, expected = torch_predictions(judged, "test")
    for form in ONNX:
        model = runtime.load(exported[form].path, threads=1)
        parts = [
            model.probabilities(np.asarray(data.images[rows[start : start + batch]]))
            for start in range(0, len(rows), batch)
        ]
        np.testing.assert_allclose(np.concatenate(parts), expected.probabilities, atol=1e-5)


def test_a_program_of_torch_export_answers_the_same(exported, judged):
    data, rows, expected = torch_predictions(judged, "test")
    program = torch.export.load(exported["torch-export"].path / "model.pt2").module()
    images = torch.from_numpy(data.images[rows].transpose(0, 3, 1, 2)).float() / 255
    logits = torch.stack(program(images), 1)
    np.testing.assert_allclose(logits.softmax(-1).detach(), expected.probabilities, atol=1e-5)


def test_the_manifest_says_what_a_stranger_needs(exported, judged):
    staged, whole = exported["staged"], exported["all-exits"]
    stored = json.loads((staged.path / "manifest.json").read_text())
    assert stored == staged.manifest
    assert stored["classes"] == list(judged.description["label2id"])
    assert stored["exits"] == ["1", "3", "f"]
    assert stored["graphs"] == ["model-exit-1.onnx", "model-exit-3.onnx", "model-exit-f.onnx"]
    assert whole.manifest["graphs"] == ["model.onnx"]
    assert stored["preprocessing"] == {
        "size": 28,
        "fit": "squash",
        "resampling": "bilinear",
        "channels": "RGB",
        "layout": "NCHW",
        "scale": 1 / 255,
        "normalisation": None,
    }
    assert stored["check"]["images"] == len(open_data(judged).rows("val"))
    assert stored["check"]["largest_difference"] < 1e-5
    files = {file.name for file in staged.path.iterdir()} - {"manifest.json", "manifest.sha256"}
    assert (
        set(stored["files"])
        == files
        == {*stored["graphs"], "policy.json", "config.json", "README.md"}
    )
    assert (staged.path / "policy.json").read_bytes() == judged.policy.read_bytes()
    assert "staged" in repr(staged)


KINDS = {
    "mixture": ("staged", {"name": "resnet18", "exits": [2], "mixture": 2}),
    "normalised": ("all-exits", {"name": "resnet18", "exits": [4], "normalisation": "imagenet"}),
    "pooled": ("staged", {"name": "resnet18", "exits": [3], "head": "pool"}),
    "efficientnet": ("staged", {"name": "timm/test_efficientnet", "exits": [2, 4]}),
    "transformer": ("staged", {"name": "timm/test_vit", "exits": [2]}),
    "plain": ("staged", {"name": "timm/test_efficientnet", "exits": "none"}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_network_is_exported(small, card, tmp_path, kind):
    form, config = KINDS[kind]
    torch.manual_seed(0)
    net = create_model(**config, num_classes=5, image_size=32)
    for head in net.exit_heads:
        linear = getattr(head.classifier, "linear", head.classifier)
        linear.weight.data *= 20  # confidences all over their range
    run = fairexit.save_run(net, small, tmp_path / "run")
    policy = Policy(None, rule="single exit") if kind == "plain" else Policy(0.5)
    policy.save(run.policy)
    exported = fairexit.export(run, tmp_path / "export", form=form, card=card)
    assert exported.manifest["check"]["exits_equal"] == 1
    model = runtime.load(exported.path, threads=1)
    data, rows, expected = torch_predictions(run, "test")
    pixels = np.asarray(data.images[rows])
    np.testing.assert_allclose(model.probabilities(pixels), expected.probabilities, atol=1e-4)
    assert model.answer(pixels).exit.tolist() == answering_exits(expected, policy).tolist()


def test_a_pruned_run_is_exported(judged, card, tmp_path):
    settings = {"method": "magnitude", "ratio": 0.3, "steps": 1, "stop": False}
    pruned = fairexit.prune(judged, tmp_path / "pruned", **settings)
    Policy(0.4).save(pruned.policy)
    exported = fairexit.export(pruned, tmp_path / "export", form="all-exits", card=card)
    data, rows, expected = torch_predictions(pruned, "test")
    probabilities = runtime.load(exported.path).probabilities(np.asarray(data.images[rows]))
    np.testing.assert_allclose(probabilities, expected.probabilities, atol=1e-5)


def leaves(value, path=()):
    """Path -> number or text of a nested value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        if isinstance(item, dict | list):
            yield from leaves(item, (*path, key))
        else:
            yield (*path, key), item


def test_predicting_an_export_and_auditing_that_equals_the_run(staged, judged, command, tmp_path):
    status, printed, error = command("predict", staged)
    assert status == 0, error
    assert f"written: {staged / 'predictions' / 'test.parquet'}" in printed
    ours, theirs = (
        read_predictions(path / "predictions/test.parquet") for path in (staged, judged.path)
    )
    np.testing.assert_allclose(ours.probabilities, theirs.probabilities, atol=1e-5)
    assert ours.ids.tolist() == theirs.ids.tolist()
    settings = {"resamples": 200, "permutations": 200}
    words = [word for name, value in settings.items() for word in (f"--{name}", value)]
    texts = []
    for number, path in enumerate((staged, judged.path)):
        out = tmp_path / f"{number}.json"
        assert command("audit", path, "--json", out, *words)[0] == 0
        texts.append(json.loads(out.read_text()))
    one, two = (dict(leaves(audit["attributes"])) for audit in texts)
    assert len(one) > 100
    assert one == pytest.approx(two, abs=1e-5, nan_ok=True)


def test_answers_of_the_policy_equal_the_runs(staged, judged, command, tmp_path):
    for number, path in enumerate((staged, judged.path)):
        words = ["--policy-only", "--split", "test", "--out", tmp_path / f"{number}"]
        assert command("predict", path, *words)[0] == 0
    ours, theirs = (pd.read_csv(tmp_path / f"{n}/test_answers.csv") for n in (0, 1))
    pd.testing.assert_frame_equal(ours, theirs, rtol=0, atol=1e-5)


def test_images_are_answered_as_by_the_run(staged, judged, command, tmp_path):
    data = open_prepared(judged.config.data.path)
    images = tmp_path / "images"
    images.mkdir()
    for row in data.rows("test")[:12]:
        Image.fromarray(np.asarray(data.images[row])).resize((90, 70)).save(images / f"{row}.jpg")
    (images / "broken.png").write_bytes(b"%PDF-1.4")
    tables = []
    for path in (staged, judged.path):
        out = tmp_path / f"{path.name}.csv"
        status, _, error = command("predict", path, "--images", images, "--out", out)
        assert status == 0, error
        tables.append(pd.read_csv(out))
    pd.testing.assert_frame_equal(*tables, rtol=0, atol=1e-5)
    assert {"set", "refer"} <= set(tables[0])
    model = fairexit.load_model(staged)
    table = model(sorted(images.iterdir()), batch_size=5)
    assert table["prediction"].fillna("").tolist() == tables[0]["prediction"].fillna("").tolist()
    assert len(model([])) == 0
    assert "not an image" in table.set_index("problem").index[-1]


@pytest.mark.parametrize("words", [["--images", "{images}", "--out", "{out}"], ["--split", "test"]])
def test_an_export_is_predicted_without_torch(staged, tmp_path, words):
    Image.new("RGB", (40, 30), "brown").save(tmp_path / "a.png")
    places = {"images": tmp_path / "a.png", "out": tmp_path / "a.csv"}
    given = ["fairexit", "predict", str(staged), *(word.format(**places) for word in words)]
    absent = {*EXTRAS["search"], "onnx", "onnxscript"}
    code = (
        f"import sys; sys.modules |= dict.fromkeys({sorted(absent)}); sys.argv = {given}\n"
        "from fairexit.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "written: " in done.stdout


def test_without_a_card_it_is_made_of_an_audit(judged, command, tmp_path):
    out = tmp_path / "export"
    status, printed, error = command("export", judged.path, "--out", out, "--form", "all-exits")
    assert status == 0, error
    assert "the same exits as PyTorch" in printed
    assert f"exported: {out}" in printed
    text = (out / "README.md").read_text()
    assert "model-index" in yaml.safe_load(text.split("---")[1])
    assert "## Exported model" in text
    digest = (out / "manifest.sha256").read_text().split()[0]
    assert digest in printed
    assert runtime.load(out, sha256=digest).manifest.form == "all-exits"


def answered(probabilities, exits):
    return check.Answered(probabilities, exits, probabilities[np.arange(len(exits)), exits])


def test_an_export_that_differs_is_refused(judged):
    _, _, expected = torch_predictions(judged, "val")
    policy = Policy.load(judged.policy)
    exits = answering_exits(expected, policy)
    same = expected.probabilities.copy()
    assert check.check_same(answered(same, exits), expected, policy) == 0
    off = same.copy()
    off[3, 1, 2] += 2e-4
    with pytest.raises(UserError, match=r"up to 0\.0002 \(allowed: 0\.0001\) on 1 of "):
        check.check_same(answered(off, exits), expected, policy)
    off[3, 1, 2] = np.nan
    with pytest.raises(UserError, match="up to nan"):
        check.check_same(answered(off, exits), expected, policy)
    other = exits.copy()
    other[5] = (other[5] + 1) % 3
    with pytest.raises(UserError, match=r"^1 of \d+ validation images leave at another exit"):
        check.check_same(answered(same, other), expected, policy)


def test_nothing_is_left_of_a_refused_export(judged, card, tmp_path, monkeypatch):
    original = folder.answer

    def shifted(*args, **kwargs):
        result = original(*args, **kwargs)
        return result._replace(probabilities=result.probabilities + 1e-3)

    monkeypatch.setattr(folder, "answer", shifted)
    with pytest.raises(UserError, match=r"differ from PyTorch's by up to 0\.001 "):
        fairexit.export(judged, tmp_path / "x", form="all-exits", card=card)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("form", ["all-exits", "torch-export"])
def test_a_network_that_cannot_be_converted_is_one_line(judged, card, tmp_path, monkeypatch, form):
    def fail(*_, **__):
        try:
            raise ValueError("no such operation\nand a long story")
        except ValueError as error:
            raise RuntimeError("advice on PyTorch's code") from error

    monkeypatch.setattr("torch.export.export", fail)
    with pytest.raises(
        UserError, match=r"^PyTorch cannot convert resnet18 to .*: no such operation$"
    ):
        fairexit.export(judged, tmp_path / "x", form=form, card=card)
    assert not [*tmp_path.iterdir()]


class TestRefused:
    """What is refused in one line before anything is written."""

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"form": "onnx"}, r"^'form' is 'onnx'; available: all-exits, staged, torch-export"),
            ({"form": "torch-export", "int8": True}, "^'int8' is of ONNX graphs, not of the form"),
            ({"card": "no.md"}, "^'card' is 'no.md', which is not a file"),
            ({"data": "nowhere"}, "^nowhere is not a prepared dataset"),
        ],
    )
    def test_arguments(self, judged, tmp_path, options, message):
        with pytest.raises(UserError, match=message):
            fairexit.export(judged, tmp_path / "x", **options)
        assert not (tmp_path / "x").exists()

    def test_a_folder_that_exists(self, judged, tmp_path):
        with pytest.raises(UserError, match="already exists; remove it or choose another 'out'"):
            fairexit.export(judged, tmp_path)

    def test_a_run_without_a_policy(self, tiny_run, tmp_path):
        with pytest.raises(UserError, match="has no stored policy; choose a threshold with"):
            fairexit.export(tiny_run, tmp_path / "x")

    def test_an_export_in_place_of_a_run(self, staged, tmp_path):
        with pytest.raises(UserError, match="is an export already; give the run that it is of"):
            fairexit.export(staged, tmp_path / "x")
        with pytest.raises(UserError, match="is an export without weights; give the run"):
            fairexit.prune(staged, tmp_path / "x", method="magnitude", ratio=0.2)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"last": True, "out": "x"}, "is an export, which has no weights of the last epoch"),
            ({"device": "cuda"}, "'device' is 'cuda', but exported models run on the CPU"),
        ],
    )
    def test_predictions_that_it_cannot_make(self, staged, options, message):
        with pytest.raises(UserError, match=message):
            fairexit.predict(staged, **options)

    def test_a_program_is_not_opened_as_that_takes_pickle(self, exported, command):
        status, _, error = command("predict", exported["torch-export"].path)
        assert status == 2
        assert "which PyTorch loads with pickle" in error
        assert error.count("\n") == 1


def test_evaluating_an_export_leaves_its_policy_as_it_is(staged):
    before = (staged / "policy.json").read_bytes()
    fairexit.predict(staged)
    assert not fairexit.evaluate(staged, threshold=0.9).policy_stored
    assert (staged / "policy.json").read_bytes() == before
    assert (staged / "metrics.json").is_file()
    runtime.load(staged)
