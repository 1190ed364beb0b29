"""The names of the package root: each does what the command of its name does."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import fairexit
from conftest import settings
from fairexit.auditing.settings import AuditSettings
from fairexit.config_files import resolve_config
from fairexit.errors import UserError
from fairexit.runs import Run


@pytest.fixture(scope="module")
def road(tmp_path_factory):
    """Every object on the way from drawn images to an audit, made by the public functions."""
    folder = tmp_path_factory.mktemp("road")
    made = {"folder": folder}
    made["data"] = fairexit.prepare(
        "synthetic",
        out=folder / "data",
        options={"images": 120, "dark_share": 0.4},
        size=28,
        workers=1,
    )
    tree = settings(folder / "data", train__epochs=3).to_dict()
    made["run"] = fairexit.train(tree, folder / "run", {"train.epochs": 1, "seed": 3})
    made["files"] = fairexit.predict(made["run"])
    made["assessment"] = fairexit.evaluate(made["run"])
    made["pruned"] = fairexit.prune(
        folder / "run", folder / "pruned", method="magnitude", ratio=0.2, steps=1, stop=False
    )
    return made


def test_the_road_leads_through_objects(road):
    folder = road["folder"]
    assert road["data"].path == folder / "data"
    assert road["data"].size == 28
    assert (road["run"].config.train.epochs, road["run"].config.seed) == (1, 3)
    assert road["files"] == [road["run"].predictions(split) for split in ("val", "test")]
    assert road["pruned"].config.prune.ratio == 0.2
    assert road["pruned"].finished
    stored = json.loads(road["run"].metrics.read_text())
    assert stored == {"skin_tone": road["assessment"].evaluation.to_dict()}
    assert road["run"].policy.is_file()


def test_a_function_and_its_command_give_the_same(road, command, tmp_path):
    shutil.copytree(road["run"].path, tmp_path / "run")
    status, printed, _ = command("evaluate", tmp_path / "run", "--json")
    assert status == 0
    assert json.loads(printed) == road["assessment"].evaluation.to_dict()
    given = ["--method", "magnitude", "--ratio", "0.2", "--steps", "1", "--no-stop"]
    assert command("prune", tmp_path / "run", "--out", tmp_path / "pruned", *given)[0] == 0
    assert (tmp_path / "pruned" / "model.safetensors").read_bytes() == road[
        "pruned"
    ].weights.read_bytes()
    (tmp_path / "c.yaml").write_text(settings(road["data"].path, train__epochs=3).to_yaml())
    changes = ["--set", "train.epochs=1", "--set", "seed=3"]
    assert command("train", tmp_path / "c.yaml", "--out", tmp_path / "again", *changes)[0] == 0
    again = Run(tmp_path / "again")
    assert again.weights.read_bytes() == road["run"].weights.read_bytes()


def test_predictions_are_evaluated_wherever_they_are(road):
    run = road["run"]
    theta = 0.4
    of_the_run = fairexit.evaluate(run.path, threshold=theta, store=False)
    of_file = fairexit.evaluate(run.predictions("test"), group="skin_tone", threshold=theta)
    predictions = fairexit.read_predictions(run.predictions("test"))
    of_memory = fairexit.evaluate(predictions, group="skin_tone", threshold=theta)
    numbers = of_the_run.evaluation.to_dict()
    assert numbers == of_file.evaluation.to_dict() == of_memory.evaluation.to_dict()
    with pytest.raises(
        UserError, match="the predictions: name the column of the sensitive attribute"
    ):
        fairexit.evaluate(
            fairexit.read_predictions(run.predictions("test"), groups=[]), threshold=theta
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "eod"}, "'rule' is 'eod'; did you mean 'eodd'"),
        ({"tolerance": 2}, "'tolerance' is 2; it is a loss of F1"),
        ({"threshold": "high"}, "'threshold' is 'high'; give auto, policy or a number"),
        ({"threshold": 1.5}, "threshold 1.5 is out of range"),
        ({"grid": [0.5, 2]}, "threshold 2 is out of range"),
        ({"fallback": "last"}, "no fallback 'last'"),
    ],
)
def test_how_a_threshold_is_chosen_is_checked_first(road, options, message):
    with pytest.raises(UserError, match=message):
        fairexit.evaluate("nowhere", **options)


def test_answers_for_a_folder_of_images(road, tmp_path):
    (tmp_path / "new").mkdir()
    for i in range(3):
        Image.fromarray(np.asarray(road["data"].images[i])).save(tmp_path / "new" / f"{i}.png")
    answers = fairexit.predict(road["run"], images=tmp_path / "new")
    assert answers["id"].tolist() == ["0.png", "1.png", "2.png"]
    written = fairexit.predict(road["run"], images=tmp_path / "new", out=tmp_path / "a.csv")
    assert written == [tmp_path / "a.csv"]
    stored = pd.read_csv(tmp_path / "a.csv")
    assert stored["id"].tolist() == answers["id"].tolist()
    assert stored["prediction"].tolist() == answers["prediction"].tolist()
    model = fairexit.load_model(road["run"].path)
    one = model(tmp_path / "new" / "0.png")
    assert one["prediction"].tolist() == answers["prediction"].tolist()[:1]
    with pytest.raises(UserError, match="'images' excludes 'data', 'splits'"):
        fairexit.predict(road["run"], images=tmp_path / "new", splits=["val"])


def test_the_policys_answers(road, tmp_path):
    files = fairexit.predict(
        road["run"], splits=["test"], policy_only=True, out=tmp_path, batch_size=7
    )
    assert files == [tmp_path / "test_answers.csv"]


def test_seeds_and_baselines_of_an_audit_are_lists(road, command, tmp_path):
    file, other = road["run"].predictions("test"), tmp_path / "other.parquet"
    shutil.copy(file, other)
    quick = AuditSettings(
        n_resamples=100, n_score_resamples=100, n_permutations=100, n_gap_resamples=100
    )
    report = fairexit.audit(
        [file, other],
        baseline=[other, file],
        groups="skin_tone",
        threshold=0.4,
        settings=quick,
    )
    few = ("--resamples", 100, "--score-resamples", 100, "--permutations", 100)
    words = (file, other, "--baseline", other, "--baseline", file, "--group", "skin_tone")
    status, printed, _ = command("audit", *words, "--threshold", 0.4, *few, "--json", "-")
    assert status == 0
    assert json.loads(printed) == report.to_dict()
    with pytest.raises(
        UserError, match="models: 1, baselines: 2; give 'baseline' once for each model"
    ):
        fairexit.audit(
            [file], baseline=[other, file], groups="skin_tone", threshold=0.4, settings=quick
        )


def test_what_they_return_shows_itself_in_a_few_lines(road):
    folder = road["folder"]
    predictions = fairexit.read_predictions(road["files"][0])
    report = fairexit.audit(
        predictions,
        groups="skin_tone",
        split="val",
        threshold=0.4,
        settings=AuditSettings(100, 100, 100, 100),
    )
    shown = {
        "data": f"Prepared('{folder}/data': synthetic, 120 images of 28 px, 5 classes; skin_tone: ",
        "run": f"Run('{folder}/run', finished)",
        "assessment": "Assessment of run by skin_tone: Evaluation(",
    }
    for name, beginning in shown.items():
        assert repr(road[name]).startswith(beginning)
    assert repr(predictions).startswith(f"Predictions({len(predictions)} samples, 5 classes, exits")
    assert repr(report).startswith(f"Audit of the model, {len(predictions)} samples\n")
    assert repr(Run(folder / "data")) == f"Run('{folder}/data', not finished)"
    for thing in (*road.values(), predictions):
        assert repr(thing).count("\n") < 3
    assert repr(report).count("\n") < 15


def test_a_configuration_is_a_file_a_mapping_or_an_object(tmp_path):
    tree = {"data": {"path": "d"}, "train": {"epochs": 3}}
    (tmp_path / "c.yaml").write_text("data: {path: d}\ntrain: {epochs: 3}\n")
    config = resolve_config(tree)
    for form in (tmp_path / "c.yaml", str(tmp_path / "c.yaml"), config):
        assert resolve_config(form) == config
    for changes in ({"train.epochs": 5}, ["train.epochs=5"]):
        assert resolve_config(tree, changes).train.epochs == 5
    assert tree == {"data": {"path": "d"}, "train": {"epochs": 3}}
    with pytest.raises(UserError, match=r"unknown key 'train\.epoch'; did you mean 'epochs'"):
        resolve_config(tree, {"train.epoch": 5})
    with pytest.raises(
        UserError, match=r"change 'seed\.x': 'seed' is not a section, so it has no keys"
    ):
        resolve_config({**tree, "seed": 3}, {"seed.x": 5})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fairexit.train("no.yaml", "x"), "no file no.yaml"),
        (lambda: fairexit.prune("no", "x"), "there is no folder no"),
        (lambda: fairexit.prune("no", "x", ratoi=1), "there is no folder no"),
        (lambda: fairexit.predict("no"), "there is no folder no"),
        (lambda: fairexit.prepare("synthetic", out="x", siez=8), "unknown option 'siez'"),
        (lambda: fairexit.prepare("table", out="x", options={"i": 1}), "has no option 'i'"),
        (lambda: fairexit.load_model("no"), "there is no folder no"),
    ],
)
def test_bad_calls_are_one_line(call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_every_public_name_is_there_and_needs_torch_only_where_it_must(tiny_run):
    code = (
        f"run = {str(tiny_run.path)!r}"
        + """
import sys, fairexit
from fairexit import extras
for name in ("audit", "evaluate", "predict", "prepare", "prune", "read_predictions", "train"):
    assert callable(getattr(fairexit, name)), name
assert "torch" not in sys.modules
extras.is_installed = lambda extra: False
calls = {name: lambda name=name: getattr(fairexit, name)
         for name in ("create_model", "early_exit", "list_models", "load_model", "save_run")}
calls |= {name: lambda name=name: getattr(fairexit, name)("x", "y") for name in ("train", "prune")}
calls["predict"] = lambda: fairexit.predict(run)
for name, call in calls.items():
    try:
        call()
    except fairexit.UserError as error:
        assert str(error) == (
            f"fairexit.{name} needs the extra 'train': pip install 'fairexit[train]'"
        ), error
    else:
        raise AssertionError(name)
assert "torch" not in sys.modules
"""
    )
    subprocess.run([sys.executable, "-c", code], check=True)
