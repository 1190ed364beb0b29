"""A typing error or a missing file is refused before torch is imported."""

import json
import re
import subprocess
import sys

import pytest

from fairexit.runs import FORMAT

CONFIG = "data: {path: nodata}\n"

CASES = {
    "an unknown command": (["trian"], "No such command 'trian'. Did you mean 'train'"),
    "train: option": (["train", "c.yaml", "--uot", "x"], "No such option: --uot"),
    "train: file": (["train", "no.yaml", "--out", "x"], "no file no.yaml"),
    "train: key": (
        ["train", "c.yaml", "--out", "x", "--set", "train.epoch=1"],
        "unknown key 'train.epoch'; did you mean 'epochs'",
    ),
    "train: tracker": (
        ["train", "c.yaml", "--out", "x", "--tracker", "wandbb"],
        "there is no tracker 'wandbb'; did you mean 'wandb'",
    ),
    "train: tracker's options": (
        ["train", "c.yaml", "--out", "x", "--tracker", "{name: wandb, team: a}"],
        "tracker 'wandb' has no option 'team'; available: entity, project",
    ),
    "train: tracker's form": (
        ["train", "c.yaml", "--out", "x", "--tracker", "{name: wandb"],
        "--tracker {name: wandb: ",
    ),
    "train: data": (["train", "c.yaml", "--out", "x"], "nodata is not a prepared dataset"),
    "prune: option": (["prune", "run", "--out", "x", "--ratoi", "1"], "No such option: --ratoi"),
    "prune: run": (["prune", "norun", "--out", "x"], "there is no folder norun"),
    "prune: method": (["prune", "run", "--out", "x", "--method", "fair"], "prune.method is 'fair'"),
    "prune: number": (["prune", "run", "--out", "x", "--ratio", "a"], "--ratio is 'a'; give"),
    "prune: value": (["prune", "run", "--out", "x", "--ratio", "2"], "prune.ratio is 2.0"),
    "prune: device": (["prune", "run", "--out", "x", "--device", "gpu"], "--device is 'gpu'; give"),
    "prune: data": (["prune", "run", "--out", "x"], "nodata is not a prepared dataset"),
    "predict: option": (["predict", "run", "--lats"], "No such option: --lats"),
    "predict: run": (["predict", "norun"], "there is no folder norun"),
    "predict: split": (["predict", "run", "--split", "tset"], "'tset' is not one of"),
    "predict: device": (["predict", "run", "--device", "cdua"], "--device is 'cdua'; give"),
    "predict: data": (["predict", "run"], "nodata is not a prepared dataset"),
    "predict: other data": (["predict", "run", "--data", "d", "--out", "x"], "d is not a prepared"),
    "predict: policy": (["predict", "run", "--policy-only"], "run has no stored policy"),
    "predict: images": (["predict", "run", "--images", "no"], "--images needs --out FILE.csv"),
    "export: option": (["export", "run", "--uot", "x"], "No such option: --uot"),
    "export: run": (["export", "norun", "--out", "x"], "there is no folder norun"),
    "export: form": (["export", "run", "--out", "x", "--form", "onnx"], "'onnx' is not one of"),
    "export: both": (
        ["export", "run", "--out", "x", "--form", "torch-export", "--int8"],
        "--int8 is of ONNX graphs",
    ),
    "export: card": (["export", "run", "--out", "x", "--card", "no"], "--card is 'no', which is"),
    "export: policy": (["export", "run", "--out", "x"], "run has no stored policy"),
    "push: option": (["push", "run", "a/b", "--licence", "mit"], "No such option: --licence"),
    "push: run": (["push", "norun", "a/b"], "there is no folder norun"),
    "push: policy": (["push", "run", "a/b"], "run has no stored policy"),
    "push: license": (["push", "run", "a/b", "--license", "A B"], "--license is 'A B'; give"),
    "evaluate: option": (["evaluate", "t.csv", "--gruop", "sex"], "No such option: --gruop"),
    "evaluate: file": (["evaluate", "no.csv"], "there is no file or folder no.csv"),
    "evaluate: number": (
        ["evaluate", "t.csv", "--threshold", "high"],
        "--threshold is 'high'; give",
    ),
    "evaluate: rule": (["evaluate", "t.csv", "--rule", "eod"], "did you mean 'eodd'"),
    "audit: option": (["audit", "t.csv", "--drows", "9"], "No such option: --drows"),
    "audit: file": (["audit", "t.csv", "no.csv"], "there is no file or folder no.csv"),
    "audit: baseline": (["audit", "t.csv", "--baseline", "no.csv"], "there is no file or folder"),
    "audit: group": (
        ["audit", "t.csv", "--group", "sx"],
        "there is no column of an attribute 'sx'",
    ),
    "entangle: run": (["entangle", "norun"], "there is no folder norun"),
    "entangle: number": (["entangle", "run", "--temperatures", "a"], "--temperatures is 'a'; give"),
    "entangle: data": (["entangle", "run"], "nodata is not a prepared dataset"),
    "study: file": (["study", "no.yaml", "--out", "x"], "there is no file or folder no.yaml"),
    "study: key": (["study", "c.yaml", "--out", "x"], "unknown key 'data'"),
    "study: options": (["study", "c.yaml", "--out", "x", "--calibrate"], "belongs to --plan"),
    "tune: file": (["tune", "no.yaml", "--out", "x", "--search", "seed=0:1"], "no file no.yaml"),
    "tune: axis": (["tune", "c.yaml", "--out", "x", "--search", "seed"], "write KEY=LOW:HIGH"),
    "tune: rule": (
        ["tune", "c.yaml", "--out", "x", "--search", "seed=0:1", "--rule", "e"],
        "--rule is 'e'; available: ",
    ),
    "report: file": (["report", "no.csv", "--out", "x.html"], "there is no file or folder no.csv"),
    "report: page": (["report", "t.csv", "--out", "x.pdf"], "is an HTML page; call it x.html"),
    "prepare: dataset": (["prepare", "synthetc", "--out", "x"], "did you mean 'synthetic'"),
    "prepare: source": (["prepare", "table", "no.csv", "--out", "x"], "there is no file or folder"),
    "prepare: option": (["prepare", "synthetic", "--out", "x", "--sise", "9"], "No such option"),
    "prepare: size": (
        ["prepare", "synthetic", "--out", "x", "--size", "1"],
        "--size is 1; it must be from 8",
    ),
    "demo: option": (["demo", "--epocs", "3"], "No such option: --epocs"),
    "list: kind": (["list", "moons"], "there is no list 'moons'"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a configuration, a table, and a run whose data are gone."""
    place = tmp_path_factory.mktemp("early")
    (place / "c.yaml").write_text(CONFIG)
    (place / "t.csv").write_text("label,sex,prediction\na,f,a\nb,f,a\na,m,a\nb,m,b\n")
    (place / "run").mkdir()
    description = {
        "format": FORMAT,
        "model": {},
        "label2id": {"a": 0, "b": 1},
        "group": "sex",
        "preprocessing": {"size": 28, "fit": "squash"},
        "data": {"name": "d", "checksums": {}},
        "run": {"data": {"path": "nodata"}},
    }
    (place / "run" / "config.json").write_text(json.dumps(description))
    return place


CODE = """
import contextlib, io, json, sys
from fairexit import cli, extras

absent, cases = json.load(sys.stdin)
if absent:
    extras.is_installed = lambda extra: False
answers = []
for words in cases:
    sys.argv = ["fairexit", *words]
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            cli.main()
            status = 0
        except SystemExit as stop:
            status = stop.code
    answers.append([status, errors.getvalue(), "torch" in sys.modules])
json.dump(answers, sys.stdout)
"""


def refused(place, cases, absent=False):
    """Exit status, standard error and whether torch was imported, of each command line."""
    result = subprocess.run(
        [sys.executable, "-c", CODE],
        input=json.dumps([absent, cases]),
        cwd=place,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def answers(place):
    """All cases one after another in one process."""
    return dict(zip(CASES, refused(place, [words for words, _ in CASES.values()]), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_in_one_line_without_torch(case, answers, place):
    status, errors, torch = answers[case]
    lines = [line for line in errors.splitlines() if not line.startswith("reading ")]
    assert status == 2, errors
    assert len(lines) == 1, errors
    assert lines[0].startswith("fairexit: ")
    assert CASES[case][1] in lines[0]
    assert not torch
    assert not (place / "x").exists()


EXTRAS = {
    ("train", "c.yaml", "--out", "x"): "train",
    ("prune", "run", "--out", "x"): "train",
    ("predict", "run"): "train",
    ("entangle", "run"): "train",
    ("export", "run", "--out", "x"): "export",
    ("study", "c.yaml", "--out", "x"): "train",
    ("demo", "--out", "x"): "train",
    ("tune", "c.yaml", "--out", "x", "--search", "seed=0:1"): "search",
}


def test_a_command_without_its_extra_says_which_to_install(place):
    answers = refused(place, list(EXTRAS), absent=True)
    for (words, extra), (status, errors, torch) in zip(EXTRAS.items(), answers, strict=True):
        needs = f"{words[0]} needs the extra '{extra}': pip install 'fairexit[{extra}]'\n"
        assert (status, torch) == (2, False)
        assert re.fullmatch(f"fairexit: fairexit[ .]{re.escape(needs)}", errors)
