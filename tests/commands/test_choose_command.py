"""`fairexit choose` as a user calls it, on small runs."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import fairexit
from fairexit.evaluation.policy import Policy
from fairexit.predictions.files import read_predictions, write_predictions
from fairexit.runs import Run


@pytest.fixture
def runs(tiny_run, tmp_path):
    """Two runs; the second answers partly at random."""
    for name in ("me", "noisy"):
        shutil.copytree(tiny_run.path, tmp_path / name)
    noisy = Run(tmp_path / "noisy")
    for split in ("val", "test"):
        predictions = read_predictions(noisy.predictions(split))
        rows = np.random.default_rng(0).random(len(predictions)) < 0.3
        predictions.probabilities[rows] = predictions.probabilities[rows][:, :, ::-1]
        write_predictions(predictions, noisy.predictions(split))
    return tmp_path / "me", noisy.path


def change(run, **values):
    """Change keys of a run's description."""
    file = run / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_a_choice_becomes_the_policy_that_all_commands_use(runs, command, tmp_path):
    words = ["--constraint", "f1 >= best - 0.05", "--minimize", "eodd", "--cost", "1"]
    status, printed, err = command("choose", *runs, *words, "--out", tmp_path / "front")
    assert (status, err) == (0, "")
    text = " ".join(printed.split())
    assert "The front on validation by" in text
    assert "where best is the best value of all candidates" in text
    [chosen] = [line for line in printed.splitlines() if line.startswith("Chosen: ")]
    run = runs[chosen.split()[1].rstrip(",") == "noisy"]
    assert printed.splitlines()[-1] == f"written: {run}/policy.json"
    policy = Policy.load(run / "policy.json")
    assert policy.rule == "choose"
    assert policy.compared == ("me", "noisy")
    assert "meet f1 >= best - 0.05 (that is 0." in policy.reason
    front = pd.read_csv(tmp_path / "front" / "front.csv")
    assert front["chosen"].sum() == 1
    assert (front["f1_low"] <= front["f1"]).all()
    assert front.loc[front["chosen"], "allowed"].all()
    for ending in ("png", "svg"):
        assert (tmp_path / "front" / f"front.{ending}").stat().st_size > 1000
    status, printed, _ = command("evaluate", run, "--threshold", "policy", "--split", "val")
    assert status == 0
    assert "The operating point was chosen by rule choose on val" in printed
    assert Policy.load(run / "policy.json") == policy
    value = json.loads((run / "metrics.json").read_text())[f"{policy.group}@val"]["eodd"]
    assert value == pytest.approx(front.loc[front["chosen"], "eodd"].item(), abs=1e-5)


def test_a_constraint_that_nothing_meets_is_an_answer_and_no_policy(runs, command, tmp_path):
    words = ["--constraint", "f1 >= 1", "--minimize", "eodd", "--out", tmp_path / "front"]
    status, printed, err = command("choose", *runs, *words)
    assert (status, err) == (1, "")
    assert "No candidate meets f1 >= 1: the nearest, " in " ".join(printed.split())
    front = pd.read_csv(tmp_path / "front" / "front.csv")
    assert len(front) > 0
    assert not front[["allowed", "not_told_apart", "chosen"]].any(axis=None)
    assert "nearest" in (tmp_path / "front" / "front.svg").read_text()
    assert printed.splitlines()[-1] == "No policy was written."
    assert not any((run / "policy.json").exists() for run in runs)


def test_only_looking_writes_nothing_and_python_returns_the_choice(runs, command):
    assert command("choose", *runs, "--minimize", "eodd", "--no-store")[0] == 0
    selection = fairexit.choose(runs, minimize="eodd", grid=[0.5, 0.6], store=False)
    # Two internal exits, the final one, and two thresholds of each run.
    assert len(selection.points) == 10
    assert repr(selection).startswith("Selection(minimize eodd, 10 candidates: ")
    assert not any((run / "policy.json").exists() for run in runs)


