"""Running a study: order, resuming, failures, killed processes; with pretended training."""

import io
import json
import multiprocessing
import random
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from fake_runs import write_run

from fairexit.errors import UserError
from fairexit.evaluation.assess import assess
from fairexit.executors import child
from fairexit.executors.local import LocalProcesses
from fairexit.inference.predict import choose_device
from fairexit.runs import FORMAT
from fairexit.study import engine
from fairexit.study import job as jobs
from fairexit.study.collect import pool
from fairexit.study.engine import run_study, time_left
from fairexit.study.folder import Folder
from fairexit.study.load import load_study
from fairexit.study.overview import overview
from fairexit.study.results import write_results, write_runs
from fairexit.study.run_groups import by_reason
from waiting import wait_until

ROWS = {
    "ResNet18": {},
    "MFD": {"method.name": "mfd"},
    "ME-ResNet18": {"model.exits": "all"},
    "ME-FairPrune": {"model.exits": "all", "prune": {"steps": 2}},
    "MFD-FairPrune": {"method.name": "mfd", "prune": {"steps": 2}},
}


@pytest.fixture
def load(tmp_path, monkeypatch):
    worker = Path(__file__).with_name("fake_runs.py")
    monkeypatch.setattr(engine, "PROGRAM", (str(worker),))
    (tmp_path / "data").mkdir()

    def load(rows=ROWS, **changes):
        tree = {
            "base": {"train": {"epochs": 3}, "model": {"exits": "none"}},
            "datasets": {"isic": {"data.path": str(tmp_path / "data")}},
            "rows": rows,
            "policy": {"grid": [0.5, 0.9]},
        }
        file = tmp_path / "study.yaml"
        file.write_text(yaml.safe_dump(tree | changes, sort_keys=False))
        return load_study(file)

    return load


def end(process):
    process.kill()
    process.join(60)
    assert process.exitcode is not None


def results(study, out):
    write_runs(study, Folder(out), Folder(out).states(study))
    return (out / "results.csv").read_bytes(), (out / "exits.csv").read_bytes()


def test_a_study_killed_at_random_moments_ends_with_the_same_results(load, tmp_path, capsys):
    study = load()
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run_study(study, Folder(whole), LocalProcesses(1, 1)) == {}
    assert "isic-MFD-seed0: done" in capsys.readouterr().err
    random.seed(0)
    fork = multiprocessing.get_context("fork")
    for _ in range(3):
        process = fork.Process(target=run_study, args=(study, Folder(killed), LocalProcesses(2, 1)))
        process.start()
        process.join(random.uniform(0.3, 2))
        end(process)
    assert run_study(study, Folder(killed), LocalProcesses(3, 1)) == {}
    assert results(study, whole) == results(study, killed)
    assert b"trained" not in results(study, whole)[0]
    capsys.readouterr()
    run_study(study, Folder(whole), LocalProcesses(1, 1))
    assert "done" not in capsys.readouterr().err
    for run in (whole / "runs").iterdir():
        assert len((run / "trained.txt").read_text().split()) == 3


def test_a_run_dies_with_its_study(load, tmp_path):
    study, folder = load({"ResNet18": {}}, base={"train": {"epochs": 100000}}), tmp_path / "s"
    fork = multiprocessing.get_context("fork")
    arguments = (study, Folder(folder), LocalProcesses(1, 1))
    process = fork.Process(target=run_study, args=arguments)
    process.start()
    log = folder / "runs" / "isic-ResNet18-seed0" / "log.csv"
    wait_until(log.exists, process.is_alive)
    end(process)
    time.sleep(1)
    before = log.read_bytes()
    time.sleep(0.3)
    assert log.read_bytes() == before


