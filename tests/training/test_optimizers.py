"""Optimisers by name: defaults, options, groups of parameters, and what is refused."""

import pandas as pd
import pytest
import torch

from fairexit.config_files import build_config
from fairexit.config_train import TrainConfig
from fairexit.errors import UserError
from fairexit.methods import methods
from fairexit.models import create_model
from fairexit.runs import Run
from fairexit.training.fit import train
from fairexit.training.optim import parameter_groups
from fairexit.training.optimizers import (
    build_optimizer,
    default_optimizer,
    filled,
    optimizer_factory,
    with_optimizer,
)
from fairexit.training.step import Stepper
from fairexit.types import Task
from trained import KilledError, kill_after, quick, same_runs

TASK = Task(("a", "b", "c"), "sex", ("f", "m"))


def resolved(backbone="resnet18", **settings):
    tree = {"data": {"path": "d"}, "model": {"backbone": backbone}, "train": settings}
    return with_optimizer(build_config(tree)).train


@pytest.mark.parametrize(
    ("backbone", "name"),
    [
        ("resnet18", "sgd"),
        ("vgg11", "sgd"),
        ("timm/efficientnet_lite0", "sgd"),
        ("timm/vit_tiny_patch16_224", "adamw"),
        ("timm/convnext_atto", "adamw"),
        ("timm/test_vit4", "adamw"),
    ],
)
def test_the_default_follows_the_normalisation_of_the_backbone(backbone, name):
    assert default_optimizer(backbone, "standard") == name


def test_defaults_follow_the_optimiser():
    def numbers(**settings):
        train = resolved(**settings)
        return train.optimizer, train.lr, train.momentum, train.weight_decay

    assert numbers() == ("sgd", 0.01, 0.9, 1e-5)
    assert numbers(backbone="timm/test_vit") == ("adamw", 1e-3, None, 1e-2)
    assert numbers(optimizer="lion") == ("lion", 1e-4, None, 0.0)
    assert numbers(optimizer="rprop") == ("rprop", 0.01, None, None)
    assert numbers(optimizer="adamw", lr=0.5, weight_decay=0.1) == ("adamw", 0.5, None, 0.1)
    assert resolved(optimizer="sgd", momentum=0.5) == resolved(momentum=0.5)


def test_torch_comes_before_timm():
    assert optimizer_factory("nadam") is torch.optim.NAdam
    assert optimizer_factory("lamb").__module__.startswith("timm")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "admw"}, r"train\.optimizer is 'admw', .*; did you mean 'adamw'\?"),
        (
            {"optimizer": "adamw", "optimizer_options": {"beta": [0.9, 0.9]}},
            r"train\.optimizer_options\.beta: adamw has no such option; did you mean 'betas'\?",
        ),
        (
            {"optimizer": "adamw", "optimizer_options": {"betas": [0.9, 1.5]}},
            "adamw with .* cannot train this network: Invalid beta parameter at index 1: 1.5",
        ),
        (
            {"optimizer": "adamw", "optimizer_options": {"eps": True}},
            r"train\.optimizer_options\.eps is True; it cannot be true or false",
        ),
        (
            {"optimizer_options": {"nesterov": 1}},
            r"train\.optimizer_options\.nesterov is 1; it must be true or false",
        ),
        ({"optimizer_options": {"lr": 1}}, r"optimizer_options\.lr is set as train\.lr; move it"),
        ({"optimizer_options": {"momentum": 1}}, r"is set as train\.momentum; move it"),
        ({"optimizer": "adamw", "momentum": 0.9}, r"train\.momentum belongs to sgd, but"),
        (
            {"backbone": "timm/test_vit", "momentum": 0.9},
            r"but the optimiser of timm/test_vit is adamw; leave it out, or set train\.optimizer",
        ),
        ({"optimizer": "sgdp"}, r"'sgdp' has no learning rate of its own; set train\.lr"),
        ({"optimizer": "lbfgs"}, "lbfgs cannot train this network: .*closure"),
        ({"optimizer": "sparseadam"}, "sparseadam cannot train this network: .*dense"),
        ({"optimizer": "rprop", "weight_decay": 0.1}, "rprop cannot train .*weight_decay"),
    ],
)
def test_refused(settings, message):
    with pytest.raises(UserError, match=message):
        resolved(**settings)


def test_a_refusal_leaves_no_folder(small, tmp_path):
    with pytest.raises(UserError, match="did you mean 'adamw'"):
        train(quick(small, optimizer="admw"), tmp_path / "r")
    assert not (tmp_path / "r").exists()


