"""From YAML to runs: names, order, what is shared, and what is refused."""

import pytest
import yaml

from fairexit.errors import UserError
from fairexit.study.load import load_study, merge

BASE = {"train": {"epochs": 3}, "model": {"exits": "none"}}
ROWS = {
    "ResNet18": {},
    "MFD": {"method.name": "mfd"},
    "FairPrune": {"prune": {"steps": 2}},
    "ME-MFD": {"model.exits": "all", "method.name": "mfd"},
    "ME-ResNet18": {"model.exits": "all"},
}


@pytest.fixture
def study(tmp_path):
    def load(text=None, **changes):
        tree = {"base": BASE, "datasets": {"isic": {"data.path": "d"}}, "rows": ROWS} | changes
        file = tmp_path / "study.yaml"
        file.write_text(text or yaml.safe_dump(tree, sort_keys=False))
        return load_study(file)

    return load


def test_a_grid_becomes_named_runs_by_dataset_and_seed(study):
    found = study(seeds=[0, 5], datasets={"a": {"data.path": "x"}, "b": {"data.path": "y"}})
    names = [run.name for run in found.runs]
    assert len(set(names)) == len(names) == 2 * 2 * len(ROWS)
    assert names[: len(ROWS)] == [f"a-{row}-seed0" for row in ROWS]
    assert names[len(ROWS)] == "a-ResNet18-seed5"
    run = found.runs[-1]
    assert run.name == "b-ME-ResNet18-seed5"
    assert (run.config.seed, str(run.config.data.path), run.config.model.exits) == (5, "y", "all")
    assert found.rows == list(ROWS)
    assert found.datasets == ["a", "b"]


def test_what_rows_share_is_made_once(study):
    runs = {run.row: run for run in study().runs}
    assert runs["MFD"].teacher == "isic-ResNet18-seed0"
    assert runs["ME-MFD"].teacher == "isic-ME-ResNet18-seed0"
    assert runs["FairPrune"].start == "isic-ResNet18-seed0"
    assert runs["ResNet18"].needs == ()
    assert runs["FairPrune"].epochs == 0


def test_a_pruned_run_has_the_teacher_of_the_one_it_prunes(study):
    rows = {"MFD": ROWS["MFD"], "MFD-pruned": {"method.name": "mfd", "prune": {"steps": 2}}}
    runs = {run.row: run for run in study(rows=rows).runs}
    assert runs["MFD-pruned"].start == "isic-MFD-seed0"
    assert runs["MFD-pruned"].teacher == runs["MFD"].teacher == "isic-MFD-seed0-teacher"
    alone = {run.row: run for run in study(rows={"A": rows["MFD-pruned"]}).runs}
    assert alone["A"].teacher == "isic-A-seed0-unpruned-teacher"


def test_shared_runs_that_are_no_row_are_added_once(study):
    rows = {
        "MFD": ROWS["MFD"],
        "MFD-strong": {"method": {"name": "mfd", "weight": 5}},
        "HSIC-pruned": {"method.name": "hsic", "prune": {"steps": 2}},
        "MFD-pruned": {"method.name": "mfd", "prune": {"steps": 2}},
    }
    found = study(rows=rows)
    added = [run.name for run in found.runs if not run.row]
    assert added == ["isic-MFD-seed0-teacher", "isic-HSIC-pruned-seed0-unpruned"]
    runs = {run.row: run for run in found.runs}
    assert runs["MFD"].teacher == runs["MFD-strong"].teacher == added[0]
    assert runs["MFD-pruned"].start == "isic-MFD-seed0"


def test_a_batch_needs_only_earlier_batches(study):
    for workers in (1, 3, 50):
        found = study(seeds=[0, 1, 2])
        done = set()
        for batch in found.batches(workers):
            assert all(set(run.needs) <= done for run in batch)
            done |= {run.name for run in batch}
        assert done == {run.name for run in found.runs}
    one, many = list(found.batches(1)), list(found.batches(50))
    # The last batch of a seed and the first of the next are one.
    assert len(one) == 3 * len(many) - 2
    assert [sorted({run.seed for run in batch}) for batch in one] == [[0], [0, 1], [1, 2], [2]]
    assert [run.seed for run in one[1]] == sorted(run.seed for run in one[1])
    # Where all that others need is done, nobody waits.
    needed = {name for run in found.runs for name in run.needs}
    assert len(list(found.batches(1, needed))) == 1