def test_failures_are_reported_and_do_not_stop_the_rest(load, tmp_path):
    rows = {
        "Broken": {"train.lr": 3},
        "Broken-MFD": {"train.lr": 3, "method.name": "mfd"},
        "Killed": {"train.lr": 2},
        "Full": {"train.lr": 1},
        "ResNet18": {},
    }
    study, folder = load(rows), Folder(tmp_path / "s")
    failed = run_study(study, folder, LocalProcesses(2, 1))
    assert failed == {
        "isic-Broken-seed0": "the loss of epoch 1 is nan; lower train.lr (now 3)",
        "isic-Broken-MFD-seed0": "not run, it needs isic-Broken-seed0",
        "isic-Killed-seed0": "its process was killed (SIGKILL)",
        "isic-Full-seed0": f"{tmp_path}/s/runs/isic-Full-seed0: No space left on device",
    }
    states = {run.row: folder.state(run, study) for run in study.runs}
    assert states["ResNet18"].phase == "done"
    assert "loss of epoch 1" in states["Broken"].note
    write_results(study, folder)
    lines = (tmp_path / "s" / "results.csv").read_text().splitlines()
    assert [line.split(",")[5] for line in lines] == ["state", *["to do"] * 4, "done"]
    table = (tmp_path / "s" / "tables" / "isic" / "table1.md").read_text()
    assert "Not run: Broken, Broken-MFD, Killed, Full." in table
    assert "The printed numbers are of 8 classes, ours of 4: not the same task." in table


def test_a_disk_too_full_for_the_status_stops_nothing(load, tmp_path, monkeypatch):
    study, folder = load({"ResNet18": {}, "HSIC": {"method.name": "hsic"}}), Folder(tmp_path / "s")

    def full(self, name, **values):
        raise OSError(28, "No space left on device", f"status/{name}.json")

    monkeypatch.setattr(Folder, "set_status", full)
    failed = run_study(study, folder, LocalProcesses(1, 1))
    assert failed == {
        f"isic-{row}-seed0": f"status/isic-{row}-seed0.json: No space left on device"
        for row in ("ResNet18", "HSIC")
    }


def test_a_log_that_cannot_be_opened_is_one_failed_run(load, tmp_path):
    study, folder = load({"ResNet18": {}, "HSIC": {"method.name": "hsic"}}), Folder(tmp_path / "s")
    (folder.path / "logs" / "isic-ResNet18-seed0.log").mkdir(parents=True)
    folder.path.joinpath("study.json").write_text('{"format": 1}')
    failed = run_study(study, folder, LocalProcesses(1, 1))
    assert failed == {
        "isic-ResNet18-seed0": f"{folder.path}/logs/isic-ResNet18-seed0.log: Is a directory"
    }


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        ({"unknown": "grey"}, r"^datasets\.x\.prepare\.unknown is 'grey'; choose drop"),
        (
            {"dataset": "isic2019", "source": "here", "options": {"age_cut": 0}},
            r"^datasets\.x\.prepare\.options\.age_cut is 0; it must be between 1 and 89",
        ),
    ],
)
def test_errors_of_a_preparation_name_its_settings(load, tmp_path, prepare, message):
    places = {"x": {"data.path": str(tmp_path / "new"), "prepare": prepare}}
    study = load({"ResNet18": {}}, datasets=places)
    with pytest.raises(UserError, match=message):
        run_study(study, Folder(tmp_path / "s"), LocalProcesses(1, 1))


def test_errors_of_a_run_name_its_settings(load, tmp_path, monkeypatch, capsys):
    study, folder = load({"ResNet18": {}}), Folder(tmp_path / "s")
    job = folder.job(study.runs[0], study)
    monkeypatch.setattr(child, "_exit_with_parent", lambda: None)
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(asdict(job)) + "\n"))

    def work(job):
        choose_device("abacus")

    assert jobs.main(work) == 2
    assert capsys.readouterr().err.startswith("train.device is 'abacus': ")


def test_data_that_are_not_there_are_named_before_anything_is_made(load, tmp_path):
    places = {"here": {"data.path": str(tmp_path / "data")}, "gone": {"data.path": "nowhere"}}
    study, folder = load({"ResNet18": {}}, datasets=places), Folder(tmp_path / "s")
    rows = overview(study, folder, 1).table.rows
    assert [row[2] for row in rows] == ["to do", "to do: there are no data at nowhere"]
    with pytest.raises(
        UserError, match="dataset 'gone' of the study: there are no data at nowhere"
    ):
        run_study(study, folder, LocalProcesses(1, 1))
    assert not (folder.path / "runs").exists()


def test_a_finished_study_does_not_need_its_data(load, tmp_path):
    study, folder = load({"ResNet18": {}}), Folder(tmp_path / "s")
    run_study(study, folder, LocalProcesses(1, 1))
    (tmp_path / "data").rmdir()
    assert run_study(study, folder, LocalProcesses(1, 1)) == {}