def test_missing_predictions_are_made_and_unfinished_runs_left_out(runs, command, tmp_path):
    Run(runs[0]).predictions("val").unlink()
    (tmp_path / "diverged").mkdir()
    (tmp_path / "diverged" / "started.json").write_text("{}")
    status, printed, err = command("choose", *runs, tmp_path / "diverged", "--minimize", "eodd")
    assert status == 0
    left_out = "has not finished training, or diverged, and is left out"
    assert f"warning: {tmp_path}/diverged {left_out}" in err
    assert Run(runs[0]).predictions("val").is_file()
    assert "the exits and thresholds of me, noisy." in " ".join(printed.split())
    status, _, err = command("choose", tmp_path / "diverged", "--minimize", "eodd")
    assert status == 2
    assert err.splitlines()[-1] == (
        "fairexit: there is no finished run to choose from; train one with `fairexit train`"
    )


def test_the_policy_of_a_plain_run_keeps_its_reason(runs, command):
    run = Run(runs[1])
    for split in ("val", "test"):
        predictions = read_predictions(run.predictions(split))
        last = predictions.probabilities[:, -1:]
        plain = replace(predictions, probabilities=last, exit_names=("f",))
        write_predictions(plain, run.predictions(split))
    change(run.path, exit_costs=run.exit_costs[-1:])
    status, _, err = command("choose", run.path, "--minimize", "eodd")
    assert (status, err) == (0, "")
    policy = Policy.load(run.policy)
    assert policy.reason.startswith("1 of 1 candidates of 1 run are usable")
    assert command("evaluate", run.path, "--threshold", "policy")[0] == 0
    assert Policy.load(run.policy) == policy


def other_data(run):
    change(run, data={"name": "other", "checksums": {"images.npy": "1"}})


def other_split(run):
    predictions = read_predictions(Run(run).predictions("val"))
    rows = np.arange(len(predictions)) > 2
    write_predictions(predictions.take(rows), Run(run).predictions("val"))


def other_attribute(run):
    change(run, group="age")


def without_costs(run):
    change(run, exit_costs=None)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (
            other_data,
            "{1} was trained on other data than {0}; compare runs of the same data",
        ),
        (
            other_split,
            "{1} and {0} were not validated on the same samples: 3 ids are in only one of them; "
            "compare runs of the same split",
        ),
        (
            other_attribute,
            "the attribute of {1} is 'age', that of {0} is '{group}'; name the one to choose by "
            "with --group",
        ),
        (
            without_costs,
            "{1}/config.json lacks 'exit_costs'; train the run again in another folder",
        ),
    ],
)
def test_runs_that_cannot_be_compared(runs, command, spoil, expected):
    group = Run(runs[0]).description["group"]
    spoil(runs[1])
    status, printed, err = command("choose", *runs, "--minimize", "eodd")
    assert (status, printed) == (2, "")
    assert err == f"fairexit: {expected.format(*runs, group=group)}\n"
    assert not any((run / "policy.json").exists() for run in runs)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "give either --minimize, such as eodd, or --maximize, such as f1"),
        (
            ["--minimize", "eod"],
            "--minimize is 'eod', but there is no metric 'eod'; did you mean 'eodd'?",
        ),
        (
            ["--minimize", "eodd", "--constraint", "f1 = 1"],
            "--constraint is 'f1 = 1'; write it as 'f1 >= 0.7', 'f1 >= best - 0.01', "
            "'eodd <= 0.1' or 'eodd <= best + 0.02'",
        ),
        (
            ["--minimize", "eodd", "--grid", "0.5,2"],
            "threshold 2 is out of range; it must be above 0 and at most 1",
        ),
        (
            ["--minimize", "eodd", "--group", "height"],
            "there is no column of an attribute 'height'; available: ",
        ),
    ],
)
def test_wrong_options_are_one_line(runs, command, words, expected):
    status, printed, err = command("choose", *runs, *words)
    assert (status, printed) == (2, "")
    assert err.startswith(f"fairexit: {expected}")
    assert err.count("\n") == 1


def test_wrong_folders_are_one_line(runs, command, tmp_path):
    status, _, err = command("choose", runs[0], runs[0], "--minimize", "eodd")
    assert (status, err) == (2, f"fairexit: {runs[0]} is given twice; give each run once\n")
    status, _, err = command("choose", tmp_path / "none", "--minimize", "eodd")
    assert (status, err) == (2, f"fairexit: there is no file or folder {tmp_path}/none\n")
    (tmp_path / "file").touch()
    words = ["--minimize", "eodd", "--out", tmp_path / "file"]
    status, _, err = command("choose", *runs, *words)
    assert (status, err) == (2, f"fairexit: --out {tmp_path}/file is a file; name a folder\n")
