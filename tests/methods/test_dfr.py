"""DFR: the solver against scikit-learn, the folded layer, the balance, and its messages."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from fairexit.errors import UserError
from fairexit.methods import HeldOut, methods
from fairexit.methods import dfr as module
from fairexit.methods.l1_logistic import Layer, fit_l1_logistic
from fairexit.models import create_model
from fairexit.types import Task

TASK = Task(("a", "b", "c"), "sex", ("f", "m"))


def objective(x, y, layer, strength):
    logits = x @ layer.weight.T + layer.bias
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return -strength * logs[range(len(y)), y].sum() + np.abs(layer.weight).sum()


@pytest.mark.parametrize("strength", [0.01, 0.1, 1.0])
def test_the_solver_against_scikit_learn(strength):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 12)) @ rng.normal(size=(12, 12))
    x = (x - x.mean(0)) / x.std(0)
    y = (x[:, :3] + rng.normal(size=(150, 3))).argmax(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its options have changed their names
        twin = LogisticRegression(
            penalty="l1", l1_ratio=1.0, solver="saga", C=strength, tol=1e-8, max_iter=20000
        ).fit(x, y)
    layer = fit_l1_logistic(x, y, 3, strength=strength)
    theirs = Layer(twin.coef_, twin.intercept_)
    ours, least = (objective(x, y, each, strength) for each in (layer, theirs))
    assert ours <= least * (1 + 1e-6), "its own search of the biases is slow"
    np.testing.assert_allclose(layer.weight, theirs.weight, atol=0.02)
    assert layer.bias.sum() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("strength", [0.01, 0.1, 1.0])
def test_the_solution_meets_the_conditions_of_the_minimum(strength):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 12))
    y = (x[:, :3] + rng.normal(size=(150, 3))).argmax(1)
    layer = fit_l1_logistic(x, y, 3, strength=strength, tolerance=1e-14)
    logits = x @ layer.weight.T + layer.bias
    error = np.exp(logits) / np.exp(logits).sum(1, keepdims=True) - np.eye(3)[y]
    slope = strength * error.T @ x
    used = layer.weight != 0
    np.testing.assert_allclose(slope[used], -np.sign(layer.weight[used]), atol=0.01)
    assert (np.abs(slope[~used]) < 1.01).all()
    np.testing.assert_allclose(error.sum(0), 0, atol=0.01 / strength)
    assert strength > 0.01 or not used.all(), "a strong penalty makes weights zero"


def test_a_start_changes_only_speed():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(60, 5)), rng.integers(0, 3, 60)
    start = Layer(rng.normal(size=(3, 5)), np.zeros(3))
    far = fit_l1_logistic(x, y, 3, strength=0.3, start=start)
    near = fit_l1_logistic(x, y, 3, strength=0.3)
    np.testing.assert_allclose(far.weight, near.weight, atol=1e-2)


def held_out(n=400, dims=(6, 5), cells=None, seed=0):
    """Features in which the first follows the class, and the second the group."""
    rng = np.random.default_rng(seed)
    labels, groups = rng.integers(0, 3, n), rng.integers(-1, 2, n)
    if cells is not None:
        labels, groups = np.array(cells).T
    features = []
    for d in dims:
        z = rng.normal(size=(len(labels), d)) + 3
        z[:, :3] += 2 * np.eye(3)[labels]
        z[:, 3] += 4 * groups
        features.append(z.astype(np.float32))
    return HeldOut(features, labels, groups, np.arange(len(labels)) % 2 == 0)


def build(**options):
    torch.manual_seed(0)
    net = create_model("resnet18", 3, exits=[2], image_size=28)
    for head, d in zip(net.exit_heads, (6, 5), strict=True):
        head.classifier = torch.nn.Linear(d, 3)
    return methods.create("dfr", net, TASK, [1.0, 1.0], **options)


@pytest.mark.parametrize("balance", ["cells", "groups"])
def test_the_layer_is_the_mean_of_refits_with_the_standardisation_folded_in(balance, monkeypatch):
    monkeypatch.setattr(module, "TOLERANCE", 1e-12)
    data, method = held_out(), build(refits=3, balance=balance)
    record = method.refit(data, seed=4)
    rng = np.random.default_rng(4)
    fits = data.fits & (data.groups >= 0)
    counts = {
        (c, g): (fits & (data.labels == c) & (data.groups == g)).sum()
        for c in range(3)
        for g in range(2)
    }
    samples = []
    for _ in range(3):
        rows = []
        for c in range(3):
            for g in range(2):
                size = min(counts[c, 0], counts[c, 1])
                if balance == "cells":
                    size = min(counts.values())
                # Among the images of known group, in their order.
                known = np.flatnonzero(data.groups >= 0)
                cell = np.flatnonzero((fits & (data.labels == c) & (data.groups == g))[known])
                rows.append(known[rng.choice(cell, size, replace=False)])
        samples.append(np.concatenate(rows))
    assert record["subsample"] == len(samples[0])
    for k, head in enumerate(method.net.exit_heads):
        scaler = StandardScaler().fit(data.features[k][fits].astype(float))
        strength = record["exits"][method.net.exit_names[k]]["C"]
        layers = [
            fit_l1_logistic(
                scaler.transform(data.features[k][rows].astype(float)),
                data.labels[rows],
                3,
                strength=strength,
                tolerance=1e-12,
            )
            for rows in samples
        ]
        weight = np.mean([layer.weight for layer in layers], 0)
        bias = np.mean([layer.bias for layer in layers], 0)
        expected = scaler.transform(data.features[k].astype(float)) @ weight.T + bias
        with torch.no_grad():
            logits = head.classifier(torch.from_numpy(data.features[k])).numpy()
        np.testing.assert_allclose(logits, expected, atol=2e-3)


def test_the_strength_is_the_best_of_the_worst_group_on_the_other_half(monkeypatch):
    monkeypatch.setattr(module, "STRENGTHS", (0.001, 0.1))
    data, method = held_out(), build(refits=2)
    record = method.refit(data, seed=0)["exits"]["f"]
    assert record["C"] == 0.1
    head = method.net.exit_heads[-1].classifier
    with torch.no_grad():
        answers = head(torch.from_numpy(data.features[-1])).argmax(1).numpy()
    by_group = []
    for g in range(2):
        recalls = []
        for c in range(3):
            cell = ~data.fits & (data.groups == g) & (data.labels == c)
            recalls.append((answers[cell] == c).mean())
        by_group.append(np.mean(recalls))
    assert record["worst_group"]["0.1"] == pytest.approx(min(by_group))
    assert record["worst_group"]["0.1"] > record["worst_group"]["0.001"]


def test_a_group_that_reveals_the_class_by_chance_is_not_used():
    """Nine of ten images of a class have its group; balanced, the class alone remains."""
    rng = np.random.default_rng(0)
    cells = [(c, int(rng.random() < (0.9 if c else 0.1))) for c in rng.integers(0, 3, 900)]
    data, method = held_out(cells=cells), build(refits=5)
    method.refit(data, seed=0)
    weight = method.net.exit_heads[-1].classifier.weight.detach().numpy()
    assert np.abs(weight[:, 3]).max() < 0.1 * np.abs(weight[:, :3]).max()


def test_a_constant_feature_gets_no_weight():
    data, method = held_out(), build(refits=1)
    data.features[1][:, 4] = 7.0
    method.refit(data, seed=0)
    assert (method.net.exit_heads[-1].classifier.weight[:, 4] == 0).all()


def test_a_class_of_one_group_is_named_and_fitted_as_it_is():
    cells = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 1)] * 40
    for balance, size in (("cells", 5 * 20), ("groups", 5 * 20)):
        record = build(refits=1, balance=balance).refit(held_out(cells=cells), seed=0)
        assert record["unbalanced"] == ["c"]
        assert record["subsample"] == size


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([(0, 0), (1, 1), (1, 0)] * 8, r"has no image of class c with a known sex; the class"),
        ([(0, 0), (1, 1), (2, 1)] * 8, r"each class has one group of sex; choose another"),
        ([(0, 0), (1, 1), (2, -1)] * 8, r"has no image of class c with a known sex"),
    ],
)
def test_held_out_images_that_do_not_suffice(cells, message):
    with pytest.raises(UserError, match=message):
        build().refit(held_out(cells=cells), seed=0)


def test_one_cluster_cannot_be_divided():
    data = held_out()
    with pytest.raises(UserError, match="its images of known sex are one cluster"):
        build().refit(data._replace(fits=np.ones_like(data.fits)), seed=0)


def test_a_mixture_is_refused():
    net = create_model("resnet18", 3, exits="none", image_size=28)
    net.mix(2)
    with pytest.raises(UserError, match="the last layer of exit f is Mixture; choose another"):
        methods.create("dfr", net, TASK, [1.0])