def test_metrics_under_other_settings_are_refused(load, tmp_path):
    study, folder = load({"ResNet18": {}}), Folder(tmp_path / "s")
    run_study(study, folder, LocalProcesses(1, 1))
    write_results(study, folder)
    before = {p.name: p.read_bytes() for p in (folder.path / "tables" / "isic").iterdir()}
    assess(folder.run("isic-ResNet18-seed0").path, empty="zero")
    with pytest.raises(
        UserError, match="was not evaluated under the run's stored policy; evaluate the run"
    ):
        write_results(study, folder)
    after = {p.name: p.read_bytes() for p in (folder.path / "tables" / "isic").iterdir()}
    assert after == before
    other = load({"ResNet18": {}}, policy={"grid": [0.7]})
    with pytest.raises(UserError, match="1 are trained but not evaluated in this way"):
        write_results(other, folder)


def test_every_finished_row_stands_in_a_table(load, tmp_path):
    rows = {"ResNet18": {}, "ME-pool": {"model.exits": "all"}, "ME-HSIC": {"method.name": "hsic"}}
    study, folder = load(rows), Folder(tmp_path / "s")
    run_study(study, folder, LocalProcesses(1, 1))
    write_results(study, folder)
    text = (folder.path / "tables" / "isic" / "others.md").read_text()
    assert "| ME-pool |" in text
    assert "| ME-HSIC |" in text
    assert "paper" not in text.split("|")[0]
    assert "| ResNet18 |" in (folder.path / "tables" / "isic" / "table1.md").read_text()


def test_a_finished_run_of_equal_settings_counts_whoever_made_it(load, tmp_path):
    study, folder = load({"ResNet18": {}}), Folder(tmp_path / "s")
    run = study.runs[0]
    write_run(folder.run(run.name).path, run.config.to_dict())
    assert folder.state(run, study).phase == "trained"
    failed = run_study(study, folder, LocalProcesses(1, 1))
    assert failed == {}
    assert folder.state(run, study).phase == "done"
    assert not (folder.run(run.name).path / "trained.txt").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"train.epochs": 2},
            "holds a run with train.epochs = 2, but this one has 3; choose another folder",
        ),
        ({"format": 0}, f"has format 0, but this version reads {FORMAT}; train it again"),
    ],
)
def test_a_run_of_other_settings_or_version_is_refused_and_kept(load, tmp_path, change, message):
    study, folder = load({"ResNet18": {}}), Folder(tmp_path / "s")
    run = study.runs[0]
    path = folder.run(run.name).path
    write_run(path, run.config.to_dict())
    info = json.loads((path / "config.json").read_text())
    if "format" in change:
        info |= change
    else:
        info["run"]["train"]["epochs"] = 2
    (path / "config.json").write_text(json.dumps(info))
    assert message in run_study(study, folder, LocalProcesses(1, 1))[run.name]
    assert json.loads((path / "config.json").read_text()) == info


def test_data_that_have_changed_are_noticed(load, tmp_path):
    data = tmp_path / "data"
    info = {"attributes": {"sex": ["female", "male"]}, "checksums": {"images.npy": "0"}}
    (data / "dataset.json").write_text(json.dumps(info))
    study = load({"ResNet18": {}}, datasets={"isic": {"data.path": str(data)}})
    folder, run = Folder(tmp_path / "s"), study.runs[0]
    elsewhere = run.config.to_dict() | {
        "data": {"path": "elsewhere", "group": "sex", "augment": "paper"}
    }
    write_run(folder.run(run.name).path, elsewhere)
    assert folder.state(run, study).phase == "trained"
    (data / "dataset.json").write_text(json.dumps(info | {"checksums": {"images.npy": "1"}}))
    assert (
        "have changed since its training started; choose another folder"
        in folder.state(run, study).note
    )


def test_another_folder_or_version_is_refused(load, tmp_path):
    study = load()
    for place, name, content, message in (
        ("letters", "letter.txt", "hello", "exists but is not a study"),
        ("old", "study.json", '{"format": 0}', "has format 0, but this version writes 1"),
        (
            "damaged",
            "study.json",
            "[",
            r"study\.json is damaged; choose another 'out', and move the runs",
        ),
    ):
        out = tmp_path / place
        out.mkdir()
        (out / name).write_text(content)
        with pytest.raises(UserError, match=message):
            run_study(study, Folder(out), LocalProcesses(1, 1))
    with pytest.raises(UserError, match="no run of the study is done"):
        write_results(study, Folder(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("status/isic-ResNet18-seed0.json", "", "is damaged; remove it and run the study again"),
        ("status/isic-ResNet18-seed0.json", "[]", "is damaged; remove it and run the study again"),
        ("runs/isic-ResNet18-seed0/metrics.json", "{", "is damaged; evaluate the run again"),
        (
            "runs/isic-ResNet18-seed0/metrics.json",
            "{}",
            "has no results for attribute 'sex'; evaluate the run",
        ),
        ("runs/isic-ResNet18-seed0/pruning.json", "{}", "is damaged; prune again"),
    ],
)
def test_a_damaged_file_is_named(load, tmp_path, file, content, message):
    study, folder = load({"ResNet18": {}}), Folder(tmp_path / "s")
    assert run_study(study, folder, LocalProcesses(1, 1)) == {}
    (folder.path / file).write_text(content)
    with pytest.raises(UserError, match=message):
        write_results(study, folder)