def test_axes_are_crossed_and_named_by_their_values(study):
    axes = {
        "exits": {"": {}, "ME": {"model.exits": "all"}},
        "method": {"ERM": {}, "HSIC": {"method.name": "hsic"}},
    }
    found = study(axes=axes, rows={"extra": {}})
    assert found.rows == ["ERM", "HSIC", "ME-ERM", "ME-HSIC", "extra"]
    both = next(run for run in found.runs if run.row == "ME-HSIC")
    assert (both.config.model.exits, both.config.method["name"]) == ("all", "hsic")


def test_folds_are_an_axis(study):
    found = study(folds=[0, 1, 2])
    assert [r.name for r in found.runs if r.row == "MFD"] == [
        f"isic-MFD-seed0-fold{k}" for k in range(3)
    ]
    run = next(r for r in found.runs if r.name == "isic-MFD-seed0-fold2")
    assert run.config.data.fold == 2
    assert run.teacher == "isic-ResNet18-seed0-fold2"


def test_a_method_is_replaced_as_a_whole():
    tree = {"method": {"name": "hsic", "weight": 1}, "train": {"lr": 1, "epochs": 2}}
    assert merge(tree, {"method": {"name": "erm"}})["method"] == {"name": "erm"}
    assert merge(tree, {"train": {"lr": 2}})["train"] == {"lr": 2, "epochs": 2}
    assert tree["train"] == {"lr": 1, "epochs": 2}


def test_searched_settings_come_with_their_number_of_trials(study, tmp_path):
    best = {"trials": 8, "settings": {"method.weight": 2.5}}
    (tmp_path / "best.yaml").write_text(yaml.safe_dump(best))
    rows = {"HSIC": {"method.name": "hsic", "best": "best.yaml"}}
    found = study(rows=rows)
    assert found.trials == {"HSIC": 8}
    assert found.runs[0].config.method == {"name": "hsic", "weight": 2.5}
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(best | {"trials": 4}))
    rows["MFD"] = {"method.name": "mfd", "best": "other.yaml"}
    with pytest.raises(UserError, match="HSIC was searched over 8 trials, row MFD over 4"):
        study(rows=rows)


