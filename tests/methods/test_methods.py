"""Every method on every arrangement: gradients, odd batches, and what each one is for."""

import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from conftest import settings
from fairexit.errors import UserError
from fairexit.methods import Distilled, Method, methods
from fairexit.methods.adversarial import reverse_gradient
from fairexit.methods.reweighting import cells_of
from fairexit.models import create_model
from fairexit.training import checkpoint
from fairexit.training.fit import train
from fairexit.types import Batch, Task
from trained import KilledError

TASK = Task(("a", "b", "c"), "tone", ("dark", "light"))
NAMES = methods.names()


def build(name, exits="all", backbone="resnet18", **options):
    torch.manual_seed(0)
    size = 32 if backbone == "vgg11_bn" else 28
    net = create_model(backbone, 3, exits=exits, image_size=size)
    method = methods.create(name, net, TASK, [0.5] * net.num_exits, **options)
    if isinstance(method, Distilled):
        method.set_teacher(create_model(backbone, 3, exits=exits, image_size=size))
    return method.train()


def batch(n=16, size=28, groups=None, seed=0):
    torch.manual_seed(seed)
    labels = torch.arange(n) % 3
    groups = torch.randint(0, 2, (n,)) if groups is None else torch.full((n,), groups)
    return Batch(torch.rand(n, 3, size, size), labels, groups)


@pytest.mark.parametrize("exits", ["none", "all"])
@pytest.mark.parametrize("name", NAMES)
def test_every_trainable_parameter_gets_a_gradient(name, exits):
    method = build(name, exits)
    losses = method(batch())
    losses.total.backward()
    assert torch.isfinite(losses.total)
    without = [k for k, p in method.named_parameters() if p.requires_grad and p.grad is None]
    assert not without
    moved = [k for k, p in method.named_parameters() if p.grad is not None and p.grad.any()]
    assert any(k.startswith("net.backbone.stages.0") for k in moved)


@pytest.mark.parametrize("name", NAMES)
def test_another_backbone(name):
    method = build(name, [2], "vgg11_bn")
    losses = method(batch(4, 32))
    losses.total.backward()
    assert torch.isfinite(losses.total)


@pytest.mark.parametrize("groups", [-1, 0])
@pytest.mark.parametrize("name", NAMES)
def test_unknown_or_missing_groups_are_no_trouble(name, groups):
    method = build(name)
    losses = method(batch(groups=groups))
    losses.total.backward()
    assert torch.isfinite(losses.total)
    assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_one(name):
    method = build(name)
    for module in method.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.eval()  # a batch norm needs two samples, whatever the method
    losses = method(batch(1))
    losses.total.backward()
    assert torch.isfinite(losses.total)
    if name in ("hsic", "mfd", "snnl"):
        assert method.left_out > 0


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_is_the_weighted_sum_over_exits(name):
    losses = build(name)(batch())
    assert torch.allclose(losses.total, 0.5 * (losses.targets + losses.penalties).sum())


@pytest.mark.parametrize("name", NAMES)
def test_the_network_alone_answers_without_the_attribute(name):
    """After folding, the network gives what the method was trained to give, for any groups."""
    method = build(name)
    method(batch()).total.backward()
    torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.1).step()
    method.eval().fold()
    images = batch().images
    alone = create_model(**method.net.config).eval()
    alone.load_state_dict(method.net.state_dict())
    with torch.no_grad():
        assert torch.equal(alone.probabilities(images), method.net.probabilities(images))


def test_domain_independent_heads():
    method = build("domainindep", exits=[2])
    data = batch(groups=1)
    method(data).total.backward()
    for head in method.group_heads:
        assert (head.weight.grad[:3] == 0).all()  # group 0 learnt nothing
        assert head.weight.grad[3:].any()
    method.eval().fold()
    with torch.no_grad():
        exits = method.net(data.images)
        for k, exit in enumerate(exits):
            assert torch.allclose(exit.logits, method.logits(k, exit.features).mean(1), atol=1e-5)


def test_domain_independent_mean_of_probabilities(tmp_path):
    method = build("domainindep", exits=[2], answer="probabilities")
    data = batch()
    method(data).total.backward()
    method.eval().fold()
    file = tmp_path / "net.safetensors"
    save_file(method.net.state_dict(), file)
    alone = create_model(**method.net.config).eval()
    alone.load_state_dict(load_file(file))
    with torch.no_grad():
        answers = alone.probabilities(data.images)
        for k, exit in enumerate(method.net(data.images)):
            expected = method.logits(k, exit.features).softmax(-1).mean(1)
            assert torch.allclose(answers[:, k], expected, atol=1e-6)
    assert alone.exit_costs(28)[-1] > create_model("resnet18", 3, exits=[2]).exit_costs(28)[-1]