def test_a_damaged_log_is_named(load, tmp_path):
    study, folder = load({"ResNet18": {}}), Folder(tmp_path / "s")
    path = folder.run(study.runs[0].name).path
    path.mkdir(parents=True)
    (path / "log.csv").write_text("")
    with pytest.raises(UserError, match=r"log\.csv is damaged; remove .*ResNet18-seed0"):
        folder.state(study.runs[0], study)


def test_the_plan_says_what_is_done_and_what_the_rest_costs(load, tmp_path):
    study, folder = load(seeds=[0, 1]), Folder(tmp_path / "s")
    view = overview(study, folder, 1)
    assert view.total == (
        "0 of 10 runs done, 10 waiting; time unknown for 6 runs to train, as none like that has "
        "begun; time unknown for 4 runs to prune or refit until one of the row is done"
    )
    assert view.can_calibrate
    [row] = view.table.rows
    assert (row[0], row[2:]) == ("10 runs of all rows (seeds 0, 1)", ["to do", "unknown"])
    write_run(folder.run(study.runs[0].name).path, study.runs[0].config.to_dict())
    view = overview(study, folder, 2)
    rows = {row[0]: row[1:] for row in view.table.rows}
    assert rows["isic-ResNet18-seed0"] == ["", "trained", ""]
    # 3 epochs of 2 s and a tenth for validation: measured on the same row, and on the same exits.
    assert rows["isic-ResNet18-seed1"] == ["", "to do", "7 s"]
    assert rows["2 runs of MFD (seeds 0, 1)"] == ["ResNet18", "to do", "13 s"]
    unknown = "6 runs of ME-ResNet18, ME-FairPrune, MFD-FairPrune (seeds 0, 1)"
    assert rows[unknown] == ["ME-ResNet18, ResNet18, MFD", "to do", "unknown"]
    assert "0 of 10 runs done, 10 waiting; 10 s left with 2 at a time; time unknown" in view.total
    assert time_left([4000.0, 8000.0], 2) == "about 1 h 40 min"


def test_many_runs_of_an_unknown_time_are_one_line(load, tmp_path):
    (tmp_path / "more").mkdir()
    places = {n: {"data.path": str(tmp_path / n)} for n in ("data", "more")}
    rows = {f"row{i}": {"train.lr": (i + 1) / 100} for i in range(7)}
    study = load(rows, datasets=places, seeds=[0, 1, 2], folds=[0, 1])
    view = overview(study, Folder(tmp_path / "s"), 4)
    assert [row[0] for row in view.table.rows] == [
        "84 runs of all rows on data, more (seeds 0, 1, 2; folds 0, 1)"
    ]
    assert view.total.count("unknown") == 1


def test_a_changed_setting_is_refused_once_with_its_rows(load, tmp_path, capsys):
    rows = {"ResNet18": {}, "HSIC": {"method.name": "hsic"}, "ME-ResNet18": {"model.exits": "all"}}
    study, folder = load(rows, seeds=[0, 1]), Folder(tmp_path / "s")
    for run in study.runs:
        write_run(folder.run(run.name).path, run.config.to_dict())
    rows["HSIC"] |= {"train.lr": 0.5}
    rows["ME-ResNet18"] |= {"train.lr": 0.5}
    changed = load(rows, seeds=[0, 1])
    view = overview(changed, folder, 1)
    assert "0 of 6 runs done, 2 waiting; 4 refused; 0 s left" in view.total
    [refused] = [row for row in view.table.rows if row[2].startswith("refused")]
    who = "4 runs of HSIC, ME-ResNet18 (seeds 0, 1)"
    why = "its folder holds a run with train.lr = 0.01, but this one has 0.5; choose another folder"
    assert (refused[0], refused[2]) == (who, f"refused: {why}")
    failed = run_study(changed, folder, LocalProcesses(1, 1))
    assert by_reason(changed, failed) == [f"{who}: {why}"]
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "refused" in line] == [f"refused: {who}"]
    assert not any("train.lr" in line for line in lines)


