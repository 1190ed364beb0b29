"""Parts of a study: each run in one of them, several at the same time, and the Slurm scripts."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from fairexit.errors import UserError
from fairexit.executors.local import LocalProcesses
from fairexit.study import engine
from fairexit.study.engine import run_study
from fairexit.study.folder import Folder
from fairexit.study.load import load_study
from fairexit.study.parts import part_of
from fairexit.study.results import write_runs

FAKE_RUNS = Path(__file__).with_name("fake_runs.py")
SUBMIT = Path(__file__).parents[2] / "examples" / "slurm" / "submit.sh"
ROWS = {
    "ResNet18": {},
    "MFD": {"method.name": "mfd"},
    "ME-ResNet18": {"model.exits": "all"},
    "ME-FairPrune": {"model.exits": "all", "prune": {"steps": 2}},
}


@pytest.fixture
def load(tmp_path):
    (tmp_path / "data").mkdir()

    def load(**changes):
        tree = {
            "base": {"train": {"epochs": 3}, "model": {"exits": "none"}},
            "datasets": {"isic": {"data.path": str(tmp_path / "data")}},
            "rows": ROWS,
            "policy": {"grid": [0.5, 0.9]},
        }
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(tree | changes, sort_keys=False))
        return load_study(tmp_path / "study.yaml", tuning=tmp_path / "s" / "tuning")

    return load


@pytest.mark.parametrize("total", [1, 2, 3, 4, 20])
def test_parts_are_the_whole_study_and_need_no_other(load, total):
    study = load(seeds=[0, 1, 2])
    parts = [part_of(study, f"{number}/{total}") for number in range(1, total + 1)]
    names = [run.name for part in parts for run in part.runs]
    assert sorted(names) == sorted(run.name for run in study.runs)
    for part in parts:
        own = [run.name for run in part.runs]
        assert all(name in own for run in part.runs for name in run.needs)
        assert own == [run.name for run in study.runs if run.name in own], "in the same order"
    epochs = [sum(run.epochs for run in part.runs) for part in parts]
    if total <= 3:
        assert max(epochs) - min(epochs) <= 6, "two trainings"
    assert sum(bool(part.runs) for part in parts) == min(total, 6)


def test_searches_are_divided_whatever_is_made_already(load, tmp_path):
    study = load(rows={f"row{i}": {"method.name": "hsic"} for i in range(5)}, tune={"trials": 2})
    assert len(study.searches) == 5
    parts = [part_of(study, f"{number}/2").searches for number in (1, 2)]
    assert sorted(s.name for part in parts for s in part) == [f"isic-row{i}" for i in range(5)]
    later = replace(study, searches=study.searches[2:])
    again = [part_of(later, f"{number}/2").searches for number in (1, 2)]
    assert set(names(again[0])) == set(names(parts[0])) - {"isic-row0"}
    assert set(names(again[1])) == set(names(parts[1])) - {"isic-row1"}


def names(searches):
    return [search.name for search in searches]


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "a/b", "-1/2", "1/2/3"])
def test_a_part_of_another_form_is_refused(load, text):
    with pytest.raises(UserError, match=r"^'part' is '.*'; give the number of the part and that"):
        part_of(load(), text)


def test_options_that_exclude_each_other(command, load, tmp_path):
    load()
    words = ("study", tmp_path / "study.yaml", "--out", tmp_path / "s")
    for more, message in (
        (("--part", "1/2", "--collect"), "--collect is for the whole study; leave out --part"),
        (("--ray", "auto", "--part", "1/2"), "--ray excludes --workers, --part, --plan and"),
        (("--ray", "auto", "--workers", 2), "--ray excludes --workers, --part, --plan and"),
        (("--gpus", 1), "--gpus belongs to --ray"),
        (("--part", "3/2"), "--part is '3/2'; give the number of the part and that of all"),
    ):
        status, _, err = command(*words, *more)
        assert (status, err.count("\n")) == (2, 1)
        assert message in err
    status, out, _ = command(*words, "--plan", "--part", "2/2")
    assert status == 0
    assert "ME-ResNet18" in out
    assert "MFD" not in out
    assert not (tmp_path / "s").exists()


SBATCH = """
import json, os, subprocess, sys
options = [word for word in sys.argv[1:] if word.startswith("-")]
words = [word for word in sys.argv[1:] if not word.startswith("-")]
with open("calls.jsonl", "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
with open("calls.jsonl") as file:
    number = len(file.readlines())
given = dict(word.lstrip("-").partition("=")[::2] for word in options)
if "wrap" in given:
    jobs = [subprocess.Popen(["bash", "-c", given["wrap"]], stdout=sys.stderr)]
else:
    first, last = map(int, given["array"].split("-"))
    jobs = [
        subprocess.Popen(
            ["bash", *words],
            env=os.environ | {"SLURM_ARRAY_TASK_ID": str(i), "SLURM_CPUS_PER_TASK": "1"},
            stdout=sys.stderr,
        )
        for i in range(first, last + 1)
    ]
for job in jobs:
    job.wait()
print(f"{number};cluster")
"""
"""A scheduler that runs the tasks of an array at the same time, and ends when they have ended."""

FAIREXIT = f"""
import sys
from fairexit.study import engine
engine.PROGRAM = ({str(FAKE_RUNS)!r},)
from fairexit.cli import main
main()
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Commands `sbatch` and `fairexit` on the path, the latter with pretended runs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, code in (("sbatch", SBATCH), ("fairexit", FAIREXIT)):
        (folder / name).write_text(f"#!{sys.executable}\n{code}")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)


def test_the_slurm_scripts_make_each_run_once(cluster, load, tmp_path, monkeypatch):
    study = load(seeds=[0, 1])
    words = ["bash", SUBMIT, "study.yaml", "s", "2", "--gres=gpu:1"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls.jsonl").read_text().splitlines()
    assert len(calls) == 2
    assert '"--array=1-2", "--gres=gpu:1"' in calls[0]
    assert '"--dependency=afterany:1"' in calls[1]
    assert "gres" not in calls[1]
    for number in (1, 2):
        assert f"part {number}/2: 4 runs" in done.stderr
    monkeypatch.setattr(engine, "PROGRAM", (str(FAKE_RUNS),))
    assert run_study(study, Folder(tmp_path / "whole"), LocalProcesses(2, 1)) == {}
    write_runs(study, Folder(tmp_path / "whole"), Folder(tmp_path / "whole").states(study))
    for name in ("results.csv", "exits.csv"):
        assert (tmp_path / "s" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    for run in (tmp_path / "s" / "runs").iterdir():
        epochs = run / "trained.txt"
        assert not epochs.exists() or len(epochs.read_text().split()) == 3


def test_a_study_with_searches_is_two_arrays(cluster, load, tmp_path):
    load(tune={"trials": 1})
    # Nothing is run: only what is submitted is looked at.
    (tmp_path / "bin" / "fairexit").write_text("#!/bin/bash\n")
    done = subprocess.run(
        ["bash", SUBMIT, "study.yaml", "s", "3"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "3;cluster\n"), done.stderr
    first, second, last = (tmp_path / "calls.jsonl").read_text().splitlines()
    assert "dependency" not in first
    assert '"--dependency=afterok:1"' in second
    assert '"--dependency=afterany:2"' in last
    assert subprocess.run(["bash", SUBMIT], capture_output=True, timeout=60).returncode == 2
