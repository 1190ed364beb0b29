"""Training around a pruning: before it, by `prune:` in a config, and after it, with zeros held."""

import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from conftest import settings
from fairexit import pipeline
from fairexit.config_prune import PruneConfig
from fairexit.errors import UserError
from fairexit.models import create_model
from fairexit.pipeline import make_run
from fairexit.pruning.masks import load_masks
from fairexit.pruning.prune import prune
from fairexit.runs import Run, open_run
from fairexit.training import checkpoint, fit
from fairexit.training.checkpoint import load_net
from fairexit.training.fit import train
from fairexit.training.setup import resolve
from trained import KilledError

WHOLE = {
    **{"method": "magnitude", "steps": 2, "stop": False, "device": "cpu"},
    "layers": ["backbone.stages.0", "heads"],
}


def same(one, two):
    a, b = load_file(one), load_file(two)
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def killing(original, calls):
    done = []

    def call(*args, **kwargs):
        result = original(*args, **kwargs)
        done.append(1)
        if len(done) == calls:
            raise KilledError
        return result

    return call


def test_finetuning_holds_the_zeros_and_resumes_bit_for_bit(tiny_run, tmp_path, monkeypatch):
    config = PruneConfig(**WHOLE, finetune=2, finetune_lr=0.05)
    whole = prune(tiny_run, tmp_path / "whole", config)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_checkpoint", killing(checkpoint.save_checkpoint, 1))
        with pytest.raises(KilledError):
            prune(tiny_run, tmp_path / "killed", config)
    resumed = prune(tiny_run, tmp_path / "killed", config)
    for file in ("model.safetensors", "last.safetensors"):
        assert same(whole.path / file, resumed.path / file)
    weights, before = load_file(whole.last_weights), load_file(tiny_run.weights)
    for name, mask in load_masks(whole, load_net(whole)).items():
        assert (weights[name][~mask] == 0).all()
        assert not torch.equal(weights[name][mask], before[name][mask])
    log = pd.read_csv(whole.path / "log.csv")
    assert log["epoch"].tolist() == [1, 2]
    assert log["lr"].max() <= 0.05
    assert open_run(whole.path).config.prune == config


def test_prune_in_a_config_trains_first(tiny, tmp_path, monkeypatch):
    config = settings(tiny.path, train__epochs=1, prune=WHOLE)
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "prune", killing(lambda *a: None, 1))
        with pytest.raises(KilledError):
            make_run(config, tmp_path / "r")
    assert Run(tmp_path / "r" / "unpruned").finished
    monkeypatch.setattr(fit, "Trainer", None)
    run = make_run(config, tmp_path / "r")
    assert run.config == resolve(config)
    plain = open_run(run.path / "unpruned")
    assert plain.config == resolve(replace(config, prune=None))
    assert make_run(config, tmp_path / "r").finished
    with pytest.raises(UserError, match="is already pruned"):
        prune(run, tmp_path / "again", PruneConfig())
    with pytest.raises(UserError, match="training alone does not prune"):
        train(config, tmp_path / "x")


def test_two_processes_train_and_the_first_prunes(tiny, tmp_path):
    pruning = {"ratio": 0.2, "steps": 1, "images": 16, "stop": False, "finetune": 1, "devices": 2}
    config = settings(
        tiny.path, train__epochs=1, train__device="cpu", train__devices=2, prune=pruning
    )
    (tmp_path / "c.yaml").write_text(config.to_yaml())
    command = [sys.executable, "-m", "fairexit", "train", tmp_path / "c.yaml", "--out"]
    done = subprocess.run([*command, tmp_path / "run"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained:") == 1
    run = open_run(tmp_path / "run")
    again = prune(open_run(tmp_path / "run" / "unpruned"), tmp_path / "again", run.config.prune)
    assert same(run.weights, again.weights)
    assert run.pruning.is_file()


def test_without_prune_it_is_plain_training(tiny, tiny_run):
    assert make_run(settings(tiny.path), tiny_run.path).path == tiny_run.path


def test_what_cannot_be_trained_and_pruned(tiny, tmp_path):
    for change, message in [
        ({"prune": {"group": "sex"}}, "has no attribute 'sex'"),
        ({"prune": {"layers": ["x"]}}, "there is no layer 'x' to prune"),
        ({"prune": {"device": "abacus"}}, "^prune.device is 'abacus'"),
        (
            {"prune": {"finetune": 1}, "method": {"name": "domainindep"}},
            "method 'domainindep' cannot be fine-tuned",
        ),
    ]:
        with pytest.raises(UserError, match=message):
            make_run(settings(tiny.path, **change), tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_channels_that_cannot_be_edited_are_refused_before_the_training(small, tmp_path):
    for backbone, changes, message in [
        ("timm/vit_tiny_patch16_224", {}, "channels of stage 4 of .* are not written by conv"),
        ("resnet18", {"ratio": 0.9999}, "would set all 512 channels of stage 4 to zero"),
        ("resnet18", {"stages": [7]}, "there is no stage 7"),
    ]:
        model = {"backbone": backbone, "exits": "none"}
        config = settings(small.path, model=model, prune={"method": "scp", **changes})
        with pytest.raises(UserError, match=message):
            make_run(config, tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_a_distilled_network_is_finetuned_with_its_own_teacher(tiny, tmp_path):
    changes = {"train__epochs": 1, "method": {"name": "mfd"}, "model__exits": "none"}
    pruning = WHOLE | {"layers": ["backbone.stages.0"], "finetune": 1}
    run = make_run(settings(tiny.path, **changes, prune=pruning), tmp_path / "r")
    assert Run(run.path / "unpruned" / "teacher").finished
    assert pd.read_csv(run.path / "log.csv")["train_penaltyf"].gt(0).all()


def test_a_pretrained_start_is_pruned_and_finetuned_with_its_normalisation(tiny, tmp_path):
    """Neither the weights nor the settings of the start are needed again."""
    net = create_model("resnet18", tiny.task(None).num_classes, normalisation="half")
    torch.save(net.state_dict(), tmp_path / "start.pth")
    model = {"start": str(tmp_path / "start.pth"), "exits": [1]}
    pruning = WHOLE | {"layers": ["heads"], "finetune": 1}
    config = settings(tiny.path, model=model, train__epochs=2, train__freeze=1, prune=pruning)
    run = make_run(config, tmp_path / "r")
    for opened in (run, Run(run.path / "unpruned")):
        assert opened.description["preprocessing"]["normalisation"] == {
            **{"mean": [0.5] * 3, "std": [0.5] * 3},
            "applied": "inside the network",
        }
    assert torch.equal(load_net(run).backbone.normalise.std, torch.full((3, 1, 1), 0.5))
