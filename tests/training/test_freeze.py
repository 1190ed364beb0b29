"""Frozen parts keep their weights and statistics, bit for bit, and a resumed run is exact."""

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from conftest import settings
from fairexit.data.prepared import open_prepared
from fairexit.errors import UserError
from fairexit.runs import Run
from fairexit.training import checkpoint
from fairexit.training.checkpoint import load_net
from fairexit.training.fit import train
from fairexit.training.setup import build
from fairexit.training.trainer import Trainer
from trained import KilledError, kill_after


def config_from(run, freeze, **changes):
    model = {"start": str(run.path), "exits": [1, 2]}
    return settings(run.config.data.path, model=model, train__freeze=freeze, **changes)


def run_task(run):
    return open_prepared(run.config.data.path).task(run.config.data.group)


def changed(old, new, prefix):
    """Names below a prefix whose tensors differ."""
    names = [k for k in new if k.startswith(prefix)]
    assert names
    return [k for k in names if not torch.equal(old[k], new[k])]


@pytest.mark.parametrize(
    ("freeze", "kept", "trained"),
    [
        ("trunk", ["backbone.stages."], ["backbone.head.", "heads.1.", "heads.2."]),
        ("backbone", ["backbone."], ["heads.1.", "heads.2."]),
    ],
)
def test_what_is_frozen_stays_and_the_rest_learns(tiny_run, tmp_path, freeze, kept, trained):
    run = train(config_from(tiny_run, freeze, train__weight_decay=0.1), tmp_path / "r")
    old, new = load_file(tiny_run.weights), load_file(run.last_weights)
    for prefix in kept:
        assert changed(old, new, prefix) == []
    initial = build(run.config, run_task(tiny_run), 28).net.state_dict()
    for prefix in trained:
        assert changed(initial, new, prefix)


def test_the_final_exit_of_a_frozen_backbone_answers_as_before(tiny_run, tmp_path):
    run = train(config_from(tiny_run, "backbone", train__epochs=1), tmp_path / "r")
    old = build(config_from(tiny_run, "none"), run_task(tiny_run), 28).net.eval()
    x = torch.rand(4, 3, 28, 28)
    with torch.no_grad():
        assert torch.equal(load_net(run)(x)[-1].logits, old(x)[-1].logits)


def test_the_optimizer_has_no_frozen_parameters(tiny_run, tmp_path, monkeypatch):
    held, fit = {}, Trainer.fit

    def inspect(trainer, *tracker):
        frozen = {id(p) for p in trainer.method.net.backbone.stages.parameters()}
        groups = trainer.stepper.optimizer.param_groups
        held["frozen"] = [p for g in groups for p in g["params"] if id(p) in frozen]
        held["all"] = [p for g in groups for p in g["params"]]
        fit(trainer, *tracker)

    monkeypatch.setattr(Trainer, "fit", inspect)
    train(config_from(tiny_run, "trunk", train__epochs=1), tmp_path / "r")
    assert held["frozen"] == []
    assert held["all"]


def test_until_an_epoch_the_trunk_is_frozen_and_then_learns(tiny_run, tmp_path, monkeypatch):
    states, train_epoch = [], Trainer._train_epoch

    def after(trainer, epoch, bar):
        row = train_epoch(trainer, epoch, bar)
        states.append({k: t.clone() for k, t in trainer.method.net.state_dict().items()})
        return row

    monkeypatch.setattr(Trainer, "_train_epoch", after)
    train(config_from(tiny_run, 2, train__epochs=3), tmp_path / "r")
    start = load_file(tiny_run.weights)
    assert changed(start, states[0], "backbone.stages.") == []
    assert changed(start, states[1], "backbone.stages.") == []
    moved = changed(start, states[2], "backbone.stages.")
    assert any(k.endswith("running_mean") for k in moved)
    assert any(k.endswith(".weight") for k in moved)


@pytest.mark.parametrize("killed", [1, 2])
def test_a_resumed_run_is_the_uninterrupted_one(tiny_run, tmp_path, monkeypatch, killed):
    """Killed before or after the trunk thaws."""
    config = config_from(tiny_run, 1, train__epochs=3)
    monkeypatch.setattr(checkpoint, "STORE_EVERY", 0.0)
    whole = train(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        kill_after(patch, killed)
        with pytest.raises(KilledError):
            train(config, tmp_path / "killed")
    assert not Run(tmp_path / "killed").finished
    resumed = train(config, tmp_path / "killed")
    for file in ("weights", "last_weights"):
        a, b = (load_file(getattr(run, file)) for run in (whole, resumed))
        assert changed(a, b, "") == []


@pytest.mark.parametrize("method", ["hsic", "advrev", "domainindep", "mfd"])
def test_methods_train_on_a_frozen_trunk(tiny_run, tmp_path, method):
    run = train(
        config_from(tiny_run, "trunk", train__epochs=1, method={"name": method}), tmp_path / "r"
    )
    assert changed(load_file(tiny_run.weights), load_file(run.weights), "backbone.stages.") == []
    if method == "hsic":
        ratio = pd.read_csv(run.path / "log.csv")["penalty_ratio"]
        assert (ratio > 0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train__freeze": "trunk"}, "the network starts from random weights; give trained"),
        ({"train__freeze": 2, "train__epochs": 2}, "train.epochs is 2; give a smaller number"),
        ({"train__freeze": 0}, "give a smaller number of at least 1"),
        ({"train__freeze": True}, "train.freeze is true; it cannot be true or false"),
        ({"train__freeze": "stem"}, "train.freeze is 'stem'; it must be"),
        (
            {"train__freeze": "backbone", "model": {"pretrained": True}},
            "the final classifier is new; give model.start",
        ),
        (
            {"train__freeze": "backbone", "model": {"start": "RUN", "exits": "none"}},
            "model.exits is none, so nothing would be trained",
        ),
        (
            {"train__freeze": 1, "train__devices": 2, "model": {"start": "RUN"}},
            "needs a single device",
        ),
    ],
)
def test_what_cannot_be_frozen_is_one_line(tiny, tiny_run, tmp_path, changes, message):
    if changes.get("model", {}).get("start"):
        changes = {**changes, "model": {**changes["model"], "start": str(tiny_run.path)}}
    with pytest.raises(UserError, match=message) as caught:
        train(settings(tiny.path, **changes), tmp_path / "r")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "r").exists()
