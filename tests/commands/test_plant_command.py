"""A cause is planted on the command line, and a run and an audit of the planted data follow."""

import json

import pytest

import fairexit
from conftest import settings
from fairexit.data.prepared import open_prepared


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """800 drawn images of 28 px."""
    out = tmp_path_factory.mktemp("drawn") / "data"
    return fairexit.prepare("synthetic", out=out, options={"images": 800, "seed": 4}, size=28)


def test_from_a_planted_prevalence_to_an_audit(drawn, command, tmp_path):
    out, run = tmp_path / "planted", tmp_path / "run"
    words = ("--cause", "prevalence", "--strength", 0.85, "--classes", "melanoma, scar")
    status, printed, problem = command("plant", drawn.path, *words, "--out", out)
    assert (status, problem) == (0, "")
    assert "Images by class and camera" in printed
    assert "relabelled: 0 in train, 0 in val, 0 in test" in printed
    assert f"planted: {out} (800 images; train with --set data.path={out})" in printed
    recipe = open_prepared(out).info["planted"]
    assert (recipe["strength"], recipe["classes"]) == (0.85, ["melanoma", "scar"])

    (tmp_path / "c.yaml").write_text(settings(out, model__exits="none").to_yaml())
    train = ("train", tmp_path / "c.yaml", "--out", run, "--set", "train.epochs=1")
    assert command(*train)[0] == 0
    assert command("predict", run)[0] == 0
    status, printed, _ = command("evaluate", run, "--json")
    assert status == 0
    assert set(json.loads(printed)["groups"]) == {"first", "second"}
    fast = ("--resamples", 100, "--score-resamples", 100, "--permutations", 100)
    assert command("audit", run, *fast, "--json", tmp_path / "audit.json")[0] == 0
    audit = json.loads((tmp_path / "audit.json").read_text())
    assert [attribute["attribute"] for attribute in audit["attributes"]] == ["camera"]


def test_wrong_labels_are_counted(drawn, command, tmp_path):
    words = ("--cause", "annotation", "--relabel", "melanoma=nevus", "--out", tmp_path / "out")
    status, printed, _ = command("plant", drawn.path, *words)
    assert status == 0
    counts = open_prepared(tmp_path / "out").info["planted"]["counts"]["relabelled"]
    assert counts["train"] > 10
    assert f"relabelled: {counts['train']} in train, {counts['val']} in val, 0 in test" in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--cause", "prevalence", "--strength", 2), "--strength is 2; for prevalence it must be"),
        (("--cause", "annotation", "--relabel", "MEL"), "--relabel is 'MEL'; give the true class"),
        (("--cause", "annotation", "--relabel", "a=scar"), "has no images of class 'a'"),
        (("--cause", "representation", "--group", "skin_tone"), "--affected is missing; choose"),
        (("--cause", "prevalence", "--classes", "scar,scr"), "has no images of class 'scr'"),
        (("--cause", "prevalence", "--group", "skin_tone"), "leave out --group"),
    ],
)
def test_wrong_input_is_one_line(drawn, command, tmp_path, words, message):
    status, printed, problem = command("plant", drawn.path, *words, "--out", tmp_path / "out")
    assert (status, printed) == (2, "")
    assert problem.startswith("fairexit: ")
    assert message in problem
    assert problem.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_there_and_one_that_is_not_prepared(drawn, command, tmp_path):
    words = ("--cause", "prevalence", "--out")
    _, _, problem = command("plant", drawn.path, *words, tmp_path)
    assert problem == f"fairexit: {tmp_path} already exists; remove it or choose another --out\n"
    _, _, problem = command("plant", tmp_path, *words, tmp_path / "out")
    assert f"{tmp_path} is not a prepared dataset" in problem
    _, _, problem = command("plant", drawn.path, "--out", tmp_path / "out")
    assert "--cause" in problem


def test_the_options_are_those_of_the_library(drawn):
    from dataclasses import fields

    from fairexit.cli import load_command
    from fairexit.data.causes import CAUSES, PlantOptions

    options = {p.name: p for p in load_command("plant").params}
    for field in fields(PlantOptions):
        assert field.name in options
        if field.name not in ("cause", "classes"):
            assert options[field.name].default == field.default, field.name
    shown = {
        name: value
        for part in options["strength"].show_default.split("; ")
        for *names, value in [part.replace(",", "").split()]
        for name in names
    }
    assert shown == {name: f"{cause.default:g}" for name, cause in CAUSES.items()}
    for cause in CAUSES.values():
        assert cause.marks[0] in options["mark"].show_default
