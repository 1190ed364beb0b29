"""Averages of the weights, against explicit loops; the window of SWAD; resumed runs."""

import copy

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

from fairexit.methods import methods
from fairexit.models import create_model
from fairexit.training.average import Ema, Swad
from fairexit.training.fit import train
from fairexit.training.stopping import swad_window
from fairexit.training.trainer import Trainer
from fairexit.types import Task
from trained import WITH_BATCH_NORM, WITHOUT_BATCH_NORM, KilledError, kill_after, quick, same_runs

TASK = Task(("a", "b", "c"), "sex", ("f", "m"))


def drawn_method(backbone=WITHOUT_BATCH_NORM):
    torch.manual_seed(0)
    net = create_model(backbone, 3, exits="none", image_size=32)
    return methods.create("erm", net, TASK, [1.0])


def move(method, generator):
    """Stands for a step of an optimiser: every parameter is drawn anew."""
    with torch.no_grad():
        for p in method.parameters():
            p.copy_(torch.randn(p.shape, generator=generator))


def values(method):
    return torch.cat([p.detach().double().flatten() for p in method.parameters()])


def test_ema_is_the_explicit_loop():
    method, generator = drawn_method(), torch.Generator().manual_seed(1)
    average, expected = Ema(method, 0.6), values(method)
    for n in range(20):
        move(method, generator)
        average.after_step()
        decay = min(0.6, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * values(method)
    assert torch.allclose(values(average.method), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("losses", "window"),
    [
        ([5.0], (0, 0, False)),
        ([5, 4, 3, 2], (3, 3, False)),
        ([5, 2, 3, 3], (1, 3, False)),
        ([5, 2, 3, 3, 9, 2], (1, 5, False)),
        ([5, 2, 3, 3, 9, 9], (1, 3, False)),
        ([1, 1, 1, 1.29, 1.31, 1.31, 1.31, 1.31, 1.31, 1.31, 1.0], (0, 3, True)),
        ([3, 2, 3, 1, 1, 1], (3, 5, False)),
    ],
)
def test_the_window_of_swad(losses, window):
    assert tuple(swad_window(losses)) == window


@given(st.lists(st.floats(0.1, 3.0), min_size=1, max_size=25))
def test_the_window_is_the_papers(losses):
    """Algorithm 1 of Cha et al. 2021, one look back at every epoch."""
    start = end = limit = None
    for i in range(len(losses)):
        if start is None:
            if i >= 2 and losses[i - 2] == min(losses[i - 2 : i + 1]):
                start, limit = i - 2, 1.3 * (sum(losses[i - 2 : i + 1]) / 3)
        elif i - 6 >= start + 2 and min(losses[i - 5 : i + 1]) > limit:
            end = i - 6
            break
    window = swad_window(losses)
    if start is not None:
        assert window.start == start
    assert window.has_ended == (end is not None)
    if end is not None:
        assert window.end == end


@pytest.mark.parametrize(
    "losses", [[5, 4, 3], [5, 2, 3, 3, 9, 9, 2], [5, 2, 3, 1, 9, 9, 9], [1, 1, 1] + [2] * 6]
)
def test_swad_is_the_mean_over_the_steps_of_its_window(losses):
    method, generator = drawn_method(), torch.Generator().manual_seed(1)
    average, steps = Swad(method), []
    for epoch in range(len(losses)):
        steps.append([])
        for _ in range(3):
            move(method, generator)
            average.after_step()
            steps[-1].append(values(method))
        average.after_epoch(losses[: epoch + 1])
        window = swad_window(losses[: epoch + 1])
        inside = [w for part in steps[window.start : window.end + 1] for w in part]
        expected = torch.stack(inside).mean(0)
        assert torch.allclose(values(average.method), expected, atol=1e-5), epoch


def test_the_statistics_of_batch_normalisation_are_those_of_the_averaged_weights():
    method = drawn_method(WITH_BATCH_NORM)
    average = Ema(method, 0.9)
    move(method, torch.Generator().manual_seed(1))
    average.after_step()
    images = torch.rand(12, 3, 32, 32)
    average.refresh(images.split(4))
    first = next(m for m in average.method.modules() if isinstance(m, nn.BatchNorm2d))
    seen = []
    hook = first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    average.method.eval().net(images)
    hook.remove()
    assert torch.allclose(first.running_mean, seen[0].mean((0, 2, 3)), atol=1e-5)
    raw = next(m for m in method.modules() if isinstance(m, nn.BatchNorm2d))
    assert not torch.allclose(first.running_mean, raw.running_mean)


def test_a_frozen_teacher_is_not_copied():
    net, teacher = (create_model("timm/test_vit", 3, exits="none", image_size=32) for _ in "ab")
    method = methods.create("mfd", net, TASK, [1.0])
    method.set_teacher(teacher)
    assert Ema(method, 0.9).method.teacher is teacher


def test_the_averaged_heads_of_the_groups_are_folded():
    net = create_model("timm/test_vit", 3, exits="none", image_size=32)
    method = methods.create("domainindep", net, TASK, [1.0])
    average, generator = Ema(method, 0.5), torch.Generator().manual_seed(0)
    for _ in range(3):
        move(method, generator)
        average.after_step()
    average.method.fold()
    heads = average.method.group_heads[0].weight.view(2, 3, -1)
    assert torch.allclose(average.method.net.exit_heads[0].classifier.weight, heads.mean(0))


@pytest.mark.parametrize("average", ["ema", "swad"])
@pytest.mark.parametrize("backbone", [WITHOUT_BATCH_NORM, WITH_BATCH_NORM])
def test_resumed_equals_uninterrupted(small, tmp_path, monkeypatch, average, backbone):
    config = quick(small, backbone, average=average, optimizer="sgd", lr=0.02, epochs=5)
    whole = train(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        kill_after(patch, 3)
        with pytest.raises(KilledError):
            train(config, tmp_path / "killed")
    assert same_runs(whole, train(config, tmp_path / "killed"))


@pytest.mark.parametrize("average", ["ema", "swad"])
def test_the_averaged_network_is_stored_and_not_the_last_one(small, tmp_path, monkeypatch, average):
    ends, finish = [], Trainer.finish

    def watched(self, config):
        ends.append(
            (copy.deepcopy(self.method.net), copy.deepcopy(self.validator.average.method.net))
        )
        finish(self, config)

    monkeypatch.setattr(Trainer, "finish", watched)
    run = train(quick(small, average=average, epochs=2, select="loss"), tmp_path / "r")
    raw, averaged = ends[0]
    stored = load_file(run.last_weights)
    assert all(torch.equal(value, stored[key]) for key, value in averaged.state_dict().items())
    assert any(not torch.equal(v, stored[k]) for k, v in raw.state_dict().items())
    log = pd.read_csv(run.path / "log.csv")
    assert ("val_raw_loss" in log) == (average == "swad")
    if average == "swad":
        assert (log["val_raw_loss"] != log["val_loss"]).all()


def test_an_average_of_constant_weights_is_the_run_without_it(small, tmp_path):
    """With a rate of nearly zero the average cannot differ, whatever it does with the rest."""
    still = {"optimizer": "sgd", "lr": 1e-30, "weight_decay": 0.0, "epochs": 2}
    logs = [
        pd.read_csv(train(quick(small, average=a, **still), tmp_path / a).path / "log.csv")
        for a in ("none", "ema", "swad")
    ]
    for log in logs[1:]:
        assert log["val_loss"].tolist() == pytest.approx(logs[0]["val_loss"].tolist(), abs=1e-5)
