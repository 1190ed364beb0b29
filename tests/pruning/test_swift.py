"""SWiFT: the soft gap, the importance of the weights, and what is trained."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.nn import functional as F

from conftest import settings
from fairexit.config_prune import PruneConfig
from fairexit.errors import UserError
from fairexit.metrics.record import METRICS
from fairexit.models import create_model
from fairexit.pruning.criteria import Subject, criteria
from fairexit.pruning.criteria.swift import DAMPING
from fairexit.pruning.masks import load_masks
from fairexit.pruning.prune import prune
from fairexit.pruning.soft_gap import soft_counts, soft_eodd
from fairexit.pruning.units import parameters_of
from fairexit.runs import read_record
from fairexit.training.checkpoint import load_net
from fairexit.training.fit import train
from fairexit.training.refit import halve_validation
from fairexit.types import Task

QUICK = {"method": "swift", "images": 30, "chunk": 8, "device": "cpu", "stop": False}


@pytest.fixture
def one_strength(monkeypatch):
    """The refit compares a single strength, to save time."""
    monkeypatch.setattr("fairexit.methods.dfr.STRENGTHS", (0.1,))


def drawn(seed, number=40, classes=3, groups=2, exits=2):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(exits, number, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (number,), generator=generator)
    return logits, labels, torch.randint(groups, (number,), generator=generator)


def slow_eodd(p, labels, groups):
    """Half the ranges of the mean probabilities, one class and group at a time."""
    gaps = []
    for c in range(p.shape[1]):
        hits, alarms = [], []
        for g in groups.unique():
            positives = [p[i, c] for i in range(len(p)) if groups[i] == g and labels[i] == c]
            negatives = [p[i, c] for i in range(len(p)) if groups[i] == g and labels[i] != c]
            if positives and negatives:
                hits.append(sum(positives) / len(positives))
                alarms.append(sum(negatives) / len(negatives))
        if len(hits) > 1:
            gaps.append((max(hits) - min(hits) + max(alarms) - min(alarms)) / 2)
    return sum(gaps) / len(gaps)


@given(st.integers(0, 99), st.integers(2, 4), st.integers(2, 3))
def test_the_soft_gap_is_its_slow_twin(seed, classes, groups):
    logits, labels, of = drawn(seed, classes=classes, groups=groups)
    p = logits.softmax(-1)
    values = soft_eodd(soft_counts(p, labels, of, groups))
    for value, each in zip(values, p, strict=True):
        torch.testing.assert_close(value, slow_eodd(each, labels, of))


@given(st.integers(0, 99), st.integers(2, 4), st.integers(2, 3))
def test_of_sure_answers_the_soft_gap_is_the_metric(seed, classes, groups):
    logits, labels, of = drawn(seed, number=20, classes=classes, groups=groups)
    sure = F.one_hot(logits.argmax(-1), classes).double()
    counts = soft_counts(sure, labels, of, groups)
    wanted = METRICS["eodd"](counts.numpy())
    np.testing.assert_allclose(soft_eodd(counts).numpy(), wanted, atol=1e-12)


def test_the_soft_gap_has_the_gradient_of_finite_differences():
    logits, labels, of = drawn(3)
    logits = logits.requires_grad_()
    torch.autograd.gradcheck(
        lambda z: soft_eodd(soft_counts(z.softmax(-1), labels, of, 2)), (logits,)
    )


def test_opposite_gaps_do_not_cancel():
    """Group 0 has the higher rates at class 0, group 1 by as much at class 1."""
    labels, groups = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    logits = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]).requires_grad_()
    p = logits.softmax(-1)

    def rate(g, of, c):
        return p[(groups == g) & of, c].mean()

    released = sum(
        rate(1, labels == c, c) - rate(0, labels == c, c) + rate(1, labels != c, c)
        - rate(0, labels != c, c)
        for c in range(2)
    )  # fmt: skip
    assert float(released.detach()) == pytest.approx(0, abs=1e-6)
    ours = soft_eodd(soft_counts(p[None], labels, groups, 2))[0]
    assert float(ours.detach()) == pytest.approx(float((p[0, 0] - p[1, 0]).detach()), rel=1e-6)
    (slope,) = torch.autograd.grad(ours, logits)
    assert (slope.abs() > 0.01).all(), "every image takes part in the gap"


def swift(data, run, config, **changes):
    net = load_net(run)
    rows = data.rows("train")
    subject = Subject(
        net=net,
        data=data,
        task=changes.pop("task", data.task()),
        rows=changes.pop("rows", (rows[:11], rows[11:30])),
        exit_weights=[0.3, 0.6, 0.9],
        run=replace(run.config, prune=config),
    )
    return criteria.create("swift", subject)


def test_importance_is_the_formula_whatever_the_chunk(tiny, tiny_run):
    config = PruneConfig(**QUICK | {"layers": ["backbone.stages.3", "heads.3"]})
    score = swift(tiny, tiny_run, config)
    net, parameters = score.subject.net, parameters_of(score.units)
    assert not any("classifier" in name for name in parameters)
    rows = np.concatenate(score.subject.rows)
    images = torch.from_numpy(tiny.images[rows]).permute(0, 3, 1, 2).float() / 255
    labels = torch.from_numpy(tiny.labels[rows])
    groups = torch.from_numpy(tiny.groups(tiny.task().group)[rows])
    exits = net(images)
    alpha = score.subject.exit_weights
    gap = sum(
        a * slow_eodd(e.logits.softmax(-1), labels, groups)
        for a, e in zip(alpha, exits, strict=True)
    )
    loss = sum(a * F.cross_entropy(e.logits, labels) for a, e in zip(alpha, exits, strict=True))
    gradients = [
        dict(zip(parameters, torch.autograd.grad(value, parameters.values(), retain_graph=True),
                 strict=True))
        for value in (gap, loss)
    ]  # fmt: skip
    ours = score._gradients()
    other = swift(tiny, tiny_run, replace(config, chunk=30))._gradients()
    for whole, chunked, wanted in zip(ours, other, gradients, strict=True):
        for name, value in wanted.items():
            scale = float(value.abs().max())
            torch.testing.assert_close(whole[name], value, rtol=1e-3, atol=1e-4 * scale)
            torch.testing.assert_close(chunked[name], value, rtol=1e-3, atol=1e-4 * scale)
    squares = {name: g.square() for name, g in ours[1].items()}
    damping = DAMPING * torch.cat([s.flatten() for s in squares.values()]).mean()
    for name, values in score(1, None).items():
        torch.testing.assert_close(values, ours[0][name].square() / (squares[name] + damping))


@pytest.mark.usefixtures("one_strength")
@pytest.mark.parametrize("data", ["train", "val"])
def test_only_the_important_weights_follow_the_gradient(tiny, tiny_run, tmp_path, data):
    config = PruneConfig(**QUICK, step_epochs=1, finetune_lr=0.05, finetune_data=data)
    run = prune(tiny_run, tmp_path / "p", config)
    before, after = load_file(tiny_run.weights), load_file(run.weights)
    net = load_net(run)
    masks, names = load_masks(run, net), dict(net.named_parameters())
    held = sum(int((~m).sum()) for m in masks.values())
    assert held == round(0.5 * sum(m.numel() for m in masks.values()))
    moved = [k for k, m in masks.items() if m.any() and not torch.equal(before[k], after[k])]
    assert moved
    for name in names:
        if "classifier" in name:
            assert not torch.equal(after[name], before[name]), "refitted"
        else:
            kept = masks.get(name, torch.zeros_like(before[name], dtype=torch.bool))
            assert torch.equal(after[name][~kept], before[name][~kept])
    record = read_record(run)
    assert record["edited"] == "held"
    assert [row["fraction"] for row in record["path"]] == [0, pytest.approx(0.5)]


@pytest.mark.usefixtures("one_strength")
def test_a_plain_network(tiny, tmp_path):
    run = train(settings(tiny.path, model__exits="none", train__epochs=1), tmp_path / "r")
    config = PruneConfig(**QUICK, step_epochs=0, layers=["backbone.stages.3"])
    edited = prune(run, tmp_path / "p", config)
    before, after = load_file(run.weights), load_file(edited.weights)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"backbone.head.classifier.weight", "backbone.head.classifier.bias"}


def test_what_trains_and_what_measures_are_apart_and_never_of_the_test_split(tiny, tiny_run):
    task = tiny.task()
    for source in ("train", "val"):
        full = replace(tiny_run.config, prune=PruneConfig(method="swift", finetune_data=source))
        training, measuring = criteria["swift"].division(tiny, task, full)
        rows, fits = halve_validation(tiny, task, full)
        assert set(measuring) == set(rows[~fits])
        assert not set(tiny.clusters[training]) & set(tiny.clusters[measuring])
        assert not (set(training) | set(measuring)) & set(tiny.rows("test"))
    assert set(training) == set(rows[fits])
    assert criteria["swift"].settings(full).data.sampling == "group-balanced"


def test_what_swift_refuses(tiny, tiny_run, tmp_path):
    net = create_model("resnet18", 3, exits=[1])
    last = PruneConfig(method="swift", layers=["heads.1.classifier", "backbone.head"])
    with pytest.raises(UserError, match="names nothing but the last layers of exits"):
        criteria["swift"].find_units(net, last)
    net.mix(2)
    subject = swift(tiny, tiny_run, PruneConfig(**QUICK)).subject
    with pytest.raises(UserError, match=r"^prune\.method swift: method 'dfr' refits linear layers"):
        criteria.create("swift", replace(subject, net=net))
    task = tiny.task()
    blue = Task(task.classes, task.group, (*task.groups, "blue"))
    dark = tiny.rows("train")[tiny.groups(task.group)[tiny.rows("train")] == 0]
    score = swift(tiny, tiny_run, PruneConfig(**QUICK), task=blue, rows=(dark[:5], dark[5:9]))
    with pytest.raises(UserError, match="is not defined on the 9 training images"):
        score(1, None)
    config = PruneConfig(**QUICK, finetune_data="val")
    run = train(settings(tiny.path, method={"name": "jtt"}, train__epochs=1), tmp_path / "r")
    with pytest.raises(UserError, match=r"prune\.finetune_data is val, but method 'jtt' draws"):
        prune(run, tmp_path / "p", config)
