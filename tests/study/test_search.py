"""Search on validation: proposals, the choice of the best, and resuming."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fairexit.errors import DivergedError, UserError
from fairexit.search_space import Axis
from fairexit.study import search as module
from fairexit.study import trial_runs
from fairexit.study.search import search
from fairexit.study.trials import Trial, best_trial, parse_axis, trial_table


def test_axes():
    assert parse_axis("method.weight=0.01:100:log") == Axis("method.weight", (0.01, 100), True)
    assert parse_axis("prune.ratio=0.1:0.5") == Axis("prune.ratio", (0.1, 0.5), False)
    assert parse_axis("model.head=conv,pool") == Axis("model.head", ("conv", "pool"), None)
    assert parse_axis("train.batch_size=32,64").values == (32, 64)


@pytest.mark.parametrize(
    "text", ["x", "x=", "=1:2", "x=2:1", "x=0:1:log", "x=1:2:lin", "x=a:b", "x=0:inf"]
)
def test_axes_of_another_form_are_refused(text):
    with pytest.raises(UserError, match="write KEY=LOW:HIGH"):
        parse_axis(text)


# Values that differ by less than 1e-12 are equal to the rule, but not to the twin.
value = st.floats(0, 1).map(lambda x: round(x, 6))
values = st.lists(st.tuples(value, value), min_size=1, max_size=6)


@given(values, st.floats(0, 0.2))
def test_the_best_trial_against_a_slow_twin(pairs, tolerance):
    trials = [Trial(i, {}, {"f1": f1, "eodd": eodd}) for i, (f1, eodd) in enumerate(pairs)]
    best = None
    for trial in trials:
        good = all(trial.values["f1"] >= other.values["f1"] - tolerance - 1e-12 for other in trials)
        if good and (best is None or trial.values["eodd"] < best.values["eodd"]):
            best = trial
    assert best_trial(trials, "eodd", tolerance) == best
    assert best_trial(trials, "f1", tolerance).values["f1"] == max(f1 for f1, _ in pairs)


@pytest.fixture
def tuned(tmp_path, monkeypatch):
    """A search over pretended runs; returns it and the list of weights that were tried."""
    tried = []

    made = {}

    def make(job):
        weight = job.config["method"]["weight"]
        tried.append(weight)
        if len(tried) == fails:
            raise KeyboardInterrupt
        if weight > largest:
            raise DivergedError("the loss of epoch 1 is nan")
        inactive = ("penalty inactive",) * (weight < weakest)
        made[Path(job.out)] = SimpleNamespace(weight=weight, inactive=inactive)

    def measure(run, tolerance):
        share = 0.99 if strongest < run.weight else 0.9
        return SimpleNamespace(
            metrics={"f1": 0.7, "eodd": abs(run.weight - 3)}, main_answer_share=share
        )

    monkeypatch.setattr(trial_runs, "make", make)
    monkeypatch.setattr(trial_runs, "Run", made.__getitem__)
    monkeypatch.setattr(module, "_measure", measure)
    monkeypatch.setattr(module, "_check_criteria", lambda config, rule: None)
    fails, largest, weakest, strongest = 0, 100.0, 0.0, 100.0

    def run(
        stop=0,
        trials=7,
        out="t",
        *,
        diverges=100.0,
        acts=0.0,
        collapses=100.0,
        axes=(),
        searched="method.weight=0.01:100:log",
        batch=1,
        **changes,
    ):
        nonlocal fails, largest, weakest, strongest
        fails, largest, weakest, strongest = stop, diverges, acts, collapses
        tried.clear()
        tree = {"data": {"path": "d"}, "method": {"name": "hsic"}} | changes
        axis = parse_axis(searched)
        made = search(tree, [axis, *axes], tmp_path / out, trials=trials, batch=batch)
        return made, list(tried)

    return run, tmp_path


def test_a_search_writes_what_a_study_reads(tuned):
    run, folder = tuned
    (best, trials), weights = run()
    assert [t.settings["method.weight"] for t in trials] == weights
    assert all(0.01 <= w <= 100 for w in weights)
    assert len(set(weights)) == 7
    assert best.values["eodd"] == min(t.values["eodd"] for t in trials)
    written = yaml.safe_load((folder / "t" / "best.yaml").read_text())
    assert written == {"trials": 7, "settings": best.settings}
    assert len(json.loads((folder / "t" / "trials.json").read_text())) == 7


def test_an_interrupted_search_resumes_with_the_same_proposals(tuned):
    run, _ = tuned
    (whole, _), weights = run()
    with pytest.raises(KeyboardInterrupt):
        run(stop=4, out="killed")
    (again, _), repeated = run(out="killed")
    assert repeated == weights
    assert again == whole


def test_more_trials_continue_from_fewer(tuned):
    run, _ = tuned
    _, few = run(trials=6)
    _, more = run(trials=12)
    assert more[:6] == few


def test_trials_of_a_batch_are_proposed_from_those_before_it(tuned):
    run, folder = tuned
    (_, serial), weights = run(trials=10)
    (whole, _), batched = run(trials=10, batch=3, out="batched")
    assert batched[:4] == weights[:4], "random trials do not depend on others"
    assert batched != weights
    assert len(set(batched)) == 10
    with pytest.raises(KeyboardInterrupt):
        run(stop=6, trials=8, batch=3, out="killed")
    run(trials=8, batch=3, out="killed")
    (again, _), repeated = run(trials=10, batch=3, out="killed")
    assert (again, repeated) == (whole, batched)
    with pytest.raises(UserError, match="holds a search with other settings"):
        run(trials=10, batch=2, out="killed")
    assert "batch" not in json.loads((folder / "t" / "search.json").read_text())
    assert len(serial) == 10


def test_a_trial_that_diverges_is_one_and_never_the_best(tuned, capsys):
    run, _ = tuned
    (best, trials), weights = run(diverges=1.0)
    lost = [t for t in trials if t.settings["method.weight"] > 1]
    assert lost
    assert all(t.mark == "diverged" for t in lost)
    assert best.settings["method.weight"] == max(w for w in weights if w <= 1)
    assert "trial 0: the loss of epoch 1 is nan" in capsys.readouterr().err or weights[0] <= 1
    assert any("diverged" in row for row in trial_table(best, trials).rows)
    with pytest.raises(UserError, match="every trial diverged"):
        run(diverges=0.0, out="o")


def no_constant(name):
    raise ValueError(name)


def test_a_collapsed_or_inactive_trial_is_marked_and_never_the_best(tuned):
    run, folder = tuned
    (best, trials), weights = run(acts=1.0, collapses=2.0)
    assert any(weight > 2 for weight in weights)
    assert any(weight < 1 for weight in weights)
    marks = {t.settings["method.weight"]: t.mark for t in trials}
    for weight, mark in marks.items():
        expected = "one class answers" if weight > 2 else "penalty inactive" if weight < 1 else ""
        assert mark == expected
    usable = [w for w in weights if 1 <= w <= 2]
    assert (best and best.settings["method.weight"]) == (max(usable) if usable else None)
    assert any("one class answers" in row for row in trial_table(best, trials).rows)
    assert (folder / "t" / "best.yaml").is_file() == bool(usable)


def test_where_every_trial_is_marked_there_is_no_best(tuned):
    run, folder = tuned
    (best, _), _ = run(trials=3)
    assert best is not None
    (best, trials), _ = run(trials=4, acts=200.0)
    assert best is None
    assert not (folder / "t" / "best.yaml").exists(), "one of fewer trials is removed"
    assert not any("*" in row[0] for row in trial_table(best, trials).rows)


def test_the_same_settings_use_the_earlier_run(tuned):
    run, _ = tuned
    (best, trials), weights = run(searched="method.weight=0.1,10", trials=6)
    assert sorted(weights) == [0.1, 10]
    assert len(trials) == 6
    repeated = [t for t in trials if t.same_as is not None]
    assert len(repeated) == 4
    for trial in repeated:
        first = trials[trial.same_as]
        assert first.same_as is None
        assert (trial.settings, trial.values) == (first.settings, first.values)
    assert best.same_as is None
    assert any(row[-1].startswith("same as") for row in trial_table(best, trials).rows)


def test_the_files_are_strict_json(tuned):
    run, folder = tuned
    run(diverges=1.0)
    for file in (folder / "t").glob("*.json"):
        json.loads(file.read_text(), parse_constant=no_constant)
    values = [t["values"] for t in json.loads((folder / "t" / "trials.json").read_text())]
    assert {"f1": None, "eodd": None} in values


def test_whole_numbers_stay_whole_and_a_setting_is_named_once(tuned):
    run, _ = tuned
    (_, trials), _ = run(trials=3, axes=[parse_axis("train.batch_size=32:128")])
    assert all(type(t.settings["train.batch_size"]) is int for t in trials)
    for text in ("seed=0:5", "data.fold=0:5", "prune.steps=1:9:log"):
        (_, trials), _ = run(trials=3, out=text[:4], axes=[parse_axis(text)])
        values = [t.settings[text.partition("=")[0]] for t in trials]
        assert all(type(value) is int for value in values)
        assert len(set(values)) > 1
    (_, trials), _ = run(trials=3, searched="method.weight=1:10", out="w")
    assert all(type(t.settings["method.weight"]) is float for t in trials)
    with pytest.raises(UserError, match=r"^'axes' names method\.weight twice"):
        run(out="o", axes=[parse_axis("method.weight=1,2")])
    with pytest.raises(UserError, match=r"^'tolerance' is -0\.1; it is a loss of F1"):
        best_trial([Trial(0, {}, {"f1": 0.5, "eodd": 0.1})], "eodd", -0.1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed=0.5:2", "seed is a whole number; give whole ends"),
        ("model.head=1:2", "model.head is not a number; give A,B,C"),
        ("train.epoch=1:2", "unknown key 'train.epoch'; did you mean 'epochs'"),
        ("sed=1:2", "unknown key 'sed'"),
        ("method.wight=1:2", "method 'hsic' has no option 'wight'; did you mean 'weight'"),
    ],
)
def test_a_range_that_does_not_fit_is_refused_before_the_search(tuned, text, message):
    run, folder = tuned
    with pytest.raises(UserError, match=message):
        run(out="o", axes=[parse_axis(text)])
    assert not (folder / "o").exists()


def test_another_search_or_folder_is_refused(tuned):
    run, folder = tuned
    run(trials=2)
    with pytest.raises(UserError, match="holds a search with other settings"):
        run(trials=2, train={"epochs": 3})
    stamp = folder / "t" / "search.json"
    content = json.loads(stamp.read_text())
    assert content["settings"]["train"].pop("capture") == "auto"  # as an earlier version has it
    stamp.write_text(json.dumps(content))
    run(trials=2)
    (folder / "o").mkdir()
    (folder / "o" / "letter.txt").write_text("hello")
    with pytest.raises(UserError, match="exists but is not a search"):
        run(out="o")
    with pytest.raises(UserError, match=r"^'rule' is 'eod'; did you mean 'eodd'"):
        best_trial([Trial(0, {}, {"f1": 0.5, "eodd": 0.1})], "eod", 0.01)
