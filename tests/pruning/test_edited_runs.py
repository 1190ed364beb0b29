"""Runs that are edited and trained further: what is edited stays, and they are runs like others."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from conftest import settings
from fairexit.config_prune import PruneConfig
from fairexit.errors import UserError
from fairexit.inference.predict import predict
from fairexit.predictions.files import read_predictions
from fairexit.pruning.criteria import criteria
from fairexit.pruning.edits import to_power_of_two
from fairexit.pruning.masks import load_masks
from fairexit.pruning.prune import prune
from fairexit.pruning.record import blocks_table, notes, path_table
from fairexit.runs import open_run, read_record
from fairexit.training import checkpoint
from fairexit.training.checkpoint import load_net
from fairexit.training.fit import train

QUICK = {"images": 12, "chunk": 6, "device": "cpu", "stop": False}
TRAINED = {**QUICK, "steps": 1, "step_epochs": 1, "finetune_lr": 0.05}


def same(one, two):
    a, b = load_file(one), load_file(two)
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


class KilledError(Exception):
    pass


def killing(original, calls):
    done = []

    def call(*args, **kwargs):
        result = original(*args, **kwargs)
        done.append(1)
        if len(done) == calls:
            raise KilledError
        return result

    return call


@pytest.mark.parametrize("method", criteria.names())
def test_ratio_zero_changes_no_bit(tiny_run, tmp_path, method):
    run = prune(tiny_run, tmp_path / "p", PruneConfig(**QUICK, ratio=0.0, method=method))
    for file in ("model.safetensors", "last.safetensors"):
        assert same(run.path / file, tiny_run.weights)
    assert read_record(run)["chosen"] == 0
    predict(run, ["test"])
    before, after = (read_predictions(r.predictions("test")) for r in (tiny_run, run))
    assert np.array_equal(before.probabilities, after.probabilities)


@pytest.mark.parametrize("average", ["none", "ema", "swad"])
def test_rounded_weights_stay_as_they_were_rounded(tiny, tmp_path, average):
    start = train(
        settings(tiny.path, train__epochs=1, train__average=average, model__exits=[1]),
        tmp_path / "r",
    )
    config = PruneConfig(**TRAINED, method="fairquantize", ratio=0.4)
    run = prune(start, tmp_path / "p", config)
    before, after = load_file(start.weights), load_file(run.weights)
    for name, mask in load_masks(run, load_net(run)).items():
        assert int((~mask).sum()) == round(0.4 * mask.numel())
        assert torch.equal(after[name][~mask], to_power_of_two(before[name])[~mask])
        if mask.any():
            assert not torch.equal(after[name][mask], before[name][mask])


def test_all_weights_become_powers_of_two(tiny_run, tmp_path):
    config = PruneConfig(**QUICK, method="fairquantize", steps=2, step_epochs=0, layers=["heads"])
    run = prune(tiny_run, tmp_path / "p", config)
    weights = load_file(run.weights)
    for name, mask in load_masks(run, load_net(run)).items():
        assert not mask.any()
        mantissas, _ = torch.frexp(weights[name])
        assert set(mantissas.abs().unique().tolist()) <= {0.0, 0.5}
    record = read_record(run)
    assert path_table(record).columns[2] == "Powers of two"
    assert [row["fraction"] for row in record["path"]] == pytest.approx([0, 0.5, 1], abs=1e-3)
    assert blocks_table(record).rows[-1][-1] == "100.0%"


def test_edited_channels_stay_zero_through_training(tiny_run, tmp_path):
    config = PruneConfig(**TRAINED | {"steps": 2}, method="scp", ratio=0.2, stages=[1, 3])
    run = prune(tiny_run, tmp_path / "p", config)
    net, masks = load_net(run), load_masks(run, load_net(run))
    record = read_record(run)
    assert [(b["name"], b["edited"]) for b in record["blocks"]] == [
        ("stage 1", 13),
        ("stage 3", 51),
    ]
    x, silent = torch.rand(4, 3, 28, 28), []
    with torch.no_grad():
        x = net.backbone.normalise(x)
        for number, stage in enumerate(net.backbone.stages, 1):
            x = stage(x)
            if number in (1, 3):
                silent.append(int((x.abs().amax((0, 2, 3)) == 0).sum()))
    assert silent[0] >= 13
    assert silent[1] >= 51
    weights = load_file(run.weights)
    assert all((weights[name][~mask] == 0).all() for name, mask in masks.items())
    assert not same(run.weights, tiny_run.weights)
    assert blocks_table(record).columns[0] == "Stage"
    assert not any("not pruned" in line for line in notes(record))
    predict(run, ["test"])
    assert read_predictions(run.predictions("test")).probabilities.shape[1] == 3


def test_killed_in_the_training_of_a_step_it_resumes_bit_for_bit(tiny_run, tmp_path, monkeypatch):
    config = PruneConfig(**TRAINED | {"steps": 2, "step_epochs": 2}, method="scp", finetune=1)
    whole = prune(tiny_run, tmp_path / "whole", config)
    with monkeypatch.context() as patch:
        # The second step, after its first epoch.
        patch.setattr(checkpoint, "STORE_EVERY", 0.0)
        patch.setattr(checkpoint, "save_checkpoint", killing(checkpoint.save_checkpoint, 3))
        with pytest.raises(KilledError):
            prune(tiny_run, tmp_path / "killed", config)
    resumed = prune(tiny_run, tmp_path / "killed", config)
    for file in ("model.safetensors", "last.safetensors"):
        assert same(whole.path / file, resumed.path / file)
    assert read_record(whole) == read_record(resumed)
    assert not resumed.checkpoints.exists()
    assert open_run(resumed.path).config.prune == config


def test_the_chosen_weights_are_missing(tiny_run, tmp_path, monkeypatch):
    config = PruneConfig(**QUICK, method="magnitude", finetune=1, steps=1)
    with monkeypatch.context() as patch:
        patch.setattr("fairexit.pruning.prune.finetune", killing(lambda *a, **k: None, 1))
        with pytest.raises(KilledError):
            prune(tiny_run, tmp_path / "p", config)
    (tmp_path / "p" / "checkpoints" / "edited.safetensors").unlink()
    with pytest.raises(UserError, match=r"edited\.safetensors is missing or damaged"):
        prune(tiny_run, tmp_path / "p", config)


def test_a_ratio_of_nearly_zero_is_further_training_alone(tiny_run, tmp_path):
    config = PruneConfig(**TRAINED, method="random", ratio=1e-9)
    run = prune(tiny_run, tmp_path / "p", config)
    record = read_record(run)
    assert [row["fraction"] for row in record["path"]] == [0, 0]
    assert run.inactive == ("nothing pruned",)
    assert all(mask.all() for mask in load_masks(run, load_net(run)).values())
    assert not same(run.weights, tiny_run.weights)
