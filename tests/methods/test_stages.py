"""Methods that need another run: JTT's identification network, and DFR's run by ERM."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import settings
from fairexit.api.training import prune, refit
from fairexit.data.augment import Augment
from fairexit.data.loaders import Loader
from fairexit.errors import UserError
from fairexit.inference.predict import predict
from fairexit.methods import dfr, methods
from fairexit.models import create_model
from fairexit.pipeline import make_run
from fairexit.runs import open_run
from fairexit.training import fit
from fairexit.training.checkpoint import load_net
from fairexit.training.fit import train
from fairexit.training.setup import resolve
from fairexit.types import Task

SMALL = {"model__exits": [3], "train__epochs": 1, "train__batch_size": 48}
JTT = {"method": {"name": "jtt", "epochs": 2, "factor": 4}}


def same_weights(file, other):
    first, second = load_file(file), load_file(other)
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def jtt(tiny, tmp_path_factory):
    return train(settings(tiny.path, **SMALL, **JTT), tmp_path_factory.mktemp("jtt") / "run")


def test_the_errors_of_the_identification_network_are_stored(tiny, jtt):
    network = open_run(jtt.path / "identification")
    assert network.config.method == {"name": "erm"}
    assert network.config.train.epochs == 2
    assert network.config.train.schedule == "constant"
    rows = tiny.rows("train")
    loader = Loader(tiny, rows, "skin_tone", batch_size=1000, device=torch.device("cpu"))
    (batch,) = loader.evaluation(Augment("none", 0))
    with torch.no_grad():
        answers = load_net(network, last=True)(batch.images)[-1].logits.argmax(1)
    wrong = tiny.frame["id"].to_numpy()[rows[(answers != batch.labels).numpy()]]
    stored = json.loads(jtt.identified.read_text())
    assert stored == {"images": len(rows), "wrong": wrong.tolist()}
    assert 0 < len(wrong) < len(rows)


def test_errors_are_drawn_factor_times_as_often(tiny):
    rows = tiny.rows("train")
    net, task = create_model("resnet18", 3, exits="none"), Task(("a", "b", "c"), "s", ("f", "m"))
    method = methods.create("jtt", net, task, [1.0], factor=4)
    wrong = torch.arange(len(rows)) % 5 == 0
    method.set_errors(wrong)
    loader = Loader(
        tiny,
        rows,
        "skin_tone",
        batch_size=8,
        device=torch.device("cpu"),
        weights=method.draw_weights,
    )
    counts = np.zeros(len(rows))
    for epoch in range(400):
        order = loader.order("natural", 0, epoch)
        assert len(order) == len(rows)
        counts += np.bincount(order, minlength=rows.max() + 1)[rows]
    ratio = counts[wrong.numpy()].mean() / counts[~wrong.numpy()].mean()
    assert ratio == pytest.approx(4, rel=0.05)
    expected = loader.expected_draws("natural").numpy()
    assert counts.sum() == 400 * len(rows)
    np.testing.assert_allclose(counts / 400, expected, atol=0.5)


def test_jtt_resumes_after_each_stage(tiny, jtt, tmp_path, monkeypatch):
    config = settings(tiny.path, **SMALL, **JTT)
    stages = {"write_errors": "identification", "find_errors": "identification/config.json"}
    for name, finished in stages.items():
        with monkeypatch.context() as patch:

            def killed(*args):
                raise KeyboardInterrupt

            patch.setattr(fit, name, killed)
            with pytest.raises(KeyboardInterrupt):
                train(config, tmp_path / name)
        assert (tmp_path / name / finished).exists()
        assert not (tmp_path / name / "identified.json").exists()
        resumed = train(config, tmp_path / name)
        assert same_weights(resumed.last_weights, jtt.last_weights)


def test_without_an_error_nothing_is_upweighted_and_the_run_says_so(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(fit, "find_errors", lambda run, loader: np.zeros(len(loader.rows), bool))
    run = train(settings(tiny.path, **SMALL, **JTT), tmp_path / "run")
    assert run.inactive == ("nothing upweighted",)


def test_errors_of_other_data_are_refused(tiny, jtt, tmp_path):
    stored = {"images": 1, "wrong": ["nobody"]}
    config = settings(tiny.path, **SMALL, **JTT)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "started.json").write_text((jtt.path / "started.json").read_text())
    (tmp_path / "run" / "identified.json").write_text(json.dumps(stored))
    with pytest.raises(UserError, match=r"identified\.json does not fit the training split"):
        train(config, tmp_path / "run")


def test_a_pruned_jtt_is_fine_tuned_with_the_same_errors(jtt, tmp_path, monkeypatch):
    seen = []
    original = fit.read_errors

    def read(run, *args):
        seen.append((run.path, original(run, *args)))
        return seen[-1][1]

    monkeypatch.setattr(fit, "read_errors", read)
    prune(jtt, tmp_path / "pruned", ratio=0.2, steps=1, images=16, stop=False, finetune=1)
    ((path, wrong),) = seen
    assert path == jtt.path
    assert wrong.sum() == len(json.loads(jtt.identified.read_text())["wrong"])


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(dfr, "STRENGTHS", (0.1, 1.0))


DFR = {"method": {"name": "dfr", "refits": 2}}


def test_dfr_is_erm_with_other_last_layers(tiny, tmp_path, quick):
    """Trained at once, from a finished run, and by the command: the same network."""
    config = settings(tiny.path, **SMALL, **DFR)
    run = make_run(config, tmp_path / "dfr")
    erm = open_run(run.path / "erm")
    again = refit(erm, tmp_path / "again", refits=2)
    assert same_weights(run.weights, again.weights)
    assert open_run(again.path).config == resolve(config)
    before, after = load_file(erm.weights), load_file(run.weights)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    layers = ("heads.3.classifier", "backbone.head.classifier")
    assert changed == {f"{layer}.{p}" for layer in layers for p in ("weight", "bias")}
    record = json.loads(run.refit.read_text())
    assert list(record["exits"]) == ["3", "f"]
    assert record["fitted"] + record["choosing"] == len(tiny.rows("val"))
    assert len(predict(run)) == 2


def test_dfr_resumes_and_is_not_refitted_twice(tiny, tmp_path, quick, monkeypatch):
    config = settings(tiny.path, **SMALL, **DFR)
    whole = make_run(config, tmp_path / "whole")
    with monkeypatch.context() as patch:

        def killed(*args):
            raise KeyboardInterrupt

        patch.setattr(dfr.Dfr, "refit", killed)
        with pytest.raises(KeyboardInterrupt):
            make_run(config, tmp_path / "killed")
        assert not (tmp_path / "killed" / "config.json").exists()
    resumed = make_run(config, tmp_path / "killed")
    assert same_weights(resumed.weights, whole.weights)
    stamp = resumed.weights.stat().st_mtime_ns
    make_run(config, tmp_path / "killed")
    assert resumed.weights.stat().st_mtime_ns == stamp


def test_dfr_and_pruning(tiny, tmp_path, quick):
    changes = {**SMALL, **DFR, "prune": {"ratio": 0.2, "steps": 1, "images": 16, "stop": False}}
    run = make_run(settings(tiny.path, **changes), tmp_path / "pruned")
    unpruned = open_run(run.path / "unpruned")
    assert unpruned.refit.is_file()
    before, after = load_file(unpruned.weights), load_file(run.weights)
    zeros = sum(int((after[k] == 0).sum() - (before[k] == 0).sum()) for k in before)
    assert zeros > 0
    with pytest.raises(
        UserError, match=r"undo its refit; set prune\.finetune and prune\.step_epochs to 0"
    ):
        prune(unpruned, tmp_path / "x", finetune=1)
    with pytest.raises(UserError, match="is pruned; refit the run that it was made from"):
        refit(run, tmp_path / "y")


def test_a_run_by_another_method_is_refused(jtt, tiny_run, tmp_path):
    with pytest.raises(UserError, match="was trained by method 'jtt', but the last layers of a"):
        refit(jtt, tmp_path / "x")
    with pytest.raises(UserError, match="'dfr' has no option 'refit'; did you mean 'refits'"):
        refit(tiny_run, tmp_path / "x", refit=3)
    assert not (tmp_path / "x").exists()


def test_a_refit_of_another_network_is_refused(tiny, tiny_run, tmp_path, quick):
    refit(tiny_run, tmp_path / "dfr", refits=1)
    other = train(tiny_run.config, tmp_path / "other")
    weights = load_file(other.weights)
    weights["backbone.head.classifier.bias"] += 1
    save_file(weights, other.weights)
    with pytest.raises(UserError, match="holds a refit of another network; choose another"):
        refit(other, tmp_path / "dfr", refits=1)


def test_the_command(tiny_run, tmp_path, command, quick):
    status, out, _ = command("refit", tiny_run.path, "--out", tmp_path / "dfr", "--refits", 2)
    assert status == 0
    assert "validation images to fit on" in out
    assert "exit 1: C 0.1" in out or "exit 1: C 1" in out
    assert out.endswith(f"refitted: {tmp_path / 'dfr'} (next: fairexit predict {tmp_path}/dfr)\n")
    status, _, err = command("refit", tiny_run.path, "--out", tmp_path / "x", "--balance", "cell")
    assert status == 2
    assert "option 'balance' is 'cell'" in err
