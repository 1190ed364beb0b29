"""A run is repeated from its record; what differs is said."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

import fairexit
from conftest import settings
from fairexit.environment import environment
from fairexit.errors import UserError
from fairexit.inference.predict import predict
from fairexit.pipeline import make_run
from fairexit.repetition import compare
from fairexit.runs import Run


@pytest.fixture
def copy(tiny_run, tmp_path):
    return Run(shutil.copytree(tiny_run.path, tmp_path / "copy"))


def test_a_repetition_has_the_same_bits(tiny_run, tmp_path, command):
    status, out, _ = command("rerun", tiny_run.path, "--out", tmp_path / "again")
    assert status == 0
    assert "The repetition is the same to the last bit." in out
    assert out.count(" yes ") == 4
    assert (tmp_path / "again" / "predictions" / "test.parquet").is_file()
    again = fairexit.rerun(tiny_run, tmp_path / "again")
    assert again.equal
    assert not again.changed
    assert [part.name for part in again.parts] == [
        "weights",
        "log",
        "predictions of val",
        "predictions of test",
    ]


def test_a_pruned_run_is_made_from_the_beginning(tiny, tmp_path):
    config = settings(tiny.path, train__epochs=1, prune={"method": "random", "ratio": 0.1})
    run = make_run(config, tmp_path / "run")
    predict(run)
    again = fairexit.rerun(run, tmp_path / "again")
    assert again.equal
    assert (tmp_path / "again" / "unpruned" / "config.json").is_file()


def changed_weights(run):
    weights = load_file(run.weights)
    name = next(name for name in weights if name.endswith("weight"))
    weights[name] = weights[name] + np.float32(0.25)
    save_file(weights, run.weights)
    return "weights", 0.25, "1 of "


def changed_log(run):
    log = pd.read_csv(run.path / "log.csv")
    log.loc[1, "val_f1"] += 0.5
    log["seconds"] += 100
    log.to_csv(run.path / "log.csv", index=False)
    return "log", 0.5, "2 epochs"


def shorter_log(run):
    pd.read_csv(run.path / "log.csv").iloc[:1].to_csv(run.path / "log.csv", index=False)
    return "log", np.inf, "2 epochs, and 1"


def changed_predictions(run):
    file = run.predictions("test")
    table = pd.read_parquet(file)
    columns = [name for name in table if name.startswith("pf/")]
    table.loc[0, columns] = np.eye(len(columns), dtype=np.float32)[
        table.loc[0, columns].to_numpy(float).argmin()
    ]
    table.to_parquet(file)
    return "predictions of test", None, "1 of "


@pytest.mark.parametrize("change", [changed_weights, changed_log, shorter_log, changed_predictions])
def test_what_differs_is_named(tiny_run, copy, change):
    name, difference, detail = change(copy)
    result = compare(tiny_run, copy)
    assert not result.equal
    [part] = [part for part in result.parts if part.difference]
    assert part.name == name
    assert part.detail.startswith(detail)
    if difference is not None:
        assert part.difference == pytest.approx(difference, rel=1e-4)


def test_the_command_says_that_it_differs(tiny_run, tmp_path, command):
    again = shutil.copytree(tiny_run.path, tmp_path / "again")
    changed_weights(Run(again))
    status, out, _ = command("rerun", tiny_run.path, "--out", again)
    assert status == 1
    assert "The repetition differs. Versions and machine are those of the record" in out


def test_another_version_is_named(copy, tiny_run):
    info = json.loads((copy.path / "config.json").read_text())
    info["environment"]["torch"] = "1.0"
    info["fairexit"] = "0.0.1"
    (copy.path / "config.json").write_text(json.dumps(info))
    changed = compare(Run(copy.path), tiny_run).changed
    assert changed.keys() == {"torch", "fairexit"}
    assert changed["torch"] == ("1.0", environment()["torch"])


def test_what_cannot_be_repeated_is_one_line(copy, tiny, tmp_path):
    with pytest.raises(UserError, match="'out' is the run itself"):
        fairexit.rerun(copy, copy.path)
    info = json.loads((copy.path / "config.json").read_text())
    for change, message in (
        ({"own_loop": True}, "a loop of your own, of which it has no record"),
        ({"data": info["data"] | {"checksums": {"images.npy": "0"}}}, "has changed since"),
    ):
        (copy.path / "config.json").write_text(json.dumps(info | change))
        with pytest.raises(UserError, match=message):
            fairexit.rerun(Run(copy.path), tmp_path / "again")
    assert not (tmp_path / "again").exists()