@pytest.mark.parametrize("name", NAMES)
def test_half_precision(name):
    """Features may come in half precision; losses are summed in single, near the exact ones."""
    exact = build(name)(batch())
    method = build(name)
    with torch.autocast("cpu", torch.bfloat16):
        losses = method(batch())
    losses.total.backward()
    assert losses.total.dtype == torch.float32
    assert torch.allclose(losses.total, exact.total, rtol=0.05)
    assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None)


def test_reversed_gradient():
    z = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.equal(reverse_gradient(z, 0.3), z)
    reverse_gradient(z, 0.3).square().sum().backward()
    assert torch.allclose(z.grad, -0.3 * 2 * z)


@pytest.mark.parametrize("name", ["advconf", "advrev"])
def test_an_adversary_learns_and_the_trunk_resists(name):
    method = build(name, exits="none", weight=1.0, warmup=0.0)
    z = torch.randn(64, method.net.backbone.head.classifier.in_features, requires_grad=True)
    groups = (z[:, 0] > 0).long()
    adversary = method.adversaries[0]

    @torch.no_grad()
    def readable(features):
        return float(F.cross_entropy(adversary(features), groups))

    optimizer = torch.optim.Adam(adversary.parameters(), lr=2e-3)
    start = readable(z)
    for _ in range(8):
        optimizer.zero_grad()
        method.adversarial_losses(adversary, z, groups).mean().backward()
        optimizer.step()
    assert readable(z) < 0.8 * start
    z.grad = None
    method.adversarial_losses(adversary, z, groups).mean().backward()
    assert readable(z - z.grad / z.grad.norm()) > readable(z)


def test_confusion_leaves_the_adversary_alone():
    method = build("advconf", exits="none", warmup=0.0)
    z = torch.randn(8, 512)
    groups = torch.arange(8) % 2
    adversary = method.adversaries[0]
    strong, weak = [], []
    for weight, kept in ((10.0, strong), (0.0, weak)):
        method.weight = weight
        adversary.zero_grad()
        method.adversarial_losses(adversary, z, groups).mean().backward()
        kept += [p.grad.clone() for p in adversary.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(strong, weak, strict=True))


@pytest.mark.parametrize("warmup", [1.0, 0.25, 0.0])
def test_warm_up(warmup):
    method = build("advrev", weight=2.0, warmup=warmup)
    strengths = []
    for share in (0.0, 0.1, 1.0):
        method.time.fill_(share * warmup)
        strengths.append(float(method.strength))
    expected = [0, 2 * (2 / (1 + math.exp(-1)) - 1), 2] if warmup else [2, 2, 2]
    assert strengths == pytest.approx(expected, abs=1e-3)


def test_reweighting_makes_cells_equal():
    method = build("reweight", exits="none")
    labels = torch.tensor([0] * 6 + [1] * 3 + [2])
    groups = torch.tensor([0, 0, 0, 0, 1, 1, 0, 0, 0, -1])
    method.begin(labels, groups)
    cells = cells_of(labels, groups, 2)
    sums = [float(method.cell_weights[cells[cells == c]].sum()) for c in set(cells.tolist()) - {-1}]
    assert sums == pytest.approx([3.0] * 3)


def cell_losses(method, data):
    """Cross-entropy of each sample, and the samples of each cell of class and group."""
    with torch.no_grad():
        logits = method.net(data.images)[0].logits
    each = [
        float(F.cross_entropy(z[None], y[None])) for z, y in zip(logits, data.labels, strict=True)
    ]
    cells: dict[int, list[float]] = {}
    for loss, label, group in zip(each, data.labels, data.groups, strict=True):
        cells.setdefault(int(label) * 2 + int(group), []).append(loss)
    return cells


def test_groupdro_weighs_the_cells_of_the_batch_by_their_losses():
    method, data = build("groupdro", exits="none", step=1.0), batch()
    method.net.eval()  # so that a second look gives the same numbers
    cells = cell_losses(method, data)
    mean = {cell: sum(losses) / len(losses) for cell, losses in cells.items()}
    q = [math.exp(mean.get(cell, 0.0)) for cell in range(6)]
    grown = sum(q[cell] for cell in mean)
    for cell in range(6):
        q[cell] = q[cell] / grown * len(mean) / 6 if cell in mean else 1 / 6
    wanted = sum(q[cell] * 6 * sum(losses) for cell, losses in cells.items()) / 16
    assert float(method(data).targets[0]) == pytest.approx(wanted, rel=1e-5)
    assert method.q[0].tolist() == pytest.approx(q, rel=1e-5)


