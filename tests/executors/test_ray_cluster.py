"""Studies, searches and predictions on a Ray cluster of two nodes, of which one is killed."""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

pytest.importorskip("ray")

from ray_nodes import Nodes

from fairexit.errors import UserError
from fairexit.executors.local import LocalProcesses
from fairexit.executors.ray_connection import connect
from fairexit.executors.task import Task
from fairexit.inference import shards
from fairexit.study import engine
from fairexit.study.engine import run_study
from fairexit.study.folder import Folder
from fairexit.study.load import load_study
from fairexit.study.results import write_runs
from trained import quick
from waiting import wait_until

STUDY_TESTS = Path(__file__).parents[1] / "study"


@pytest.fixture(scope="module")
def started():
    with pytest.MonkeyPatch.context() as patch:
        # Nodes find the package and the pretended runs as this process does.
        patch.setenv("PYTHONPATH", os.pathsep.join([*filter(None, sys.path), str(STUDY_TESTS)]))
        nodes = Nodes()
        yield nodes
        nodes.stop()


@pytest.fixture
def nodes(started):
    """The cluster with two nodes, whatever an earlier test has killed."""
    started.at_least(2)
    return started


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load a study whose runs are pretended."""
    monkeypatch.setattr(engine, "PROGRAM", (str(STUDY_TESTS / "fake_runs.py"),))
    (tmp_path / "data").mkdir()

    def load(rows, epochs=3):
        tree = {
            "base": {"train": {"epochs": epochs}, "model": {"exits": "none"}},
            "datasets": {"isic": {"data.path": str(tmp_path / "data")}},
            "rows": rows,
            "policy": {"grid": [0.5, 0.9]},
        }
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
        return load_study(tmp_path / "study.yaml")

    return load


def results(study, out):
    write_runs(study, Folder(out), Folder(out).states(study))
    return (out / "results.csv").read_bytes(), (out / "exits.csv").read_bytes()


def program(code):
    """The program of a task that runs some Python code."""
    return ("-c", f"import json, os, sys, time\npayload = json.loads(sys.stdin.readline())\n{code}")


def test_a_node_is_killed_in_the_middle_of_a_study(nodes, load, tmp_path, capfd):
    rows = {"ResNet18": {}, "MFD": {"method.name": "mfd"}, "ME-ResNet18": {"model.exits": "all"}}
    study = load(rows, epochs=60)
    whole, folder = tmp_path / "whole", Folder(tmp_path / "s")
    assert run_study(study, Folder(whole), LocalProcesses(2, 1)) == {}
    capfd.readouterr()

    def kill_one():
        logs = [folder.run(f"isic-{row}-seed0").path / "log.csv" for row in ("ResNet18", "MFD")]
        logs[1] = folder.run("isic-ME-ResNet18-seed0").path / "log.csv"
        wait_until(lambda: all(log.exists() for log in logs), lambda: True)
        nodes.kill()

    killing = threading.Thread(target=kill_one)
    with connect(nodes.address, folder.path, threads=1) as cluster:
        assert (cluster.workers, cluster.is_local) == (2, False)
        killing.start()
        assert run_study(study, folder, cluster) == {}
    killing.join()
    out, err = capfd.readouterr()
    assert out == ""
    lost = [line for line in err.splitlines() if "was lost; it is started again" in line]
    assert len(lost) == 1, err
    assert all(line.startswith("isic-") for line in err.splitlines()), "nothing of Ray"
    assert results(study, whole) == results(study, folder.path)
    for run in (folder.path / "runs").iterdir():
        epochs = (run / "trained.txt").read_text().split()
        assert sorted(set(epochs), key=int) == [str(epoch) for epoch in range(60)]
        assert len(epochs) <= 61, "at most the epoch in which the node died is made twice"
    assert not list(folder.path.glob(".*partial")), "the marker is removed"


def test_errors_of_runs_are_those_of_this_machine(nodes, load, tmp_path, monkeypatch):
    rows = {
        "Broken": {"train.lr": 3},
        "Broken-MFD": {"train.lr": 3, "method.name": "mfd"},
        "Killed": {"train.lr": 2},
        "ResNet18": {},
    }
    study, folder = load(rows), Folder(tmp_path / "s")
    monkeypatch.setenv("RAY_ADDRESS", nodes.address)
    with connect("auto", folder.path, threads=1) as cluster:
        failed = run_study(study, folder, cluster)
        again = run_study(study, folder, cluster)
    assert failed == run_study(study, Folder(tmp_path / "local"), LocalProcesses(2, 1))
    assert (
        failed
        == again
        == {
            "isic-Broken-seed0": "the loss of epoch 1 is nan; lower train.lr (now 3)",
            "isic-Broken-MFD-seed0": "not run, it needs isic-Broken-seed0",
            "isic-Killed-seed0": "its process was killed (SIGKILL)",
        }
    )
    assert len((folder.run("isic-ResNet18-seed0").path / "trained.txt").read_text().split()) == 3


def test_a_task_that_loses_each_worker_fails(nodes, tmp_path, capfd):
    deadly = program("import signal; os.kill(os.getppid(), signal.SIGKILL); time.sleep(60)")
    tasks = [
        Task("deadly", deadly, {}, tmp_path / "deadly.log"),
        Task("harmless", program("print(payload['x'])"), {"x": 7}, tmp_path / "harmless.log"),
    ]
    with connect(nodes.address, tmp_path, threads=1) as cluster:
        errors = {task.name: error for task, error, *_ in cluster.run(tasks)}
    lost = "its Ray worker was lost in each of 4 attempts"
    assert errors == {"deadly": lost, "harmless": None}
    assert (tmp_path / "harmless.log").read_text() == "7\n"
    notes = ["deadly: its Ray worker was lost; it is started again"] * 3
    assert capfd.readouterr().err.splitlines() == notes


def test_tasks_that_are_not_waited_for_are_killed(nodes, tmp_path):
    endless = program("open(payload['file'], 'w').write(str(os.getpid()))\ntime.sleep(600)")
    tasks = [
        Task("short", program(""), {}, tmp_path / "short.log"),
        Task("endless", endless, {"file": str(tmp_path / "pid")}, tmp_path / "endless.log"),
    ]
    with connect(nodes.address, tmp_path, threads=1) as cluster:
        outcomes = cluster.run(tasks)
        assert next(outcomes).task.name == "short"
        pid_file = tmp_path / "pid"
        wait_until(lambda: pid_file.exists() and pid_file.read_text(), lambda: True)
        outcomes.close()
        pid = int(pid_file.read_text())
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), lambda: True, seconds=30)


def test_ctrl_c_ends_the_runs_and_the_study_resumes(nodes, load, tmp_path):
    study, folder = load({"ResNet18": {}}, epochs=400), Folder(tmp_path / "s")
    code = (
        "import signal, sys\nfrom pathlib import Path\nfrom fairexit import cli\n"
        "from fairexit.study import engine\n"
        # A shell lets what it starts in the background ignore Ctrl-C.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"engine.PROGRAM = ({str(STUDY_TESTS / 'fake_runs.py')!r},)\n"
        "sys.argv = 'fairexit study study.yaml --out s --ray'.split()\n"
        f"sys.argv.append({nodes.address!r})\n"
        "cli.main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    log = folder.run("isic-ResNet18-seed0").path / "log.csv"
    wait_until(log.exists, lambda: process.poll() is None)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert (out, err) == ("", "fairexit: interrupted; run the same command again to resume\n")
    trained = log.with_name("trained.txt").read_text().split()
    assert len(trained) < 400
    with connect(nodes.address, folder.path, threads=1) as cluster:
        assert run_study(study, folder, cluster) == {}
    assert len(log.with_name("trained.txt").read_text().split()) <= 401


def test_a_node_that_does_not_see_the_folder_is_named(nodes, tmp_path):
    hidden = tmp_path / "hidden"
    with (
        pytest.raises(UserError, match=r"^node \S+ of the Ray cluster does not see \S+hidden; it"),
        connect(nodes.address, tmp_path, threads=1, paths=[hidden]),
    ):
        pass
    with connect(nodes.address, tmp_path, threads=1) as cluster:
        next(tmp_path.glob(".cluster.*.partial")).unlink()
        [outcome] = cluster.run([Task("x", program(""), {}, tmp_path / "logs" / "x.log")])
    assert f"does not see {tmp_path}, which all nodes must share" in outcome.error
    assert not (tmp_path / "logs").exists()


def test_tasks_share_gpus(nodes, tmp_path):
    code = program("print(os.environ.get('CUDA_VISIBLE_DEVICES'), os.environ['OMP_NUM_THREADS'])")
    tasks = [
        Task(name, code, {}, tmp_path / name, threads=1, device=device)
        for name, device in (("a", "auto"), ("b", "cuda"), ("c", "cpu"))
    ]
    with nodes.with_gpu(), connect(nodes.address, tmp_path, threads=1, gpus=0.5) as cluster:
        assert (cluster.workers, cluster.has_gpus) == (2, True)
        assert {outcome.error for outcome in cluster.run(tasks)} == {None}
        with pytest.raises(UserError, match="has 1 CPU and 2 GPUs, which a task needs; lower"):
            list(cluster.run([Task("d", code, {}, tmp_path / "d", devices=2)]))
    assert [(tmp_path / name).read_text() for name in "ab"] == ["0 1\n"] * 2


def test_predictions_are_the_same_bytes(nodes, judged, command, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "IMAGES", 4)
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for i in range(9):
        pixels = rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{i}.png")
    words = ("predict", judged.path, "--images", tmp_path / "photos", "--batch-size", 4)
    with threads(1):
        assert command(*words, "--device", "cpu", "--out", tmp_path / "a.csv")[0] == 0
    more = ("--out", tmp_path / "b.csv", "--ray", nodes.address)
    status, out, err = command(*words, *more)
    assert (status, out) == (0, f"written: {tmp_path / 'b.csv'}\n"), err
    assert all(line.startswith("classifying: ") for line in err.splitlines()), "nothing of Ray"
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_searches_are_those_of_this_machine(nodes, small, command, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(yaml.safe_dump(quick(small, epochs=1).to_dict()))
    words = ("tune", config, "--search", "train.lr=0.01,0.02,1e9", "--trials", 3, "--batch", 3)
    with threads(1):
        assert command(*words, "--out", tmp_path / "a")[0] == 0
    status, _, err = command(*words, "--out", tmp_path / "b", "--ray", nodes.address)
    assert status == 0, err
    for name in ("trials.json", "search.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    trials = json.loads((tmp_path / "b" / "trials.json").read_text())
    assert sum(trial["values"]["f1"] is not None for trial in trials) >= 1
    assert any(trial["mark"] == "diverged" for trial in trials)
    assert ": the loss of epoch 1 is nan; lower train.lr" in err
    assert not list((tmp_path / "b").glob("trial*/predictions/test.parquet"))


def test_a_study_with_searches(nodes, small, command, tmp_path):
    base = quick(small, epochs=1).to_dict()
    del base["prune"]
    rows = {"HSIC": {"method": {"name": "hsic"}}}
    tree = {"base": base, "datasets": {"drawn": {}}, "rows": rows, "tune": {"trials": 1}}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(tree))
    words = ("study", tmp_path / "s.yaml", "--out", tmp_path / "s", "--ray", nodes.address)
    status, out, err = command(*words)
    assert status == 0, err
    assert (tmp_path / "s" / "tuning" / "drawn" / "HSIC" / "chosen_by.json").is_file()
    assert "HSIC is tuned: method.weight " in err or "HSIC: every trial is marked" in err
    assert "drawn-HSIC-seed0: done (1 of 1 runs; 0 s left)" in err
    assert out.endswith(f"study: {tmp_path / 's'}\n")


@contextmanager
def threads(number):
    """Compute with so many threads, as tasks do."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"threads": 2}, "no node of the Ray cluster has 2 CPUs, which a task needs; lower"),
        ({"gpus": 0.0}, "'gpus' is 0; give a share of one GPU such as 0.5, or a whole number"),
        ({"gpus": 1.5}, "'gpus' is 1.5; give a share of one GPU"),
        ({"address": "here"}, "'ray' is 'here'; give auto, or the address HOST:PORT"),
        ({"address": "ray://127.0.0.1:10001"}, "give auto, or the address HOST:PORT"),
        ({"address": "127.0.0.1:9"}, "'127.0.0.1:9', but no Ray cluster answers there: "),
    ],
)
def test_what_a_cluster_cannot_do_is_one_line(nodes, tmp_path, given, message):
    how = {"address": nodes.address, "threads": 1} | given
    with pytest.raises(UserError, match=message), connect(how.pop("address"), tmp_path, **how):
        pass
    assert list(tmp_path.iterdir()) == []