def test_failures_of_different_reasons_stay_apart(load):
    study = load({"A": {}, "B": {"method.name": "hsic"}, "C": {"method.name": "snnl"}})
    failed = dict(zip([run.name for run in study.runs], ["x", "y", "x"], strict=True))
    assert by_reason(study, failed) == ["2 runs of A, C (seed 0): x", "isic-B-seed0: y"]
    assert by_reason(study, {}) == []


def test_a_cost_is_known_from_the_same_images_under_another_split(load, tmp_path):
    pixels = {"paper": "same", "lesion": "same", "large": "other"}
    for name, checksum in pixels.items():
        info = {"attributes": {"sex": []}, "checksums": {"images.npy": checksum}}
        (tmp_path / name).mkdir()
        (tmp_path / name / "dataset.json").write_text(json.dumps(info))
    places = {name: {"data.path": str(tmp_path / name)} for name in pixels}
    study, folder = load({"ResNet18": {}}, datasets=places), Folder(tmp_path / "s")
    path = folder.run("paper-ResNet18-seed0").path
    path.mkdir(parents=True)
    (path / "log.csv").write_text("epoch,seconds\n1,10\n")
    costs = folder.costs(study.runs, [folder.state(run, study) for run in study.runs])
    assert costs == pytest.approx([2 * 11, 3 * 11, None])


def test_folds_are_pooled_over_all_images(load, tmp_path):
    rows = {"ResNet18": {}, "ME-ResNet18": {"model.exits": "all"}}
    study, folder = load(rows, folds=[0, 1]), Folder(tmp_path / "s")
    for run in study.runs:
        path = folder.run(run.name).path
        write_run(path, run.config.to_dict())
        jobs.evaluate_run(folder.job(run, study))
        folder.set_status(run.name, choice=folder.job(run, study).choice)
        if run.fold == 1:  # the pretended folds test the same images; the second gets others
            rename(folder.run(run.name).predictions("test"))
    states = folder.states(study)
    plain, both = pool(study, folder, states, "isic")
    assert (plain.row, both.row, len(plain.ids)) == ("ResNet18", "ME-ResNet18", 300)
    parts = [p.probabilities.argmax(-1)[:, 0] for p in plain.predictions]
    by_id = dict(zip(plain.ids, plain.answers("policy"), strict=True))
    for part, answers in zip(plain.predictions, parts, strict=True):
        assert [by_id[i] for i in part.ids] == answers.tolist()
    shutil.rmtree(folder.run("isic-ResNet18-seed0-fold1").path)
    states = folder.states(study)
    assert [cell.row for cell in pool(study, folder, states, "isic")] == ["ME-ResNet18"]


def rename(file):
    from dataclasses import replace

    import numpy as np

    from fairexit.predictions.files import read_predictions, write_predictions

    predictions = read_predictions(file)
    ids = np.char.add("other", predictions.ids)
    write_predictions(replace(predictions, ids=ids, clusters=ids), file)


def test_tables_of_two_datasets_are_those_of_each_by_itself(load, tmp_path):
    (tmp_path / "more").mkdir()
    places = {
        "a": {"data.path": str(tmp_path / "data")},
        "b": {"data.path": str(tmp_path / "more")},
    }
    rows = {"ResNet18": {}, "ME-ResNet18": {"model.exits": "all"}}
    folder = Folder(tmp_path / "s")
    both = load(rows, datasets=places)
    assert run_study(both, folder, LocalProcesses(2, 1)) == {}
    titles = [table.title for table, _ in write_results(both, folder)]

    def written(dataset):
        files = (folder.path / "tables" / dataset).iterdir()
        return {file.name: file.read_bytes() for file in files if file.suffix in (".csv", ".md")}

    together, titles_apart = {name: written(name) for name in places}, []
    for name, place in places.items():
        single = load(rows, datasets={name: place})
        titles_apart += [table.title for table, _ in write_results(single, folder)]
        assert written(name) == together[name]
    assert titles == titles_apart
    assert together["a"] != together["b"]
