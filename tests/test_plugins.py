"""Methods, datasets, heads and backbones from outside the package, and wrong ones."""

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from joblib import Parallel, delayed

from conftest import settings
from fairexit import plugins
from fairexit.config_files import build_config, load_config
from fairexit.config_prune import PruneConfig
from fairexit.data.datasets import datasets
from fairexit.errors import UserError
from fairexit.inference.classifier import load_model
from fairexit.methods import Method, methods
from fairexit.models import create_model, heads
from fairexit.plugins import load_plugins, portable
from fairexit.pruning.prune import prune
from fairexit.registry import Registry
from fairexit.runs import Run, open_run
from fairexit.study import job as jobs
from fairexit.study.folder import Folder
from fairexit.study.load import load_study
from fairexit.training.fit import train

EXAMPLES = Path(__file__).parents[1] / "examples"

METHOD = """
from fairexit.methods import Method, methods

@methods.register("quiet")
class Quiet(Method):
    \"\"\"Penalises confident answers.\"\"\"

    def __init__(self, net, task, exit_weights, *, weight: float = 0.1):
        super().__init__(net, task, exit_weights)
        self.weight = weight

    def penalty(self, k, exit, batch):
        return self.weight * exit.logits.square().mean()
"""

HEAD = """
from torch import nn
from fairexit.models import Head, heads

@heads.register("mean")
class MeanHead(Head):
    \"\"\"Global average pooling and nothing else.\"\"\"

    def __init__(self, width, num_classes):
        reduce = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        super().__init__(reduce, nn.Linear(width, num_classes))
"""

BACKBONE = """
from torch import nn
from fairexit.models import Backbone, Head, backbones
from fairexit.models.backbone import Family

WIDTHS = [4, 8, 8, 16]

@backbones.register("little")
class Little(Family):
    \"\"\"Four small convolutions.\"\"\"

    def names(self):
        return ["little4"]

    def network(self, name, num_classes, *, stem, image_size):
        pairs = zip([3, *WIDTHS[:-1]], WIDTHS)
        stages = [nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairs]
        return nn.ModuleList([*stages, nn.Linear(WIDTHS[-1], num_classes)])

    def classifier(self, network):
        return network[-1]

    def cut(self, network, *, image_size):
        *stages, last = network
        stages = [nn.Sequential(stage, nn.ReLU()) for stage in stages]
        head = Head(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), last)
        return Backbone(stages, WIDTHS, head, min_size=16)

    def weights(self, name):
        raise NotImplementedError
"""

DATASET = (EXAMPLES / "own_dataset.py").read_text()

SOURCES = {
    "method": METHOD,
    "head": HEAD,
    "backbone": BACKBONE,
    "dataset": DATASET,
    "metric": (EXAMPLES / "own_metric.py").read_text(),
    "edit": (EXAMPLES / "own_edit.py").read_text(),
}


def forget():
    """As in a new process: no plugin file has been imported."""
    for loading in plugins._files.values():
        plugins._forget(loading)
    plugins._files.clear()


@pytest.fixture(autouse=True)
def _forgetful():
    yield
    forget()


