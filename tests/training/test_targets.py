"""Label smoothing, class weights and accumulated gradients, against explicit formulas."""

import math

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from fairexit.errors import UserError
from fairexit.methods import methods
from fairexit.models import create_model
from fairexit.training.fit import train
from fairexit.training.step import divided
from fairexit.training.targets import class_weights, listed_weights
from fairexit.types import Batch, Exit, Task
from trained import (
    WITHOUT_BATCH_NORM,
    KilledError,
    kill_after,
    largest_difference,
    quick,
    same_runs,
)

TASK = Task(("a", "b", "c"), "sex", ("f", "m"))
LABELS = torch.tensor([0] * 6 + [1] * 3 + [2])
CLASSES = ("plain", "ring", "spots", "stripes")


def method(name="erm", **options):
    torch.manual_seed(0)
    net = create_model(WITHOUT_BATCH_NORM, 3, exits="none", image_size=32)
    made = methods.create(name, net, TASK, [1.0], **options)
    made.begin(LABELS, torch.arange(10) % 2)
    return made


def batch():
    torch.manual_seed(1)
    z = torch.randn(10, 3)
    return Exit(z, z), Batch(z, LABELS, torch.arange(10) % 2)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_label_smoothing_is_torchs(smoothing):
    made, (exit, data) = method(), batch()
    made.label_smoothing = smoothing
    expected = F.cross_entropy(exit.logits, LABELS, label_smoothing=smoothing)
    assert made.target_loss(0, exit, data).item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("name", ["erm", "reweight", "groupdro", "domainindep"])
def test_every_method_has_smoothed_and_weighted_targets(name):
    made, (exit, data) = method(name), batch()
    if name == "domainindep":
        exit = Exit(exit.logits, torch.randn(10, made.group_heads[0].in_features))
    plain = made.eval().target_loss(0, exit, data).item()
    made.class_weights.fill_(2.0)
    assert made.target_loss(0, exit, data).item() == pytest.approx(2 * plain, rel=1e-5)
    made.label_smoothing = 0.3
    assert made.target_loss(0, exit, data).item() != pytest.approx(2 * plain, rel=1e-3)


@pytest.mark.parametrize("setting", ["balanced", [1.0, 2.0, 5.0], {"c": 4.0}])
def test_class_weights_are_the_formula(setting):
    shares = [0.6, 0.3, 0.1]
    given = {"balanced": [1 / p for p in shares]}.get(str(setting), [1.0, 1.0, 4.0])
    given = setting if isinstance(setting, list) else given
    mean = sum(p * v for p, v in zip(shares, given, strict=True))
    weights = class_weights(setting, TASK, LABELS)
    assert weights.tolist() == pytest.approx([v / mean for v in given], rel=1e-6)
    made, (exit, data) = method(), batch()
    made.class_weights.copy_(weights)
    total = 0.0
    for row, label in zip(exit.logits.tolist(), LABELS.tolist(), strict=True):
        total += weights[label].item() * (math.log(sum(map(math.exp, row))) - row[label])
    assert made.target_loss(0, exit, data).item() == pytest.approx(total / 10, rel=1e-5)


def test_balanced_weights_are_those_of_the_drawn_images():
    """An epoch that draws the classes equally often needs no weights."""
    draws = torch.tensor([10 / 18] * 6 + [10 / 9] * 3 + [10 / 3])
    assert class_weights("balanced", TASK, LABELS, draws).tolist() == pytest.approx([1, 1, 1])
    without_c = class_weights("balanced", TASK, LABELS[:9])
    assert without_c.tolist() == pytest.approx([0.75, 1.5, 0.0])
    assert class_weights("none", TASK, LABELS).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ([1.0, 2.0], "give 3 weights that are not negative and not all 0, for the classes a, b, c"),
        ([0.0, 0.0, 0.0], "give 3 weights"),
        ([1.0, -1.0, 1.0], "give 3 weights"),
        ([1.0, float("nan"), 1.0], "give 3 weights"),
        ({"aa": 1.0}, "names the class 'aa', which the data lack; did you mean 'a'"),
    ],
)
def test_weights_that_do_not_fit(setting, message):
    with pytest.raises(UserError, match=message):
        listed_weights(setting, TASK)


def test_weights_of_absent_classes_alone():
    with pytest.raises(UserError, match="0 for every class of the training split"):
        class_weights([0.0, 0.0, 1.0], TASK, LABELS[:9])


def test_a_refusal_leaves_no_folder(small, tmp_path):
    with pytest.raises(UserError, match=r"train\.class_weights names the class 'x'"):
        train(quick(small, class_weights={"x": 2.0}), tmp_path / "r")
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("name", ["erm", "reweight", "advrev"])
def test_accumulated_batches_equal_a_large_one(small, tmp_path, name):
    """54 training images: 27 a step, in parts of 7, 7, 7 and 6."""
    common = {"epochs": 2, "optimizer": "sgd", "lr": 0.02, "clip": 1.0, "label_smoothing": 0.1}
    common["class_weights"] = "balanced"
    large = train(quick(small, method=name, batch_size=32, **common), tmp_path / "large")
    parts = train(
        quick(small, method=name, batch_size=8, accumulate=4, **common), tmp_path / "parts"
    )
    assert largest_difference(large.last_weights, parts.last_weights) < 1e-6
    logs = [pd.read_csv(run.path / "log.csv")["train_loss"].tolist() for run in (large, parts)]
    assert logs[0] == pytest.approx(logs[1], rel=1e-5)
    alone = train(quick(small, method=name, batch_size=8, **common), tmp_path / "alone")
    assert largest_difference(large.last_weights, alone.last_weights) > 1e-4


def test_the_parts_of_a_batch():
    whole = Batch(torch.rand(10, 3, 2, 2), torch.arange(10), torch.arange(10))
    parts = divided(whole, 4)
    assert [len(part.labels) for part in parts] == [3, 3, 2, 2]
    assert torch.equal(torch.cat([part.images for part in parts]), whole.images)


def test_resumed_equals_uninterrupted(small, tmp_path, monkeypatch):
    config = quick(small, batch_size=8, accumulate=3, class_weights="balanced")
    whole = train(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        kill_after(patch, 2)
        with pytest.raises(KilledError):
            train(config, tmp_path / "killed")
    assert same_runs(whole, train(config, tmp_path / "killed"))


def test_parts_that_are_too_small(small, tmp_path):
    with pytest.raises(UserError, match=r"train\.batch_size is 2 and train\.accumulate 10, which"):
        train(quick(small, batch_size=2, accumulate=10), tmp_path / "r")


def test_the_epochs_that_are_kept(small, tmp_path):
    run = train(quick(small, epochs=5, save_every=2), tmp_path / "r")
    kept = sorted(file.name for file in run.checkpoints.glob("*.safetensors"))
    assert kept == ["epoch-2.safetensors", "epoch-4.safetensors"]
    short = train(quick(small, epochs=2), tmp_path / "short")
    assert load_file(run.checkpoints / kept[0]).keys() == load_file(run.weights).keys()
    assert largest_difference(run.checkpoints / kept[0], short.last_weights) == 0