def method(backbone="timm/test_vit"):
    net = create_model(backbone, 3, exits=[2], image_size=32)
    return methods.create("advrev", net, TASK, [1.0, 1.0])


def by_name(method, groups):
    """Name of each parameter -> its group, which must be the only one."""
    names = {id(p): name for name, p in method.named_parameters()}
    pairs = [(names[id(p)], group) for group in groups for p in group["params"]]
    assert len(pairs) == len(dict(pairs)) == len(names)
    return dict(pairs)


def test_adamw_does_not_decay_biases_normalisation_and_embeddings():
    groups = by_name(net := method(), parameter_groups(net, filled(TrainConfig(), "adamw")))
    undecayed = {name for name, group in groups.items() if group.get("weight_decay") == 0}
    matrices = {
        name
        for name, p in net.named_parameters()
        if p.ndim > 1 and "pos_embed" not in name and "cls_token" not in name
    }
    assert undecayed == set(groups) - matrices
    assert any("pos_embed" in name for name in undecayed)


def test_sgd_decays_every_parameter():
    (group,) = parameter_groups(net := method(), filled(TrainConfig(), "sgd"))
    assert "weight_decay" not in group
    assert len(group["params"]) == len([*net.parameters()])


def test_stages_and_classifiers_have_rates_of_their_own():
    config = filled(TrainConfig(lr=0.1, head_lr=0.05, layer_decay=0.5), "sgd")
    groups = by_name(net := method(), parameter_groups(net, config))
    for name, group in groups.items():
        *_, stage = [None, *(s for s in range(4) if f"backbone.stages.{s}." in name)]
        assert group["lr_scale"] == pytest.approx(0.5 if stage is None else 0.5 ** (4 - stage))


def test_the_rates_of_the_groups_are_those_of_the_steps(small, tmp_path, monkeypatch):
    seen, take = [], Stepper.take

    def watched(self, *args, **options):
        values = take(self, *args, **options)
        seen.append({g["lr_scale"]: g["lr"] for g in self.optimizer.param_groups})
        return values

    monkeypatch.setattr(Stepper, "take", watched)
    config = quick(small, epochs=1, optimizer="sgd", lr=0.02, layer_decay=0.5, head_lr=0.04)
    train(config, tmp_path / "r")
    for rates in seen:
        assert rates == pytest.approx({2.0: 0.04, 0.5: 0.01, 0.25: 0.005, 0.125: 0.0025,
                                       0.0625: 0.00125})  # fmt: skip


def test_adamw_equals_torch_in_a_loop():
    """Against torch's own optimiser with two groups by hand."""
    torch.manual_seed(0)
    ours, twin = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    twin.load_state_dict(ours.state_dict())
    config = filled(TrainConfig(optimizer_options={"betas": [0.8, 0.9]}), "adamw")
    groups = [
        {"params": [ours.weight], "lr_scale": 1.0},
        {"params": [ours.bias], "lr_scale": 1.0, "weight_decay": 0.0},
    ]
    optimizer = build_optimizer(groups, config, torch.device("cpu"))
    expected = torch.optim.AdamW(
        [{"params": [twin.weight], "weight_decay": 0.01}, {"params": [twin.bias]}],
        lr=1e-3,
        betas=(0.8, 0.9),
        weight_decay=0.0,
    )
    for _ in range(5):
        x = torch.randn(4, 3)
        for layer, steps in ((ours, optimizer), (twin, expected)):
            steps.zero_grad()
            layer(x).square().sum().backward()
            steps.step()
    assert torch.allclose(ours.weight, twin.weight, atol=1e-7)
    assert torch.allclose(ours.bias, twin.bias, atol=1e-7)


@pytest.mark.parametrize("name", ["adamw", "lamb"])
def test_resumed_equals_uninterrupted(small, tmp_path, monkeypatch, name):
    config = quick(small, optimizer=name)
    whole = train(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        kill_after(patch, 1)
        with pytest.raises(KilledError):
            train(config, tmp_path / "killed")
    assert same_runs(whole, train(config, tmp_path / "killed"))
    assert Run(tmp_path / "whole").config.train.optimizer == name


def test_the_folder_says_which_optimiser_was_used(small, tmp_path):
    run = train(quick(small, epochs=1), tmp_path / "r")
    text = (run.path / "config.yaml").read_text()
    assert "optimizer: adamw" in text
    assert "lr: 0.001" in text
    assert pd.read_csv(run.path / "log.csv")["lr"].tolist() == [0.001]
    assert train(quick(small, epochs=1, optimizer="adamw"), run.path).finished, "the same run"