@pytest.fixture
def files(tmp_path):
    """Kind -> a plugin file of it."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    for kind, source in SOURCES.items():
        (folder / f"own_{kind}.py").write_text(source)
    return {kind: folder / f"own_{kind}.py" for kind in SOURCES}


def write(path, source):
    path.write_text(source)
    return path


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def own_settings(data, **changes):
    return {
        "data": {"path": str(data), "augment": "none"},
        "model": {"backbone": "little4", "exits": [2, 3], "head": "mean"},
        "method": {"name": "quiet", "weight": 0.5},
        "train": {"epochs": 1, "batch_size": 64, "lr": 0.1},
    } | changes


@pytest.fixture
def own_run(files, tiny, tmp_path):
    """A finished run whose method, head and backbone are plugins, which are forgotten again."""
    load_plugins([files["method"], files["head"], files["backbone"]])
    run = train(build_config(own_settings(tiny.path)), tmp_path / "own")
    forget()
    return run


def test_from_ones_own_data_to_answers(command, files, tmp_path):
    data, run, config = tmp_path / "data", tmp_path / "run", tmp_path / "own.yaml"
    words = ("--plugin", files["dataset"], "--size", 28, "--out", data)
    status, printed, errors = command("prepare", "noise", *words)
    assert (status, errors) == (0, "")
    assert "prepared: " in printed
    own = [f"plugins/own_{kind}.py" for kind in ("method", "head", "backbone")]
    config.write_text(yaml.safe_dump(own_settings(data, plugins=own)))
    forget()
    assert command("train", config, "--out", run)[0] == 0
    wanted = {files[kind].name: sha256(files[kind]) for kind in ("method", "head", "backbone")}
    assert json.loads((run / "config.json").read_text())["run"]["plugins"] == wanted
    assert yaml.safe_load((run / "config.yaml").read_text())["plugins"] == wanted
    assert str(tmp_path / "plugins") not in (run / "config.yaml").read_text()
    log = (run / "log.csv").read_text().splitlines()
    row = dict(zip(log[0].split(","), map(float, log[1].split(",")), strict=True))
    assert row["train_penalty2"] > 0
    forget()
    network = ("--plugin", files["head"], "--plugin", files["backbone"])
    status, _, errors = command("predict", run, *network)
    assert (status, errors) == (0, "")
    assert command("entangle", run, *network)[0] == 0
    forget()
    # Predictions are a table: no network is built.
    assert command("evaluate", run)[0] == 0
    model = load_model(run, "cpu", plugins=[files["head"], files["backbone"]])
    assert model.net.exit_names == ["2", "3", "f"]
    assert type(model.net.heads["2"]).__name__ == "MeanHead"


def test_the_examples_go_through_a_study_to_answers(command, tmp_path, monkeypatch):
    shutil.copytree(EXAMPLES, tmp_path / "outside")
    monkeypatch.chdir(tmp_path / "outside")
    plugin = ("--plugin", "own_dataset.py")
    assert command("prepare", "noise", *plugin, "--size", 32, "--out", "data")[0] == 0
    tree = {
        "plugins": ["own_method.py", "own_metric.py", "own_edit.py"],
        "base": {
            "model": {"backbone": "resnet18", "exits": "all", "stem": "small"},
            "train": {"epochs": 1, "batch_size": 64, "select": "worst_tpr_gap"},
        },
        "datasets": {"noise": {"data.path": "data", "data.augment": "none"}},
        "rows": {
            "ERM": {},
            "GroupLoss": {"method": {"name": "group_loss", "weight": 2}},
            "FirstOrder": {"prune": {"method": "first_order", "steps": 2}},
        },
        "policy": {"rule": "worst_tpr_gap"},
    }
    write(Path("study.yaml"), yaml.safe_dump(tree))
    status, _, errors = command("study", "study.yaml", "--out", "study")
    assert status == 0, errors
    with Path("study/results.csv").open() as file:
        rows = {row["row"]: row for row in csv.DictReader(file)}
    assert 0 <= float(rows["GroupLoss"]["worst_tpr_gap"]) <= 1
    status, printed, errors = command("study", "study.yaml", "--out", "study", "--plan")
    assert status == 0, errors
    (line,) = [line for line in printed.splitlines() if "FirstOrder" in line]
    assert "done" in line
    forget()
    edited = Path("study/runs/noise-FirstOrder-seed0")
    recorded = json.loads((edited / "config.json").read_text())["run"]
    assert recorded["plugins"].keys() == {"own_edit.py", "own_metric.py"}
    assert recorded["prune"]["ratio"] == 0.2
    status, _, errors = command("predict", edited, "--plugin", "own_metric.py")
    assert (status, errors.count("\n")) == (2, 1)
    assert "needs the plugin own_edit.py" in errors
    run = "study/runs/noise-GroupLoss-seed0"
    assert json.loads(Path(run, "config.json").read_text())["run"]["plugins"].keys() == {
        "own_method.py",
        "own_metric.py",
    }
    # The trained network needs neither the method nor the metric.
    bright = np.full((32, 32, 3), 192, dtype=np.uint8)
    assert set(load_model(run, "cpu")(bright)["prediction"]) <= {"dim", "bright"}


def test_list_shows_where_an_entry_comes_from(command, files):
    words = [word for file in files.values() for word in ("--plugin", file)]
    status, printed, _ = command("list", *words)
    assert status == 0
    for name, file in {
        "quiet": "own_method.py",
        "mean": "own_head.py",
        "little4": "own_backbone.py",
        "noise": "own_dataset.py",
        "worst_tpr_gap": "own_metric.py",
        "first_order": "own_edit.py",
    }.items():
        (line,) = [line for line in printed.splitlines() if f"│ {name} " in line]
        assert line.rstrip("│ ").endswith(file)
    (line,) = [line for line in printed.splitlines() if "│ hsic " in line]
    assert line.rstrip("│ ").endswith("fairexit")


def test_a_study_takes_plugins_into_the_process_of_every_run(command, files, tiny, tmp_path):
    tree = {
        "plugins": ["plugins/own_method.py", "plugins/own_backbone.py"],
        "base": own_settings(tiny.path, plugins=["plugins/own_head.py"]) | {"method": None},
        "datasets": {"tiny": {}},
        "rows": {"ERM": {"method.name": "erm"}, "Quiet": {"method.name": "quiet"}},
    }
    study, out = write(tmp_path / "s.yaml", yaml.safe_dump(tree)), tmp_path / "s"
    status, printed, errors = command("study", study, "--out", out)
    assert status == 0, errors
    assert f"study: {out}" in printed
    recorded = {
        row: set(Run(out / "runs" / f"tiny-{row}-seed0").plugins) for row in ("ERM", "Quiet")
    }
    network = {"own_head.py", "own_backbone.py"}
    assert recorded == {"ERM": network, "Quiet": {"own_method.py", *network}}
    # Another version of the method concerns the runs of that method.
    files["method"].write_text(METHOD + "\n# another version\n")
    status, printed, _ = command("study", study, "--out", out, "--plan")
    assert status == 0
    lines = {row: line for row in recorded for line in printed.splitlines() if f"-{row}-" in line}
    assert "done" in lines["ERM"]
    assert "refused" in lines["Quiet"]
    assert "plugins.own_method.py" in printed


def test_a_study_shares_the_teacher_of_a_method_of_ones_own(files, tiny, tmp_path):
    source = METHOD.replace("import Method,", "import Distilled as Method,")
    files["method"].write_text(
        source.replace("weight: float = 0.1", "weight: float = 0.1, teacher: str | None = None")
    )
    tree = {
        "plugins": [str(files["method"])],
        "base": {"data": {"path": str(tiny.path)}},
        "datasets": {"tiny": {}},
        "rows": {"ERM": {}, "Quiet": {"method.name": "quiet"}},
    }
    study = load_study(write(tmp_path / "s.yaml", yaml.safe_dump(tree)))
    assert [(run.row, run.teacher) for run in study.runs] == [
        ("ERM", None),
        ("Quiet", "tiny-ERM-seed0"),
    ]


def test_a_run_of_a_study_does_not_take_a_plugin_that_was_edited_meanwhile(files, tiny, tmp_path):
    tree = {
        "plugins": [f"plugins/own_{kind}.py" for kind in SOURCES],
        "base": own_settings(tiny.path),
        "datasets": {"tiny": {}},
        "rows": {"Quiet": {}},
    }
    study = load_study(write(tmp_path / "s.yaml", yaml.safe_dump(tree)))
    job = Folder(tmp_path / "s").job(study.runs[0], study)
    forget()
    before = sha256(files["head"])
    files["head"].write_text(HEAD + "# edited\n")
    load_plugins(job.plugins)
    wanted = rf"plugin own_head\.py has changed: its SHA-256 was {before}, .*; give the file that"
    with pytest.raises(UserError, match=wanted):
        jobs.make(job)


def test_plugins_of_a_study_are_not_those_of_a_row(tiny, tmp_path):
    tree = {
        "base": {"data": {"path": str(tiny.path)}},
        "datasets": {"tiny": {}},
        "rows": {"Own": {"plugins": ["own.py"]}},
    }
    file = write(tmp_path / "s.yaml", yaml.safe_dump(tree))
    with pytest.raises(UserError, match="run tiny-Own-seed0: 'plugins' is a key of the whole"):
        load_study(file)


def test_tune_searches_a_method_of_ones_own(command, files, tiny, tmp_path):
    tree = own_settings(tiny.path, plugins=[f"plugins/own_{k}.py" for k in ("head", "backbone")])
    config = write(tmp_path / "c.yaml", yaml.safe_dump(tree | {"method": {"name": "erm"}}))
    search = ("--search", "method.name=erm,quiet", "--trials", 3)
    status, printed, errors = command(
        "tune", config, "--plugin", files["method"], *search, "--out", tmp_path / "t"
    )
    assert status == 0, errors
    assert "quiet" in printed
    for number, trial in enumerate(json.loads((tmp_path / "t" / "trials.json").read_text())):
        is_own = trial["settings"]["method.name"] == "quiet"
        # A trial with the settings of an earlier one has no run of its own.
        run = number if trial.get("same_as") is None else trial["same_as"]
        assert ("own_method.py" in Run(tmp_path / "t" / f"trial{run}").plugins) == is_own


def test_a_run_names_no_code_that_is_imported(own_run, files, tmp_path, monkeypatch):
    # In the folder of the run and in the current one lie files of the recorded names.
    for folder in (own_run.path, tmp_path):
        for kind in ("method", "head", "backbone"):
            shutil.copy(files[kind], folder)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        load_model(own_run.path)
    text = str(caught.value)
    for kind in ("method", "head", "backbone"):
        assert f"the plugin own_{kind}.py (SHA-256 {sha256(files[kind])})" in text
    assert text.startswith(f"{own_run.path} needs the plugin ")
    assert "give that file with 'plugins'" in text
    assert plugins.loaded_files() == ()


def test_a_method_is_not_needed_by_the_network_that_it_has_trained(own_run, files, capsys):
    load_plugins([files["head"], files["backbone"]])
    open_run(own_run.path)
    assert capsys.readouterr().err == ""
    (own_run.path / "policy.json").write_text(
        '{"theta": 0.5, "fallback": "final", "rule": "given"}'
    )
    assert load_model(own_run.path, "cpu").net.num_exits == 3
    wanted = r"fine-tuning .* needs the plugin own_method\.py \(SHA-256 .*; give that file"
    with pytest.raises(UserError, match=wanted):
        prune(open_run(own_run.path), own_run.path.with_name("p"), PruneConfig(finetune=1))


def test_a_pruning_takes_plugins_into_its_processes(own_run, files, tmp_path, command):
    load_plugins([files["head"], files["backbone"]])
    settings = {"ratio": 0.2, "steps": 1, "stop": False, "images": 8, "device": "cpu"}
    prune(own_run, tmp_path / "p", PruneConfig(**settings, devices=2))
    forget()
    options = ("--ratio", 0.2, "--steps", 1, "--no-stop", "--images", 8, "--device", "cpu")
    network = ("--plugin", files["head"], "--plugin", files["backbone"])
    assert command("prune", own_run.path, "--out", tmp_path / "q", *options, *network)[0] == 0
    assert open_run(tmp_path / "q").plugins == own_run.plugins
    zeros = [json.loads((tmp_path / name / "pruning.json").read_text())["blocks"] for name in "pq"]
    assert zeros[0] == zeros[1]


def test_a_changed_plugin_is_a_warning_when_a_finished_run_is_opened(own_run, files, command):
    before, file = sha256(files["head"]), files["head"]
    file.write_text(HEAD + "# edited\n")
    words = [word for kind in ("head", "backbone") for word in ("--plugin", files[kind])]
    status, _, errors = command("predict", own_run.path, *words)
    assert (status, open_run(own_run.path)) == (0, own_run)
    assert errors == (
        f"warning: {own_run.path}: plugin own_head.py has changed: its SHA-256 was {before}, the "
        f"given file's is {sha256(file)}\n"
    )


def test_a_training_does_not_go_on_with_a_changed_plugin(files, tiny, tmp_path, command):
    tree = own_settings(tiny.path, plugins=[f"plugins/own_{k}.py" for k in SOURCES])
    config, out = write(tmp_path / "c.yaml", yaml.safe_dump(tree)), tmp_path / "run"
    assert command("train", config, "--out", out)[0] == 0
    assert command("train", config, "--out", out)[0] == 0
    before = sha256(files["method"])
    files["method"].write_text(METHOD + "# edited\n")
    status, _, errors = command("train", config, "--out", out)
    assert (status, errors) == (
        2,
        f"fairexit: {out} holds a run with plugins.own_method.py = {before}, but this one has "
        f"{sha256(files['method'])}; choose another --out\n",
    )


def test_a_runs_own_settings_ask_for_the_plugins_that_they_record(own_run, files, tmp_path):
    config = load_config(own_run.path / "config.yaml")
    with pytest.raises(UserError, match=r"the configuration needs the plugin own_method\.py"):
        train(config, tmp_path / "again")
    files["head"].write_text(HEAD + "# edited\n")
    load_plugins(files.values())
    wanted = r"own_head\.py has changed: its SHA-256 was .*; give the file that has the first"
    with pytest.raises(UserError, match=wanted):
        train(config, tmp_path / "again")
    files["head"].write_text(HEAD)
    again = train(
        load_config(own_run.path / "config.yaml", plugins=[files["head"]]), tmp_path / "again"
    )
    assert again.weights.read_bytes() == own_run.weights.read_bytes()


def test_a_metric_of_ones_own_selects_the_epoch_that_is_kept(command, files, tiny, tmp_path):
    tree = {"data": {"path": str(tiny.path)}, "train": {"select": "worst_tpr_gap", "epochs": 1}}
    config, out = write(tmp_path / "c.yaml", yaml.safe_dump(tree)), tmp_path / "run"
    words = ("--plugin", files["metric"], "--set", "train.batch_size=64")
    assert command("train", config, *words, "--out", out)[0] == 0
    assert open_run(out).plugins == {"own_metric.py": sha256(files["metric"])}
    assert "val_worst_tpr_gap" in (out / "log.csv").read_text()
    forget()
    status, _, errors = command("predict", out)
    assert (status, errors.count("\n")) == (2, 1)
    wanted = f"fairexit: {out} needs the plugin own_metric.py (SHA-256 {sha256(files['metric'])}): "
    assert errors.startswith(f"{wanted}train.select is 'worst_tpr_gap', which is no metric; ")
    assert command("predict", out, "--plugin", files["metric"])[0] == 0
    status, printed, _ = command("evaluate", out, "--plugin", files["metric"], "--json")
    assert status == 0
    assert "worst_tpr_gap" in printed


def test_without_a_file_that_it_uses_a_run_records_none(files, tiny, tmp_path):
    load_plugins(files.values())
    run = train(settings(tiny.path, train__epochs=1), tmp_path / "erm")
    assert run.plugins == {}


def test_the_same_file_twice_is_harmless(files, tmp_path):
    (first,) = load_plugins([files["method"]])
    cls = methods["quiet"]
    copy = tmp_path / "copy.py"
    shutil.copy(files["method"], copy)
    assert load_plugins([files["method"], copy]) == (first, first)
    assert methods["quiet"] is cls


def test_an_edited_file_takes_the_place_of_its_old_self(files):
    load_plugins([files["method"]])
    files["method"].write_text(METHOD.replace('"quiet"', '"still"').replace("0.1", "0.2"))
    load_plugins([files["method"]])
    assert methods.options("still")["weight"].default == 0.2
    with pytest.raises(UserError, match="no method 'quiet'"):
        methods["quiet"]


def test_a_plugin_may_have_been_imported_as_a_module(files, monkeypatch):
    monkeypatch.syspath_prepend(files["head"].parent)
    import own_head

    assert heads["mean"] is own_head.MeanHead
    assert str(heads.origin("mean")) == "own_head"
    load_plugins([files["head"]])
    assert heads.origin("mean").sha256 == sha256(files["head"])
    del sys.modules["own_head"]


def test_two_files_with_one_name(files, tmp_path):
    load_plugins([files["method"]])
    other = write(tmp_path / "other.py", METHOD + "# edited\n")
    with pytest.raises(UserError) as caught:
        load_plugins([other])
    assert str(caught.value) == (
        f"plugin {other}, line 4: method 'quiet' is registered already, by {files['method']}; "
        "choose another name"
    )
    assert str(methods.origin("quiet")) == str(files["method"])
    same = write(tmp_path / "own_method.py", METHOD.replace("quiet", "still"))
    with pytest.raises(UserError) as caught:
        load_plugins([same])
    assert str(caught.value) == (
        f"two plugins are called own_method.py: {files['method']} and {same}; rename one"
    )


CLASS = (
    "from fairexit.methods import Method, methods\n\n@methods.register('own')\nclass Own(Method)"
)
TWO = "    def __init__(self, net, task, exit_weights, weight=1.0): ..."
WRONG = {
    "import os\nimport nowhere_at_all\n": (
        ", line 2: ModuleNotFoundError: No module named 'nowhere_at_all'"
    ),
    "from fairexit.methods import Mehtod\n": (
        ", line 1: ImportError: cannot import name 'Mehtod' from 'fairexit.methods' "
    ),
    "import os\n\ndef f(:\n    pass\n": ", line 3: SyntaxError: invalid syntax",
    "x = 1\n\n\ny = x / 0\n": ", line 4: ZeroDivisionError: division by zero",
    "raise SystemExit(3)\n": ", line 1: SystemExit: 3",
    "x = 1\n": ": it registers nothing",
    f"{CLASS}: ...\n".replace("(Method)", ""): (
        ", line 3: method 'own': Own is not a subclass of fairexit.methods.base.Method"
    ),
    f"{CLASS}:\n{TWO}\n": (
        ", line 3: method 'own': the positional arguments of Own must be (net, task, "
        "exit_weights), not (net, task, exit_weights, weight); options are keyword-only, after *"
    ),
    f"{CLASS}:\n    def penalty(self, exit, batch): ...\n": (
        ", line 3: method 'own': Own.penalty(self, exit, batch) must take (self, k, exit, batch)"
    ),
    f"{CLASS}: ...\n".replace("'own'", "'hsic'"): (
        ", line 3: method 'hsic' is registered already, by fairexit; choose another name"
    ),
    f"{CLASS}: ...\n".replace("('own')", ""): ", line 3: a method is registered under a name",
    f"{CLASS}: ...\nraise ValueError('late')\n": ", line 5: ValueError: late",
    DATASET.replace("def read", "def raed"): (
        ", line 27: dataset 'noise': Noise does not define read, see fairexit.data.records.Dataset"
    ),
    DATASET.replace("*, images", "images"): (
        ", line 27: dataset 'noise': the positional arguments of Noise must be (), not (images); "
    ),
    HEAD.replace("width, num_classes)", "width)"): (
        ", line 5: head 'mean': the positional arguments of MeanHead must be (width, num_classes)"
    ),
    BACKBONE.replace("*, stem,", "*,"): (
        ", line 8: backbone 'little': Little.network(self, name, num_classes, *, image_size) must "
        "take (self, name, num_classes, *, stem, image_size)"
    ),
}


@pytest.mark.parametrize("source", WRONG, ids=lambda source: WRONG[source][:30])
def test_a_wrong_plugin_is_one_line(source, command, tmp_path):
    before = {r.kind: r.names() for r in (methods, heads, datasets)}
    file = write(tmp_path / "wrong.py", source)
    for _ in range(2):
        status, printed, errors = command("list", "methods", "--plugin", file)
        assert (status, printed, errors.count("\n")) == (2, "", 1)
        assert errors.startswith(f"fairexit: plugin {file}{WRONG[source]}")
    assert {r.kind: r.names() for r in (methods, heads, datasets)} == before


def test_plugins_that_are_not_there(command, tiny, tmp_path):
    status, _, errors = command("list", "--plugin", tmp_path / "absent.py")
    wanted = f"plugin {tmp_path}/absent.py cannot be read: No such file or directory"
    assert (status, errors) == (2, f"fairexit: {wanted}\n")
    config = tmp_path / "c.yaml"
    config.write_text(yaml.safe_dump({"data": {"path": "x"}, "plugins": ["absent.py"]}))
    status, _, errors = command("train", config, "--out", tmp_path / "r")
    assert (status, errors) == (2, f"fairexit: {wanted}\n")
    config.write_text(yaml.safe_dump({"data": {"path": "x"}, "plugins": "absent.py"}))
    with pytest.raises(UserError, match=r"plugins is 'absent\.py'; give a list of files"):
        load_config(config)
    with pytest.raises(UserError, match=r"plugins is \['a\.py'\]; here it holds checksums"):
        build_config({"data": {"path": "x"}, "plugins": ["a.py"]})


def test_a_backbone_of_two_families(files, tmp_path):
    other = write(tmp_path / "other.py", BACKBONE.replace('"little"', '"small"'))
    load_plugins([files["backbone"], other])
    with pytest.raises(UserError) as caught:
        create_model("little4", 3)
    assert str(caught.value) == (
        f"backbone 'little4' belongs to two families, 'little' ({files['backbone']}) and 'small' "
        f"({other}); rename one"
    )


def test_type_hints_that_cannot_be_read_are_one_line(files):
    files["method"].write_text(METHOD.replace("weight: float", 'weight: "Weight"'))
    load_plugins([files["method"]])
    with pytest.raises(UserError, match=r"method 'quiet': the type hints of Quiet cannot be read"):
        methods.check("quiet", {"weight": 1})


def installed(folder, source, name="own_kit"):
    """A package with a plugin as pip would install it: a module and its metadata."""
    package, about = folder / name, folder / f"{name}-1.2.dist-info"
    for made in (package, about):
        made.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "plugin.py").write_text(source)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: own-kit\nVersion: 1.2\n")
    (about / "entry_points.txt").write_text(f"[fairexit.plugins]\nown = {name}.plugin\n")
    return package / "plugin.py"


def fairexit_with(folder, *words):
    paths = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-m", "fairexit", *map(str, words)],
        env=os.environ | {"PYTHONPATH": paths, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_installed_package_registers_itself(tiny, tmp_path):
    installed(tmp_path / "site", METHOD + HEAD)
    done = fairexit_with(tmp_path / "site", "list", "heads")
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if "│ mean " in line]
    assert line.rstrip("│ ").endswith("own-kit 1.2")
    # A file that takes one of its names is refused, and both are named.
    file = write(tmp_path / "own.py", METHOD)
    done = fairexit_with(tmp_path / "site", "list", "--plugin", file)
    assert (done.returncode, done.stderr) == (
        2,
        f"fairexit: plugin {file}, line 4: method 'quiet' is registered already, by own-kit 1.2; "
        "choose another name\n",
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import os\nimport nowhere_at_all\n", "ModuleNotFoundError: No module named 'nowhere_at"),
        (f"{CLASS}:\n    def penalty(self, exit, batch): ...\n", "method 'own': Own.penalty(self"),
        (f"{CLASS}: ...\nraise ValueError('late')\n", "line 5: ValueError: late"),
        ("x = 1\n", "its module own_kit.plugin registers nothing"),
    ],
)
def test_a_wrong_installed_package_fails_at_every_look_up(source, message, tmp_path, monkeypatch):
    file = installed(tmp_path / "site", source)
    monkeypatch.syspath_prepend(tmp_path / "site")
    kinds = Registry("method", "fairexit.methods", Method, methods.arguments)
    for _ in range(2):
        with pytest.raises(UserError) as caught:
            kinds.names()
        text = str(caught.value)
        assert text.startswith("plugin own-kit 1.2")
        assert message in text
        assert (f"{file}, line " in text) == ("nothing" not in message)


def test_a_registry_whose_import_has_failed_fails_again(tmp_path, monkeypatch):
    package = tmp_path / "broken_things"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from fairexit.registry import Registry\nthings = Registry('thing', __name__, object)\n"
    )
    for name in "ac":
        (package / f"{name}.py").write_text(
            "from broken_things import things\n\n"
            f"@things.register('{name}')\nclass Thing:\n    'A thing.'\n"
        )
    (package / "b.py").write_text("import nowhere_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    from broken_things import things

    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="nowhere_at_all"):
            things.names()
    with pytest.raises(ModuleNotFoundError, match="nowhere_at_all"):
        things["a"]
    (package / "b.py").write_text("")
    sys.path_importer_cache.clear()
    assert things.names() == ["a", "c"]


def test_the_checksum_of_a_file_that_another_process_loads(files):
    (origin,) = load_plugins([files["method"]])
    load, (path, digest) = origin.__reduce__()
    forget()
    assert load(Path(path), digest) == origin
    forget()
    files["method"].write_text(METHOD + "# edited\n")
    with pytest.raises(UserError, match=f"has changed: its SHA-256 was {digest}, the given"):
        load(Path(path), digest)


def test_workers_that_are_used_again_run_in_the_folder_of_the_call(tmp_path, monkeypatch):
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        jobs = [delayed(portable(os.getcwd))() for _ in range(4)]
        assert set(Parallel(n_jobs=2, backend="loky")(jobs)) == {str(folder)}
