"""The commands as a user types them; the error messages as a user reads them."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from conftest import settings
from fairexit.files import folder_lock
from fairexit.predictions.files import read_predictions


@pytest.fixture
def copy(tiny_run, tmp_path):
    """A copy of the finished run that a test may change."""
    import shutil

    shutil.copytree(tiny_run.path, tmp_path / "run")
    return tmp_path / "run"


def test_all_steps_from_data_to_report(command, tmp_path):
    out = tmp_path / "data"
    status, printed, _ = command(
        "prepare", "synthetic", "--out", out, "--size", 28, "--workers", 1,
        "--set", "images=120", "--set", "dark_share=0.4",
    )  # fmt: skip
    assert status == 0
    assert "Images by class and skin_tone" in printed
    assert "train-test" in printed
    assert f"prepared: {out} (120 images of 28 px)" in printed

    (tmp_path / "c.yaml").write_text(settings(out).to_yaml())
    run = tmp_path / "run"
    train = ("train", tmp_path / "c.yaml", "--out", run, "--set", "train.epochs=1")
    status, printed, progress = command(*train)
    assert status == 0
    assert "epoch 1/1" in progress
    assert f"fairexit predict {run}" in printed

    status, printed, _ = command("predict", run)
    assert status == 0
    for split in ("val", "test"):
        predictions = read_predictions(run / "predictions" / f"{split}.parquet")
        assert predictions.exit_names == ("1", "3", "f")
        assert predictions.group_names == {"skin_tone": ("dark", "light")}

    status, printed, _ = command("evaluate", run)
    assert status == 0
    for word in ("Precision", "Eopp1", "Avg", "Diff", "Share of dark", "f1 on val"):
        assert word in printed
    policy = json.loads((run / "policy.json").read_text())
    assert policy["split"] == "val"
    assert f"Theta was chosen by rule f1 on val: {policy['reason']}." in printed
    assert "the same rule chooses" in printed
    assert "A theta drawn at random from the grid" in printed
    assert "the mean cost is" in printed

    assert command("report", run, "--out", tmp_path / "r.html", "--data", out)[0] == 0
    page = (tmp_path / "r.html").read_text()
    assert 'type="range"' in page
    assert f"Theta was chosen by rule f1 on val: {policy['reason']}." in page


def test_json_has_the_promised_keys(command, copy):
    status, printed, _ = command("evaluate", copy, "--json")
    evaluation = json.loads(printed)
    assert status == 0
    assert set(evaluation["groups"]) == set(evaluation["exit_share"]) == {"dark", "light"}
    assert set(evaluation["groups"]["dark"]) == {"n", "precision", "recall", "f1"}
    wanted = {"policy", "groups", "eopp1", "exits", "empty_cells"}
    assert wanted <= set(evaluation)
    stored = json.loads((copy / "metrics.json").read_text())
    assert stored == {"skin_tone": evaluation}
    policy = json.loads((copy / "policy.json").read_text())
    assert evaluation["policy"] == policy
    assert policy["rule"] == "f1"
    thetas = [candidate["theta"] for candidate in policy["candidates"]]
    assert thetas == [0.999, 0.99, 0.95, 0.9, 0.85, 0.8, None]
    assert policy["theta"] in thetas
    assert sum(candidate["chosen"] for candidate in policy["candidates"]) == pytest.approx(1)
    assert policy["candidates"][-1]["cost"] == 1


def policy_of(run):
    return json.loads((run / "policy.json").read_text())


def test_a_theta_set_by_hand_becomes_the_policy(command, copy):
    status, _, err = command("evaluate", copy, "--threshold", "policy")
    assert status == 2
    assert "no stored policy" in err
    status, printed, _ = command("evaluate", copy, "--threshold", "0.4")
    assert status == 0
    assert "Theta was set by hand, not chosen on validation." in printed
    assert f"It is now the policy of {copy}, which predict and load_model use" in printed
    assert policy_of(copy)["theta"] == 0.4
    assert policy_of(copy)["rule"] == "by hand"
    metrics = json.loads((copy / "metrics.json").read_text())["skin_tone"]
    assert metrics["policy"] == policy_of(copy)
    assert command("predict", copy, "--policy-only", "--split", "test")[0] == 0
    answers = pd.read_csv(copy / "predictions" / "test_answers.csv", dtype={"exit": str})
    early = answers[answers["exit"] != "f"]
    assert len(early)
    assert (early["confidence"] >= 0.4 - 1e-4).all()
    page = copy.parent / "r.html"
    assert command("report", copy, "--out", page)[0] == 0
    assert "Theta was set by hand, not chosen on validation." in page.read_text()
    command("evaluate", copy, "--grid", "0.3,0.4,0.5", "--rule", "f1")
    assert policy_of(copy)["theta"] in (0.3, 0.4, 0.5, None)
    assert policy_of(copy)["rule"] == "f1"
    assert command("evaluate", copy, "--threshold", "policy")[0] == 0


def test_a_promise_is_stored_and_shown(command, copy):
    words = ("evaluate", copy, "--rule", "risk", "--epsilon", "0.9", "--loss", "disagreement")
    status, printed, _ = command(*words)
    assert status == 0
    assert "Promised with probability 95.0" in printed
    certificate = policy_of(copy)["certificate"]
    assert certificate["loss"] == "disagreement"
    assert [p["name"] for p in certificate["promises"]] == ["dark", "light"]
    page = copy.parent / "r.html"
    assert command("report", copy, "--out", page)[0] == 0
    assert "Promised with probability 95.0" in page.read_text()
    status, printed, _ = command("evaluate", copy, "--rule", "risk", "--epsilon", "0.001")
    assert status == 0
    assert "no threshold is promised" in printed
    assert policy_of(copy)["theta"] is None


def test_sets_are_stored_and_audited(command, copy):
    status, printed, _ = command("evaluate", copy, "--coverage", "0.7")
    assert status == 0
    assert "Prediction sets, and what is referred" in printed
    assert "it holds the true one with probability 70.0" in printed
    sets = policy_of(copy)["sets"]
    assert (sets["coverage"], sets["attribute"]) == (0.7, "skin_tone")
    assert command("predict", copy, "--policy-only", "--split", "test")[0] == 0
    answers = pd.read_csv(copy / "predictions" / "test_answers.csv")
    classes = [column[2:] for column in answers if column.startswith("p/")]
    least = 1 - max(group["cut"] for group in sets["groups"])
    for _, row in answers.iterrows():
        expected = [name for name in classes if row[f"p/{name}"] >= least - 1e-6]
        assert json.loads(row["set"]) == expected
        assert row["refer"] == (len(expected) != 1)
    page = copy.parent / "a.html"
    assert command("audit", copy, "--out", page)[0] == 0
    assert "Errors of those kept" in page.read_text()
    assert command("evaluate", copy, "--threshold", "policy", "--coverage", "0.8")[0] == 0
    assert policy_of(copy)["sets"]["coverage"] == 0.8
    assert command("evaluate", copy)[0] == 0
    assert policy_of(copy)["sets"] is None, "its threshold was chosen anew"


def test_what_is_not_stored(command, copy):
    status, printed, _ = command("evaluate", copy, "--threshold", "0.4", "--no-store")
    assert status == 0
    assert "set by hand" in printed
    assert "now the policy" not in printed
    assert not (copy / "policy.json").exists()
    assert not (copy / "metrics.json").exists()
    assert command("evaluate", copy, "--threshold", "0.4,0.5,0.6")[0] == 2
    assert not (copy / "policy.json").exists()


def test_a_threshold_for_each_exit(command, copy):
    status, printed, _ = command("evaluate", copy, "--threshold", "none,0.4")
    assert status == 0
    assert "threshold none, 0.4, by hand" in printed
    assert policy_of(copy)["theta"] == [None, 0.4]
    assert command("predict", copy, "--policy-only", "--split", "test")[0] == 0
    answers = pd.read_csv(copy / "predictions" / "test_answers.csv", dtype={"exit": str})
    assert set(answers["exit"]) == {"3", "f"}
    status, printed, _ = command("evaluate", copy, "--per-exit", "--grid", "0.3,0.35,0.4")
    assert status == 0
    assert "Each exit has a theta of its own: a greedy search" in printed
    assert any(isinstance(c["theta"], list) for c in policy_of(copy)["candidates"])
    for measure in ("entropy", "margin"):
        words = ("--grid", "0.1,0.2", "--confidence-measure", measure, "--rule", "eodd")
        assert command("evaluate", copy, *words)[0] == 0
        assert policy_of(copy)["confidence_measure"] == measure
        assert command("predict", copy, "--policy-only", "--split", "test")[0] == 0
        answers = pd.read_csv(copy / "predictions" / "test_answers.csv", dtype={"exit": str})
        every = read_predictions(copy / "predictions" / "test.parquet")
        exits = [every.exit_names.index(e) for e in answers["exit"]]
        confidence = every.confidence(measure)[np.arange(len(every)), exits]
        assert answers["confidence"].to_numpy() == pytest.approx(confidence, abs=1e-4)


def test_the_policys_answers_are_those_of_all_exits(command, copy):
    for theta in ("0.25", "0.4"):
        policy = {"theta": float(theta), "fallback": "final"}
        (copy / "policy.json").write_text(json.dumps(policy))
        assert command("predict", copy, "--policy-only", "--split", "test")[0] == 0
        answers = pd.read_csv(copy / "predictions" / "test_answers.csv", dtype={"exit": str})
        every = read_predictions(copy / "predictions" / "test.parquet")
        confident = every.probabilities.max(-1) >= float(theta)
        confident[:, -1] = True
        exits = confident.argmax(1)
        assert (answers["id"] == every.ids).all()
        assert (answers["exit"] == np.array(every.exit_names)[exits]).all()
        chosen = every.probabilities[np.arange(len(every)), exits]
        assert (answers["prediction"] == np.array(every.classes)[chosen.argmax(1)]).all()
        assert answers["confidence"].to_numpy() == pytest.approx(chosen.max(1), abs=1e-4)
        assert answers.groupby("exit")["cost"].nunique().max() == 1
        assert answers["cost"].max() <= 1
    assert answers["exit"].nunique() > 1


def test_a_report_writes_nothing_but_the_page_and_keeps_the_policy(command, copy, tmp_path):
    command("evaluate", copy, "--grid", "0.3,0.5", "--rule", "f1", "--fallback", "most_confident")
    before = {f: (copy / f).read_text() for f in ("policy.json", "metrics.json")}
    assert command("report", copy, "--out", tmp_path / "r.html")[0] == 0
    assert before == {f: (copy / f).read_text() for f in before}
    status, _, err = command("report", copy, "--out", tmp_path / "s.html", "--group", "sex")
    assert status == 2
    assert "there is no column of an attribute 'sex'" in err
    assert not (tmp_path / "s.html").exists()


def test_other_data_and_last_weights_are_kept_apart(command, copy, tiny, tmp_path):
    before = (copy / "predictions" / "test.parquet").read_bytes()
    for words in (("--last",), ("--data", tiny.path)):
        status, _, err = command("predict", copy, *words)
        assert status == 2
        assert "need --out" in err
        out = tmp_path / words[0]
        assert command("predict", copy, *words, "--out", out)[0] == 0
        assert (out / "test.parquet").exists()
    assert (copy / "predictions" / "test.parquet").read_bytes() == before


def test_predictions_do_not_depend_on_the_batch_size(command, copy):
    before = read_predictions(copy / "predictions" / "test.parquet").probabilities
    assert command("predict", copy, "--split", "test", "--batch-size", 1)[0] == 0
    after = read_predictions(copy / "predictions" / "test.parquet").probabilities
    np.testing.assert_allclose(before, after, atol=1e-5)


def outside(path, n=40):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "label": rng.choice(["mel", "nev"], n),
            "sex": rng.choice(["f", "m"], n),
            "prediction": rng.choice(["mel", "nev"], n),
        }
    )
    frame.to_csv(path, index=False)


def test_a_table_of_another_model(command, tmp_path):
    outside(tmp_path / "p.csv")
    status, printed, _ = command("evaluate", tmp_path / "p.csv", "--group", "sex")
    assert status == 0
    assert "single exit" in printed
    assert list(tmp_path.iterdir()) == [tmp_path / "p.csv"]
    status, _, err = command("evaluate", tmp_path / "p.csv", "--group", "sex", "--split", "val")
    assert (status, err.count("\n")) == (2, 1)
    assert "has no column 'split', so there is no split 'val'; leave out --split" in err


def test_words_for_unknown_are_not_groups(command, tmp_path):
    outside(tmp_path / "p.csv")
    frame = pd.read_csv(tmp_path / "p.csv")
    for i, word in enumerate(["NA", "n/a", "None", " unknown ", ""]):
        frame.loc[i, "sex"] = word
    frame.to_csv(tmp_path / "p.csv", index=False)
    status, printed, _ = command("evaluate", tmp_path / "p.csv", "--group", "sex", "--json")
    evaluation = json.loads(printed)
    assert status == 0
    assert set(evaluation["groups"]) == {"f", "m"}
    assert sum(group["n"] for group in evaluation["groups"].values()) == len(frame) - 5


def test_theta_is_never_chosen_on_test(command, copy):
    file = copy / "predictions" / "test.parquet"
    status, _, err = command("evaluate", file)
    assert status == 2
    assert "the threshold is chosen on validation, but this file has no rows of split 'val'" in err
    assert command("evaluate", file, "--threshold", "0.9")[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("evaluate", "RUN", "--threshold", "1.5"), "threshold 1.5 is out of range"),
        (("evaluate", "RUN", "--threshold", "0.5,0.6,0.7"), "3 thresholds but 2 internal exits"),
        (("evaluate", "RUN", "--threshold", "none"), "--threshold is 'none'; give a number"),
        (
            ("evaluate", "RUN", "--threshold", "0.9", "--per-exit"),
            "--per-exit searches thresholds on validation, so that --threshold must be auto",
        ),
        (
            ("evaluate", "RUN", "--confidence-measure", "top2"),
            "'top2' is not one of 'max_probability', 'margin', 'entropy'",
        ),
        (("evaluate", "RUN", "--threshold", "high"), "--threshold is 'high'; give a number"),
        (("evaluate", "RUN", "--grid", "0.5,x"), "--grid is '0.5,x'; give a number"),
        (("evaluate", "RUN", "--rule", "eod"), "did you mean 'eodd'"),
        (("evaluate", "RUN", "--coverage", "90"), "--coverage is 90.0; it must be between 0 and 1"),
        (("evaluate", "RUN", "--epsilon", "0.1"), "--epsilon needs --rule risk"),
        (
            ("evaluate", "RUN", "--rule", "risk", "--epsilon", "2"),
            "--epsilon is 2.0; it must be between 0 and 1",
        ),
        (("evaluate", "RUN", "--rule", "risk", "--per-exit"), "leave out --per-exit"),
        (("evaluate", "RUN", "--group", "sex"), "there is no column of an attribute 'sex'"),
        (("evaluate", "RUN", "--split", "train"), "no predictions for split 'train'"),
        (
            ("evaluate", "RUN", "--tolerance", "-1"),
            "it is a loss of F1 and must be between 0 and 1",
        ),
        (
            ("evaluate", "RUN", "--tolerance", "inf"),
            "it is a loss of F1 and must be between 0 and 1",
        ),
        (("prune", "RUN", "--out", "/"), "--out is /; name a folder below it"),
        (("report", "RUN", "--out", "."), ".: it is a folder"),
        (("report", "RUN", "--out", "x.json"), "--out x.json is an HTML page; call it x.html"),
        (("evaluate", "nowhere.csv"), "there is no file or folder nowhere.csv"),
        (("predict", "RUN", "--device", "abacus"), "--device is 'abacus'"),
        (("predict", "RUN", "--device", "meta"), "--device is 'meta'; give auto, cpu, cuda"),
        (("predict", "RUN", "--split", "tset"), "'tset' is not one of 'train', 'val', 'test'"),
        (
            ("predict", "RUN", "--out", "x", "--split", "val", "--split", "tset"),
            "'tset' is not one of",
        ),
        (("predict", "RUN", "--policy-only"), "has no stored policy"),
        (("predict", "nowhere"), "there is no folder nowhere"),
        (("train", "nowhere.yaml", "--out", "x"), "no file nowhere.yaml"),
        (("prepare", "synthetc", "--out", "x"), "did you mean 'synthetic'"),
        (("prepare", "synthetic", "--out", "x", "--label", "y"), "has no option 'label'"),
        (("prepare", "isic2019", "nowhere", "--out", "x"), "there is no file or folder nowhere"),
        (("prepare", "synthetic", "--out", "x", "--fit", "bad"), "Invalid value for '--fit'"),
        (("prepare", "synthetic", "--out", "x", "--set", "name=y"), "has no option 'name'"),
        (("prepare", "synthetic"), "Missing option '--out'"),
        (("evaluate", "RUN", "--bogus"), "No such option"),
        (("evalate", "RUN"), "No such command 'evalate'"),
        (("list", "moons"), "there is no list 'moons'; available: backbones"),
    ],
)
def test_bad_input_is_one_line_and_status_2(command, copy, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    status, _, err = command(*(copy if word == "RUN" else word for word in words))
    assert status == 2
    assert message in err
    assert err.startswith("fairexit: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_help_needs_no_torch():
    code = (
        "import sys; sys.argv = ['fairexit', '--help']\n"
        "from fairexit import cli\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'pandas', 'lightning'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=120)


def test_version(command):
    status, printed, _ = command("--version")
    assert status == 0
    assert printed.startswith("fairexit 0.")


def test_the_demo_resumes(command, tmp_path):
    words = ("demo", "--out", tmp_path / "d", "--images", 700, "--epochs", 1)
    status, first, _ = command(*words)
    assert status == 0
    assert "multi-exit" in first
    page = (tmp_path / "d" / "index.html").read_text()
    assert "fairexit demo" in page
    assert "Images by class and camera" in page
    assert "Repairs the planted cause?" in first
    assert (tmp_path / "d" / "audit-domain-independent.html").is_file()
    assert command(*words)[1] == first
    status, _, err = command("demo", "--out", tmp_path / "d", "--images", 800)
    assert status == 2
    assert "holds a demo with other settings" in err


@pytest.mark.parametrize("name", ["prepare", "train", "prune", "study"])
def test_a_folder_that_another_process_is_writing(command, copy, tiny, tmp_path, name):
    config = tmp_path / "config.yaml"
    config.write_text(settings(tiny.path).to_yaml())
    plan = tmp_path / "study.yaml"
    plan.write_text(
        f"base: {{seed: 0}}\ndatasets: {{d: {{data.path: {tiny.path}}}}}\nrows: {{ERM: {{}}}}\n"
    )
    words = {"prepare": ["synthetic"], "train": [config], "prune": [copy], "study": [plan]}
    out = tmp_path / "out"
    hold = (
        "from fairexit.files import folder_lock\n"
        f"with folder_lock(Path('{out}')): print(1); input()"
    )
    other = subprocess.Popen(
        [sys.executable, "-uc", f"from pathlib import Path\n{hold}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdout.readline() == b"1\n"
    status, _, errors = command(name, *words[name], "--out", out)
    assert (status, errors.count("\n")) == (2, 1)
    assert errors == (
        f"fairexit: another fairexit process is writing to {out}; wait until it ends, or choose "
        "another --out\n"
    )
    assert not out.exists()
    # With its process the lock is gone.
    other.kill()
    other.wait(60)
    with folder_lock(out):
        pass
    assert [file.name for file in tmp_path.glob(".*")] == []


def test_an_interrupt_after_the_end_is_no_error():
    code = (
        "import atexit, os, signal, sys\n"
        "def clean_up():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('cleaned up')\n"
        "atexit.register(clean_up)\n"
        "sys.argv = ['fairexit', '--version']\n"
        "from fairexit.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("cleaned up\n")


def test_a_run_in_the_current_folder(command, tiny, tmp_path, monkeypatch):
    (tmp_path / "c.yaml").write_text(settings(tiny.path, train__epochs=1).to_yaml())
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    assert command("train", "../c.yaml", "--out", ".")[0] == 0
    assert (tmp_path / "run" / "model.safetensors").is_file()


def test_a_file_that_cannot_be_written_is_named(command, copy, tmp_path):
    (tmp_path / "file").write_text("")
    status, _, errors = command("report", copy, "--out", tmp_path / "file" / "r.html")
    assert (status, errors) == (2, f"fairexit: {tmp_path}/file: File exists\n")


def test_a_prefix_of_columns_is_for_files(command, copy):
    status, _, errors = command("evaluate", copy, "--prob-prefix", "q_")
    assert (status, errors) == (
        2,
        f"fairexit: --prob-prefix is about a table, but {copy} is a run\n",
    )


def test_a_report_on_a_file_of_several_exits_without_validation(command, tiny_run, tmp_path):
    file, page = tiny_run.predictions("test"), tmp_path / "r.html"
    status, _, errors = command("report", file, "--out", page)
    assert (status, page.exists()) == (2, False)
    assert errors.endswith("no rows of split 'val'; set --threshold to a number\n")
    assert command("report", file, "--out", page, "--threshold", 0.9)[0] == 0
    assert "0.9" in page.read_text()
    status, _, errors = command("report", file, "--out", page, "--threshold", 1.5)
    assert (status, errors.count("\n")) == (2, 1)


def test_a_path_that_is_too_long_for_the_disk_is_shortened(command, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("data: {path: " + 5000 * "x" + "}\n")
    status, _, errors = command("train", config, "--out", tmp_path / "out")
    assert status == 2
    assert errors.endswith("xxx...: File name too long\n")
    assert len(errors) < 400
