"""Trackers: what they are sent, how a resumed run continues theirs, and that no error stops."""

import json
import subprocess
import sys

import pandas as pd
import pytest
import yaml

from conftest import settings
from fairexit import plugins
from fairexit.errors import UserError
from fairexit.executors.local import LocalProcesses
from fairexit.pipeline import make_run
from fairexit.plugins import load_plugins
from fairexit.runs import Run
from fairexit.study.engine import run_study
from fairexit.study.folder import Folder
from fairexit.study.load import load_study
from fairexit.training.checkpoint import read_progress
from fairexit.training.fit import train
from fairexit.training.trackers.base import Tracker, check_tracker, trackers
from fairexit.training.trackers.mlflow import _key
from fake_trackers import Store, fake_mlflow, fake_trackio, fake_wandb
from trained import KilledError, kill_after, quick

ALL = ("mlflow", "wandb", "trackio")


@pytest.fixture
def store(monkeypatch):
    """All three services, which share a store."""
    for name in ("MLFLOW_EXPERIMENT_NAME", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    store = Store()
    for fake in (fake_wandb, fake_trackio, fake_mlflow):
        fake(monkeypatch, store)
    return store


@pytest.mark.parametrize("name", ALL)
def test_a_tracker_gets_the_settings_and_every_epoch(small, tmp_path, store, name):
    run = train(quick(small), tmp_path / "r", tracker=check_tracker(name))
    ((key, sent),) = store.runs.items()
    assert (list(sent["steps"]), sent["ended"]) == ([1, 2, 3], "FINISHED")
    log = pd.read_csv(run.path / "log.csv")
    for column in ("train_loss", "val_f1", "lr"):
        values = [row[column.replace("_", "/")] for row in sent["steps"].values()]
        assert values == pytest.approx(log[column].tolist(), rel=1e-5)
    assert "penalty/ratio" not in sent["steps"][1], "ERM has none, and NaN is not sent"
    (call,) = store.calls
    assert call["project"] == "fairexit"
    assert call["name"].startswith(f"{tmp_path.name}/r")
    config = call["config"]
    assert (config["train.lr"] if name == "mlflow" else str(config["train"]["lr"])) == "0.001"
    state = json.loads((run.path / "tracker.json").read_text())
    assert state == {"tracker": {"name": name}, "id": key, "epoch": 3}


@pytest.mark.parametrize("name", ALL)
def test_a_resumed_run_continues_the_trackers_run(small, tmp_path, monkeypatch, store, name):
    choice, config = check_tracker(name), quick(small)
    with monkeypatch.context() as patch:
        kill_after(patch, 2)
        with pytest.raises(KilledError):
            train(config, tmp_path / "r", tracker=choice)
    ((key, sent),) = store.runs.items()
    # The second epoch is stored, but was not sent any more.
    assert (list(sent["steps"]), key) == (
        [1],
        json.loads((tmp_path / "r/tracker.json").read_text())["id"],
    )
    assert sent["ended"] == ("FINISHED" if name == "trackio" else "FAILED")
    train(config, tmp_path / "r", tracker=choice)
    assert list(store.runs) == [key]
    assert (list(sent["steps"]), sent["opened"]) == ([1, 2, 3], 2)
    assert sent["ended"] == "FINISHED"
    # A longer training too.
    train(quick(small, epochs=4), tmp_path / "r", tracker=choice)
    assert (list(store.runs), list(sent["steps"])) == ([key], [1, 2, 3, 4])


def test_epochs_that_are_trained_again_are_not_sent_again(small, tmp_path, store, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("fairexit.training.checkpoint.STORE_EVERY", 1e9)
        patch.setattr("fairexit.training.trainer.stop_reason", stop_at(2))
        with pytest.raises(KilledError):
            train(quick(small), tmp_path / "r", tracker={"name": "wandb"})
    (sent,) = store.runs.values()
    assert (list(sent["steps"]), read_progress(Run(tmp_path / "r")).epoch) == ([1, 2], 1)
    train(quick(small), tmp_path / "r", tracker={"name": "wandb"})
    assert (len(store.runs), list(sent["steps"])) == (1, [1, 2, 3])


def stop_at(epochs):
    """In place of the check after each epoch: a kill once so many epochs are logged."""
    seen = []

    def check(rows, train):
        seen.append(len(rows))
        if len(rows) > epochs:
            raise KilledError

    return check


@pytest.mark.parametrize("other", [None, "trackio", {"name": "wandb", "project": "skin"}])
def test_a_run_is_resumed_with_another_tracker(small, tmp_path, store, other):
    train(quick(small), tmp_path / "r", tracker=check_tracker("wandb"))
    longer = quick(small, epochs=4)
    train(longer, tmp_path / "r", tracker=check_tracker(other))
    runs = list(store.runs.values())
    assert list(runs[0]["steps"]) == [1, 2, 3]
    assert [list(run["steps"]) for run in runs[1:]] == ([] if other is None else [[1, 2, 3, 4]])


@pytest.mark.parametrize("when", ["start", "log", "finish"])
def test_an_error_of_a_tracker_is_said_once(small, tmp_path, store, monkeypatch, capsys, when):
    def fail(*args):
        raise ConnectionError("the server\nis away")

    monkeypatch.setattr(trackers["wandb"], when, fail)
    run = train(quick(small), tmp_path / "r", tracker={"name": "wandb"})
    assert run.finished
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert lines == [
        f"warning: {run.path}: tracker 'wandb' failed (the server); training goes on without it, "
        "and log.csv has every epoch"
    ]
    assert len(pd.read_csv(run.path / "log.csv")) == 3


def test_what_one_session_could_not_send_the_next_one_sends(small, tmp_path, store, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(trackers["wandb"], "log", lambda *args: 1 / 0)
        train(quick(small), tmp_path / "r", tracker={"name": "wandb"})
    train(quick(small, epochs=4), tmp_path / "r", tracker={"name": "wandb"})
    (sent,) = store.runs.values()
    assert list(sent["steps"]) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("method", "names"), [("dfr", ["r/erm"]), ("mfd", ["r/teacher", "{folder}/r"])]
)
def test_runs_that_are_trained_first_are_tracked(tiny, tmp_path, store, method, names):
    config = settings(tiny.path, method__name=method, train__epochs=1)
    make_run(config, tmp_path / "r", tracker=check_tracker("wandb"))
    assert [call["name"] for call in store.calls] == [
        name.format(folder=tmp_path.name) for name in names
    ]


def test_settings_that_mlflow_would_refuse_are_adapted(small, tmp_path, store):
    weights = {small.classes[0]: 2.0}
    train(quick(small, class_weights=weights), tmp_path / "r", tracker=check_tracker("mlflow"))
    assert f"train.class_weights.{small.classes[0]}" in store.calls[0]["config"]
    assert _key("train.class_weights.nevus (mole)/a b:c-d_é") == (
        "train.class_weights.nevus _mole_/a b:c-d_é"
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("wandbb", "there is no tracker 'wandbb'; did you mean 'wandb'"),
        (3, "tracker is 3; give a name such as mlflow, or a section such as {name: wandb"),
        ({"project": "skin"}, "tracker is {'project': 'skin'}; give a name"),
        ({"name": "wandb", "projct": "a"}, "tracker 'wandb' has no option 'projct'; did you mean"),
        ({"name": "trackio", "project": 3}, "tracker 'trackio': option 'project' is 3; it must be"),
    ],
)
def test_a_wrong_choice_is_refused(store, value, message):
    with pytest.raises(UserError, match=f"^{message}"):
        check_tracker(value)


@pytest.mark.parametrize("name", ALL)
def test_a_missing_package_is_said_before_anything_starts(small, tmp_path, monkeypatch, name):
    import fairexit

    monkeypatch.setitem(sys.modules, name, None)
    message = rf"^tracker '{name}' needs the extra '{name}': pip install 'fairexit\[{name}\]'$"
    with pytest.raises(UserError, match=message):
        fairexit.train(settings(small.path), tmp_path / "r", tracker=name)
    assert not (tmp_path / "r").exists()


PLUGIN = """
from pathlib import Path
from fairexit.training.trackers.base import Tracker, trackers

@trackers.register("lines")
class Lines(Tracker):
    "A line for each epoch."

    def __init__(self, *, file: Path) -> None:
        self.file = file

    def write(self, text):
        with self.file.open("a") as stream:
            stream.write(text + "\\n")

    def start(self, name, settings, run_id):
        self.write(f"start {name} {settings['seed']} {run_id}")
        return "an id"

    def log(self, row, epoch):
        self.write(f"epoch {epoch} {sorted(row)[0]}")

    def finish(self, succeeded):
        self.write(f"finish {succeeded}")
"""


@pytest.fixture
def plugin(tmp_path):
    """The plugin's file, which is forgotten again."""
    file = tmp_path / "lines.py"
    file.write_text(PLUGIN)
    yield file
    for loading in plugins._files.values():
        plugins._forget(loading)
    plugins._files.clear()


def test_a_tracker_of_a_plugin(small, tmp_path, plugin):
    file = tmp_path / "lines.txt"
    load_plugins([plugin])
    assert issubclass(trackers["lines"], Tracker)
    choice = check_tracker({"name": "lines", "file": file})
    train(quick(small), tmp_path / "r", tracker=choice)
    assert file.read_text().splitlines() == [
        f"start {tmp_path.name}/r 0 None",
        *(f"epoch {n} data/seconds" for n in (1, 2, 3)),
        "finish True",
    ]


def test_only_the_first_of_two_processes_sends(small, tmp_path, plugin):
    config, file = tmp_path / "c.yaml", tmp_path / "lines.txt"
    config.write_text(quick(small, devices=2, device="cpu").to_yaml())
    command = [sys.executable, "-m", "fairexit", "train", config, "--out", tmp_path / "r"]
    command += ["--plugin", plugin, "--tracker", f"{{name: lines, file: {file}}}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = file.read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["start", "epoch", "epoch", "epoch", "finish"]


def test_the_runs_of_a_study_are_tracked(small, tmp_path, plugin):
    file = tmp_path / "lines.txt"
    tree = {
        "base": quick(small).to_dict() | {"plugins": []},
        "datasets": {"a": {}},
        "rows": {"ERM": {}},
        "plugins": [plugin.name],
        "tracker": {"name": "lines", "file": str(file)},
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(tree))
    study = load_study(tmp_path / "study.yaml")
    assert run_study(study, Folder(tmp_path / "s"), LocalProcesses(1, 1)) == {}
    assert file.read_text().splitlines()[0] == "start runs/a-ERM-seed0 0 None"
    assert "finish True" in file.read_text()
    # Another tracker, or none, is the same study.
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(tree | {"tracker": None}))
    states = Folder(tmp_path / "s").states(load_study(tmp_path / "study.yaml"))
    assert [state.phase for state in states.values()] == ["done"]
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(tree | {"tracker": "lime"}))
    with pytest.raises(UserError, match="there is no tracker 'lime'; did you mean 'lines'"):
        load_study(tmp_path / "study.yaml")


def test_mlflow_itself(small, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    choice = check_tracker({"name": "mlflow", "tracking_uri": uri, "experiment": "skin"})
    for epochs in (3, 4):
        train(quick(small, epochs=epochs), tmp_path / "r", tracker=choice)
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("skin")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.status, run.info.run_name) == ("FINISHED", f"{tmp_path.name}/r")
    assert (run.data.params["train.epochs"], run.data.params["method.name"]) == ("3", "erm")
    history = client.get_metric_history(run.info.run_id, "val/f1")
    log = pd.read_csv(Run(tmp_path / "r").path / "log.csv")
    assert [m.step for m in history] == [1, 2, 3, 4]
    assert [m.value for m in history] == pytest.approx(log["val_f1"].tolist(), rel=1e-5)