def test_reweighting_weighs_the_cells_of_the_training_split_alike():
    method, data = build("reweight", exits="none"), batch()
    method.net.eval()
    labels, groups = torch.tensor([0, 0, 0, 1, 1, 2]), torch.tensor([0, 0, 1, 0, 1, 1])
    method.begin(labels, groups)
    weights = {0: 0.6, 1: 1.2, 2: 1.2, 3: 1.2, 5: 1.2}  # 6 images / (5 cells x images of the cell)
    cells = cell_losses(method, data)
    total = sum(weights.get(cell, 0) * sum(losses) for cell, losses in cells.items())
    assert float(method(data).targets[0]) == pytest.approx(total / 16, rel=1e-5)


def test_groupdro_follows_the_worst():
    method = build("groupdro", exits="none", step=1.0)
    data = batch()
    before = method.q.clone()
    method(data)
    assert torch.allclose(method.q.sum(1), torch.ones(1))
    present = torch.bincount(cells_of(data.labels, data.groups, 2), minlength=6) > 0
    assert (method.q[0][present] >= before[0][present]).sum() > 0
    assert method.q.argmax() in present.nonzero()


def test_a_teacher_is_frozen_and_no_part_of_the_module():
    method = build("mfd")
    teacher = method.teacher
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    assert not any(p.requires_grad for p in teacher.parameters())
    assert all("teacher" not in k for k in method.state_dict())
    method.train()
    assert not teacher.training
    method(batch()).total.backward()
    assert all(torch.equal(v, before[k]) for k, v in teacher.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_classes": 4}, "the teacher has 4 classes, but the student has 3"),
        ({"exits": [1]}, "the teacher has the exits 1, f, but the student has 1, 2, 3, 4, f"),
        ({"head": "pool"}, "the teacher's head is pool, but the student's is conv"),
    ],
)
def test_a_teacher_that_does_not_fit(change, message):
    method = build("mfd")
    name, classes = "resnet18", change.pop("num_classes", 3)
    with pytest.raises(UserError, match=message):
        method.set_teacher(create_model(name, classes, **change))


@pytest.mark.parametrize("weight", [-1, math.nan, math.inf, True, "much"])
def test_weights_that_are_none(weight):
    with pytest.raises(UserError, match=r"method 'hsic': option 'weight' is "):
        build("hsic", weight=weight)


# Two have tests of their own: erm in test_fit.py, and dfr, which trains erm, in test_stages.py.
@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("erm", "dfr")])
def test_training_resumes_bit_for_bit(tiny, tmp_path, monkeypatch, name):
    config = settings(tiny.path, method={"name": name}, train__epochs=2, train__batch_size=48)
    whole = train(config, tmp_path / "whole")
    original = checkpoint.save_checkpoint

    def save(run, *args):
        original(run, *args)
        if run.path.name == "killed" and args[-1].epoch == 1:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_checkpoint", save)
        with pytest.raises(KilledError):
            train(config, tmp_path / "killed")
    resumed = train(config, tmp_path / "killed")
    one, two = load_file(whole.last_weights), load_file(resumed.last_weights)
    assert all(torch.equal(one[k], two[k]) for k in one)
    header = (whole.path / "log.csv").read_text().splitlines()[0]
    assert "penalty_ratio" in header
    assert "val_probef" in header


@pytest.mark.parametrize("name", NAMES)
def test_training_in_mixed_precision(tiny, tmp_path, name):
    config = settings(
        tiny.path, method={"name": name}, train__epochs=1, train__precision="bf16-mixed"
    )
    run = train(config, tmp_path / "run")
    assert all(torch.isfinite(w).all() for w in load_file(run.weights).values())
    has_penalty = methods[name].penalty is not Method.penalty
    ratio = run.description["penalty_ratio"]
    assert ratio > 0 if has_penalty else ratio is None


def test_mfd_takes_a_run_as_teacher(tiny, tiny_run, tmp_path):
    config = settings(tiny.path, method={"name": "mfd", "teacher": str(tiny_run.path)})
    run = train(config, tmp_path / "r")
    assert not (run.path / "teacher").exists()
    with pytest.raises(UserError, match="there is no folder nowhere"):
        train(settings(tiny.path, method={"name": "mfd", "teacher": "nowhere"}), tmp_path / "x")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": -1}, "option 'weight' is -1; it must be greater than or equal"),
        ({"wieght": 1}, "method 'hsic' has no option 'wieght'; did you mean 'weight'"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(UserError, match=message):
        build("hsic", **options)