TWICE = """
base: {train: {epochs: 1}}
datasets: {isic: {data.path: d}}
rows:
  HSIC: {}
  HSIC: {}
"""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": TWICE}, "two entries are called 'HSIC' below line 5"),
        ({"text": "a: ["}, "is not YAML"),
        ({"text": "- a"}, "must hold keys"),
        ({"row": {}}, "unknown key 'row'; did you mean 'rows'"),
        ({"rows": {"A-B": {}}, "axes": {"x": {"A": {}}, "y": {"B": {}}}}, "two rows are called"),
        ({"rows": {"a b": {}}}, "row 'a b': a name is made of"),
        ({"rows": {"x": {"trian.lr": 1}}}, "run isic-x-seed0: unknown key 'trian'"),
        ({"rows": {"x": {"method.name": "hsci"}}}, "did you mean 'hsic'"),
        ({"rows": {"x": {"method": {"name": "hsic", "wight": 1}}}}, "no option 'wight'"),
        ({"rows": {}}, "has no rows"),
        ({"rows": [1]}, "rows must hold names"),
        ({"rows": {"x": 3}}, "rows.x must hold settings"),
        ({"datasets": {}}, "lacks 'datasets'"),
        ({"base": "nowhere.yaml"}, "no file .*nowhere.yaml"),
        ({"seeds": [0, 0]}, "seeds is .0, 0.; give a list of different whole numbers"),
        ({"seeds": 3}, "seeds is 3"),
        ({"folds": ["a"]}, "folds is"),
        ({"seeds": [[0]]}, "seeds is ..0..; give a list"),
        ({"base": 5}, "base is 5; give a file, or the settings themselves"),
        ({"base": [1]}, "base is .1.; give a file"),
        ({"datasets": {"../x": {}}}, "dataset '../x': a name is made of"),
        ({"datasets": {"x": {"prepare": 5}}}, "datasets.x.prepare must hold keys"),
        (
            {"datasets": {"x": {"prepare": {"sise": 3}}}},
            "unknown key 'datasets.x.prepare.sise'; did you mean 'size'",
        ),
        ({"datasets": {"x": {"prepare": {"options": 3}}}}, "x.prepare.options must hold keys"),
        ({"rows": {"ERM": {}, "ResNet18": {}}}, "'ERM' and 'ResNet18' are one row of the paper"),
        ({"rows": {"HSIC": {"best": "best.yaml"}}}, "best.yaml.trials is missing"),
        ({"policy": {"rul": "f1"}}, "unknown key 'policy.rul'; did you mean 'rule'"),
        ({"policy": {"grid": 0.9}}, "policy.grid is 0.9"),
        ({"policy": {"tolerance": "abc"}}, "policy.tolerance is 'abc'"),
        ({"policy": {"fallback": 3}}, "policy.fallback is 3"),
        ({"policy": 3}, "policy must hold keys"),
        ({"policy": {"grid": [2]}}, "out of range"),
        ({"policy": {"tolerance": -1}}, r"^policy: tolerance is -1\.0; it is a loss of F1"),
        ({"policy": {"rule": "eood"}}, "^policy: rule is 'eood'; did you mean 'eodd'"),
        (
            {"rows": {"MFD": {"method": {"name": "mfd", "teacher": "Resnet18"}}, "ResNet18": {}}},
            "run isic-MFD-seed0: method.teacher is 'Resnet18', neither .*; did you mean 'ResNet18'",
        ),
        ({"against": ["HSIC"]}, "against must hold names of rows"),
        ({"against": {"MDF": "MFD"}}, "against.MDF: no row 'MDF'; did you mean 'MFD'"),
        ({"against": {"MFD": "none"}}, "against.MFD: no row 'none'; there are: "),
        ({"against": {"MFD": "MFD"}}, "against.MFD is the row itself"),
        ({"against": {"MFD": ["ResNet18"]}}, r"against.MFD: no row '\['ResNet18'\]'"),
        (
            {"rows": {"A": {"seed": 7}}},
            r"run isic-A-seed0: its seed is set by 'seeds', as seeds: \[7\]",
        ),
        (
            {
                "datasets": {"a": {"data.path": "x"}, "a-b": {"data.path": "x"}},
                "rows": {"b-c": {}, "c": {}},
            },
            "two runs would be called a-b-c-seed0; rename a dataset or a row",
        ),
        ({"entangle": "always"}, "entangle is 'always'; give true or false"),
        (
            {
                "rows": {
                    "A": {"method": {"name": "mfd", "teacher": "B"}},
                    "B": {"method": {"name": "mfd", "teacher": "A"}},
                }
            },
            "need each other: isic-[AB]-seed0 -> isic-[AB]-seed0",
        ),
    ],
)
def test_what_is_refused(study, tmp_path, changes, message):
    (tmp_path / "best.yaml").write_text("settings: {}")
    with pytest.raises(UserError, match=message):
        study(**changes)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="no file"):
        load_study(tmp_path / "none.yaml")


def test_the_studies_of_the_repository_are_sound():
    from pathlib import Path

    files = sorted((Path(__file__).parents[2] / "configs" / "studies").glob("*.yaml"))
    assert len(files) >= 4
    for file in files:
        found = load_study(file)
        assert len({run.config.train.epochs for run in found.runs}) == 1, file
        assert len({run.config.train.select for run in found.runs}) == 1, file
        assert found.entangle or file.stem not in ("paper", "one_gpu", "cpu"), file
