"""From YAML to runs: names, order, what is shared, and what is refused."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from fairexit.errors import UserError
from fairexit.study.load import load_study
from fairexit.study.overview import image_sentences
from fairexit.study.rows import merge

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
    grid = study(seeds=[0, 5], datasets={"a": {"data.path": "x"}, "b": {"data.path": "y"}})
    names = [run.name for run in grid.runs]
    assert len(set(names)) == len(names) == 2 * 2 * len(ROWS)
    assert names[: len(ROWS)] == [f"a-{row}-seed0" for row in ROWS]
    assert names[len(ROWS)] == "a-ResNet18-seed5"
    run = grid.runs[-1]
    assert run.name == "b-ME-ResNet18-seed5"
    assert (run.config.seed, str(run.config.data.path), run.config.model.exits) == (5, "y", "all")
    assert grid.rows == list(ROWS)
    assert grid.datasets == ["a", "b"]


def test_shared_runs_are_made_once(study):
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
    pruned_only = {run.row: run for run in study(rows={"A": rows["MFD-pruned"]}).runs}
    assert pruned_only["A"].teacher == "isic-A-seed0-unpruned-teacher"


def test_shared_runs_that_are_no_row_are_added_once(study):
    rows = {
        "MFD": ROWS["MFD"],
        "MFD-strong": {"method": {"name": "mfd", "weight": 5}},
        "HSIC-pruned": {"method.name": "hsic", "prune": {"steps": 2}},
        "MFD-pruned": {"method.name": "mfd", "prune": {"steps": 2}},
    }
    grid = study(rows=rows)
    added = [run.name for run in grid.runs if not run.row]
    assert added == ["isic-MFD-seed0-teacher", "isic-HSIC-pruned-seed0-unpruned"]
    runs = {run.row: run for run in grid.runs}
    assert runs["MFD"].teacher == runs["MFD-strong"].teacher == added[0]
    assert runs["MFD-pruned"].start == "isic-MFD-seed0"


def test_dfr_refits_the_run_by_erm(study):
    rows = {
        "DFR": {"method.name": "dfr"},
        "DFR-groups": {"method": {"name": "dfr", "balance": "groups"}},
        "DFR-pruned": {"method.name": "dfr", "prune": {"steps": 2}},
    }
    grid = study(rows=rows).runs
    assert [run.name for run in grid if not run.row] == ["isic-DFR-seed0-erm"]
    runs = {run.row: run for run in study(rows={"ResNet18": {}, **rows}).runs}
    assert runs["DFR"].start == runs["DFR-groups"].start == "isic-ResNet18-seed0"
    assert runs["DFR-pruned"].start == "isic-DFR-seed0"
    assert runs["DFR"].epochs == 0


def test_a_batch_needs_only_earlier_batches(study):
    for workers in (1, 3, 50):
        grid = study(seeds=[0, 1, 2])
        done = set()
        for batch in grid.batches(workers):
            assert all(set(run.needs) <= done for run in batch)
            done |= {run.name for run in batch}
        assert done == {run.name for run in grid.runs}
    few, many = list(grid.batches(1)), list(grid.batches(50))
    # The last batch of a seed and the first of the next are merged.
    assert len(few) == 3 * len(many) - 2
    assert [sorted({run.seed for run in batch}) for batch in few] == [[0], [0, 1], [1, 2], [2]]
    assert [run.seed for run in few[1]] == sorted(run.seed for run in few[1])
    # Where everything that is needed is done, no run waits.
    needed = {name for run in grid.runs for name in run.needs}
    assert len(list(grid.batches(1, needed))) == 1


def test_axes_are_crossed_and_named_by_their_values(study):
    axes = {
        "exits": {"": {}, "ME": {"model.exits": "all"}},
        "method": {"ERM": {}, "HSIC": {"method.name": "hsic"}},
    }
    grid = study(axes=axes, rows={"extra": {}})
    assert grid.rows == ["ERM", "HSIC", "ME-ERM", "ME-HSIC", "extra"]
    both = next(run for run in grid.runs if run.row == "ME-HSIC")
    assert (both.config.model.exits, both.config.method["name"]) == ("all", "hsic")


def test_folds_are_an_axis(study):
    grid = study(folds=[0, 1, 2])
    assert [r.name for r in grid.runs if r.row == "MFD"] == [
        f"isic-MFD-seed0-fold{k}" for k in range(3)
    ]
    run = next(r for r in grid.runs if r.name == "isic-MFD-seed0-fold2")
    assert run.config.data.fold == 2
    assert run.teacher == "isic-ResNet18-seed0-fold2"


def folds_of(grid, dataset):
    return sorted({run.fold for run in grid.runs if run.dataset == dataset}, key=str)


def test_data_in_folds_are_tested_in_every_fold(study, tmp_path):
    for name, folds in (("folds", 4), ("split", None)):
        (tmp_path / name).mkdir()
        description = {"options": {"folds": folds}}
        (tmp_path / name / "dataset.json").write_text(json.dumps(description))
    datasets = {
        "a": {"data.path": str(tmp_path / "folds")},
        "b": {"data.path": str(tmp_path / "split")},
        "c": {"data.path": "absent", "prepare": {"folds": 3}},
        "d": {"data.path": "absent"},
        "e": {"data.path": str(tmp_path / "folds"), "data.fold": 2},
    }
    grid = study(datasets=datasets)
    assert [folds_of(grid, name) for name in datasets] == [
        [0, 1, 2, 3], [None], [0, 1, 2], [None], [None],
    ]  # fmt: skip
    assert {run.config.data.fold for run in grid.runs if run.dataset == "e"} == {2}
    assert folds_of(study(datasets=datasets, folds=[1]), "a") == [1]
    sentences = image_sentences(grid)
    assert sentences[0] == "a: 4 folds; results are of the out-of-fold answers of all images"
    assert sentences[1] == "b: one test split; data in folds would test every image"


def test_a_row_with_other_data_has_the_folds_of_these(study, tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps({"options": {"folds": 3}}))
    grid = study(rows={"A": {}, "B": {"data.path": str(tmp_path)}})
    assert [(run.row, run.fold) for run in grid.runs] == [
        ("A", None), ("B", 0), ("B", 1), ("B", 2),
    ]  # fmt: skip


def test_a_method_is_replaced_as_a_whole():
    tree = {"method": {"name": "hsic", "weight": 1}, "train": {"lr": 1, "epochs": 2}}
    assert merge(tree, {"method": {"name": "erm"}})["method"] == {"name": "erm"}
    assert merge(tree, {"train": {"lr": 2}})["train"] == {"lr": 2, "epochs": 2}
    assert tree["train"] == {"lr": 1, "epochs": 2}


def test_searched_settings_come_with_their_number_of_trials(study, tmp_path):
    best = {"trials": 8, "settings": {"method.weight": 2.5}}
    (tmp_path / "best.yaml").write_text(yaml.safe_dump(best))
    rows = {"HSIC": {"method.name": "hsic", "best": "best.yaml"}}
    grid = study(rows=rows)
    assert grid.trials == {"HSIC": 8}
    assert grid.runs[0].config.method == {"name": "hsic", "weight": 2.5}
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(best | {"trials": 4}))
    rows["MFD"] = {"method.name": "mfd", "best": "other.yaml"}
    with pytest.raises(
        UserError, match="row 'HSIC' was searched over 8 trials, but row 'MFD' over 4"
    ):
        study(rows=rows)


def test_searched_settings_can_differ_by_dataset(study, tmp_path):
    for dataset, weight in (("a", 1.5), ("b", 2.5)):
        (tmp_path / dataset).mkdir()
        best = {"trials": 8, "settings": {"method.weight": weight}}
        (tmp_path / dataset / "ME-HSIC.yaml").write_text(yaml.safe_dump(best))
    changes = {
        "rows": {"ME-HSIC": {"method.name": "hsic", "best": "{dataset}/{row}.yaml"}, "ERM": {}},
        "datasets": {"a": {"data.path": "x"}, "b": {"data.path": "y"}},
    }
    grid = study(**changes)
    weights = {run.dataset: run.config.method["weight"] for run in grid.runs if run.row != "ERM"}
    assert weights == {"a": 1.5, "b": 2.5}
    assert grid.trials == {"ME-HSIC": 8}
    (tmp_path / "b" / "ME-HSIC.yaml").write_text(yaml.safe_dump(best | {"trials": 4}))
    with pytest.raises(UserError, match=r"8 trials, but row 'ME-HSIC' over 4 \(.*b.ME-HSIC.yaml\)"):
        study(**changes)


def test_every_row_of_the_study_of_causes_can_be_tuned(tmp_path):
    configs = Path(__file__).parents[2] / "configs"
    shutil.copy(configs / "small_resnet18.yaml", tmp_path)
    text = (configs / "studies" / "causes.yaml").read_text()
    for exits in ("none", "all"):
        tuned = f'{{model.exits: {exits}, best: "tuned/{{dataset}}/{{row}}.yaml"}}'
        assert text.count(f"{{model.exits: {exits}}}") == 1
        text = text.replace(f"{{model.exits: {exits}}}", tuned)
    file = tmp_path / "studies" / "causes.yaml"
    file.parent.mkdir()
    file.write_text(text)
    plain = load_study(configs / "studies" / "causes.yaml")
    for dataset in plain.datasets:
        (file.parent / "tuned" / dataset).mkdir(parents=True)
        for row in plain.rows:
            best = {"trials": 8, "settings": {"train.lr": 0.07}}
            (file.parent / "tuned" / dataset / f"{row}.yaml").write_text(yaml.safe_dump(best))
    grid = load_study(file)
    assert [run.name for run in grid.runs] == [run.name for run in plain.runs]
    assert {run.config.train.lr for run in grid.runs} == {0.07}
    assert set(grid.trials) == set(plain.rows)
    assert len(plain.rows) == 28
    assert plain.datasets[0] == "prevalence"


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
        ({"text": TWICE}, "two entries of the section at line 5 are called 'HSIC'"),
        ({"text": "a: ["}, "is not valid YAML"),
        ({"text": "- a"}, "must hold keys"),
        ({"row": {}}, "unknown key 'row'; did you mean 'rows'"),
        ({"rows": {"A-B": {}}, "axes": {"x": {"A": {}}, "y": {"B": {}}}}, "two rows are called"),
        ({"rows": {"a b": {}}}, "row 'a b': a name must begin with a letter or digit"),
        ({"rows": {"x": {"trian.lr": 1}}}, "run isic-x-seed0: unknown key 'trian'"),
        ({"rows": {"x": {"method.name": "hsci"}}}, "did you mean 'hsic'"),
        ({"rows": {"x": {"method": {"name": "hsic", "wight": 1}}}}, "no option 'wight'"),
        ({"rows": {}}, "has no rows"),
        ({"rows": [1]}, "rows must be a section with names"),
        ({"rows": {"x": 3}}, "rows.x must be a section of settings"),
        ({"datasets": {}}, "lacks 'datasets'"),
        ({"base": "nowhere.yaml"}, "no file .*nowhere.yaml"),
        ({"seeds": [0, 0]}, "seeds is .0, 0.; it must be a list of different whole numbers"),
        ({"seeds": 3}, "seeds is 3"),
        ({"folds": ["a"]}, "folds is"),
        ({"seeds": [[0]]}, "seeds is ..0..; it must be a list"),
        ({"base": 5}, "base is 5; it must be a file name or a section of settings"),
        ({"base": [1]}, "base is .1.; it must be a file name"),
        ({"datasets": {"../x": {}}}, "dataset '../x': a name must begin with a letter or digit"),
        ({"datasets": {"x": {"prepare": 5}}}, "datasets.x.prepare must be a section"),
        (
            {"datasets": {"x": {"prepare": {"sise": 3}}}},
            "unknown key 'datasets.x.prepare.sise'; did you mean 'size'",
        ),
        (
            {"datasets": {"x": {"prepare": {"size": 3}}}},
            r"^datasets\.x\.prepare\.size is 3; it must be from 8 to 4096 pixels",
        ),
        ({"datasets": {"x": {"prepare": {"options": 3}}}}, "x.prepare.options must be a section"),
        (
            {"rows": {"ERM": {}, "ResNet18": {}}},
            "'ERM' and 'ResNet18' are the same row of the paper",
        ),
        ({"rows": {"HSIC": {"best": "best.yaml"}}}, "best.yaml.trials is missing"),
        (
            {"rows": {"HSIC": {"best": "{row}.yaml"}}},
            "row 'HSIC' takes its settings from .*HSIC.yaml, which does not exist; search them",
        ),
        ({"policy": {"rul": "f1"}}, "unknown key 'policy.rul'; did you mean 'rule'"),
        ({"policy": {"grid": 0.9}}, "policy.grid is 0.9"),
        ({"policy": {"tolerance": "abc"}}, "policy.tolerance is 'abc'"),
        ({"policy": {"fallback": 3}}, "policy.fallback is 3"),
        ({"policy": 3}, "policy must be a section with keys"),
        ({"policy": {"grid": [2]}}, "out of range"),
        ({"policy": {"tolerance": -1}}, r"^policy\.tolerance is -1\.0; it is a loss of F1"),
        ({"policy": {"rule": "eood"}}, r"^policy\.rule is 'eood'; did you mean 'eodd'"),
        (
            {"rows": {"MFD": {"method": {"name": "mfd", "teacher": "Resnet18"}}, "ResNet18": {}}},
            "run isic-MFD-seed0: method.teacher is 'Resnet18', which is neither a row nor .*; "
            "did you mean 'ResNet18'",
        ),
        ({"against": ["HSIC"]}, "against must map rows to rows"),
        ({"against": {"MDF": "MFD"}}, "against.MDF: there is no row 'MDF'; did you mean 'MFD'"),
        ({"against": {"MFD": "none"}}, "against.MFD: there is no row 'none'; available: "),
        ({"against": {"MFD": "MFD"}}, "against.MFD is the same row"),
        ({"against": {"MFD": ["ResNet18"]}}, r"against.MFD: there is no row '\['ResNet18'\]'"),
        (
            {"rows": {"A": {"seed": 7}}},
            r"run isic-A-seed0: the seed is set by 'seeds', as in seeds: \[7\]",
        ),
        (
            {
                "datasets": {"a": {"data.path": "x"}, "a-b": {"data.path": "x"}},
                "rows": {"b-c": {}, "c": {}},
            },
            "two runs would be called 'a-b-c-seed0'; rename a dataset or a row",
        ),
        ({"entangle": "always"}, "entangle is 'always'; it must be true or false"),
        (
            {
                "rows": {
                    "A": {"method": {"name": "mfd", "teacher": "B"}},
                    "B": {"method": {"name": "mfd", "teacher": "A"}},
                }
            },
            "depend on each other in a circle: isic-[AB]-seed0 -> isic-[AB]-seed0",
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
    files = sorted((Path(__file__).parents[2] / "configs" / "studies").glob("*.yaml"))
    assert len(files) >= 4
    for file in files:
        grid = load_study(file)
        assert len({run.config.train.epochs for run in grid.runs}) == 1, file
        assert len({run.config.train.select for run in grid.runs}) == 1, file
        assert grid.entangle or file.stem not in ("paper", "one_gpu", "cpu"), file
