"""Many small batches against one large one: what is minimised must not depend on the batch's size.

Natural batches are random parts of the split, balanced ones are drawn from it with replacement; a
batch lacks classes, cells and groups, and the last batch has another size than the others.
"""

import math
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from fairexit.data.loaders import Loader
from fairexit.methods import methods
from fairexit.models import create_model
from fairexit.types import Batch, Exit, Task

TASK = Task(("a", "b", "never"), "sex", ("f", "m", "never"))
CELLS = [(0, 0)] * 24 + [(0, 1)] * 18 + [(1, 0)] * 15 + [(1, 1)] * 3 + [(0, -1)] * 4
RARE = slice(57, 60)
STRATUM_SIZES = torch.tensor([24] * 24 + [18] * 18 + [15] * 15 + [3] * 3 + [4] * 4)


def split(repeated=1):
    labels, groups = torch.tensor(CELLS).repeat(repeated, 1).T
    return labels, groups


def loader_of(labels, groups, batch_size):
    data = SimpleNamespace(
        images=None, labels=labels.numpy(), groups=lambda _: groups.numpy(), clusters=labels.numpy()
    )
    rows = torch.arange(len(labels)).numpy()
    return Loader(data, rows, "sex", batch_size=batch_size, device=torch.device("cpu"))


def build(name, labels, groups, sampling="natural", **options):
    torch.manual_seed(0)
    net = create_model("resnet18", 3, exits="none", image_size=28)
    method = methods.create(name, net, TASK, [1.0], **options).train()
    draws = loader_of(labels, groups, 1).expected_draws(sampling)
    method.begin(labels, groups, draws)
    return method


def loss_and_gradient(method, z, labels, groups, rows):
    """Loss of some rows of the split, and its gradient on the features of all, (N, D)."""
    z = z.detach().requires_grad_()
    part = z[rows]
    batch = Batch(part, labels[rows], groups[rows])
    exit = Exit(part[:, :3], part)
    loss = method.target_loss(0, exit, batch)
    penalty = method.penalty(0, exit, batch)
    loss = loss if penalty is None else loss + penalty
    (gradient,) = torch.autograd.grad(loss, z)
    return torch.cat([loss.detach()[None], (gradient @ z.detach()[:8].T).flatten()])


MEANS = [
    ("erm", {}),
    ("reweight", {}),
    ("groupdro", {"step": 0.0}),
    ("domainindep", {}),
    ("advconf", {"weight": 1.0}),
    ("advrev", {"weight": 1.0}),
]


@pytest.mark.parametrize("batch_size", [1, 7])
@pytest.mark.parametrize("sampling", ["natural", "group-balanced"])
@pytest.mark.parametrize(("name", "options"), MEANS)
def test_a_mean_over_samples_is_that_of_one_large_batch(name, options, sampling, batch_size):
    labels, groups = split()
    method = build(name, labels, groups, sampling, **options)
    if name == "groupdro":  # weights as they may be in the middle of training
        method.q[0, [0, 1, 3, 4]] = torch.tensor([0.1, 0.2, 0.1, 0.6])
    z = torch.randn(len(CELLS), 512) / 8
    natural = sampling == "natural"
    # Each sample as often as it is drawn in the mean: a batch of 360 samples of each stratum.
    often = torch.ones(64, dtype=torch.long) if natural else 360 // STRATUM_SIZES
    large = loss_and_gradient(method, z, labels, groups, torch.arange(64).repeat_interleave(often))
    loader = loader_of(labels, groups, batch_size)
    epochs = []
    for epoch in range(60):
        order = torch.from_numpy(loader.order(sampling, 0, epoch))
        batches = order.tensor_split(loader.steps())
        small = [loss_and_gradient(method, z, labels, groups, rows) for rows in batches]
        epochs.append(torch.stack(small).mean(0))
    each = torch.stack(epochs).double()
    error = each.std(0) / len(each) ** 0.5
    assert ((each.mean(0) - large).abs() < 5 * error + 1e-5).all()
    rare = large[1:].view(64, 8)[RARE].abs()
    assert error[1:].view(64, 8)[RARE].max() < 0.3 * rare.max(), "the simulation sees little"


def test_a_rare_and_worst_cell_gets_the_weight_under_natural_sampling():
    counts = torch.tensor([400, 400, 0, 400, 12])  # cells of class and group; a never has (0, 2)
    cells = torch.arange(5).repeat_interleave(counts)
    labels, groups = cells // 3, cells % 3
    logits = torch.zeros(len(cells), 3)
    logits[torch.arange(len(cells)), labels] = torch.where(cells == 4, -1.0, 1.0)
    method = build("groupdro", labels, groups, step=0.05)
    assert method.q[0].tolist() == [0.25, 0.25, 0, 0.25, 0.25, 0, 0, 0, 0]
    loader = loader_of(labels, groups, 32)
    for epoch in range(20):
        order = torch.from_numpy(loader.order("natural", 0, epoch))
        for rows in order.tensor_split(loader.steps()):
            batch = Batch(logits[rows], labels[rows], groups[rows])
            method.target_loss(0, Exit(logits[rows], logits[rows]), batch)
    assert method.q[0].sum() == pytest.approx(1, abs=1e-5)
    assert (method.q[0, [2, 5, 6, 7, 8]] == 0).all()
    assert method.q[0, 4] > 0.9


def test_a_cell_that_a_batch_lacks_keeps_its_weight():
    labels, groups = split()
    method = build("groupdro", labels, groups, step=1.0)
    method.q[0, [0, 1, 3, 4]] = torch.tensor([0.1, 0.2, 0.3, 0.4])
    logits = torch.tensor([[1.0, 0, 0], [-1.0, 0, 0]])
    batch = Batch(logits, torch.tensor([0, 0]), torch.tensor([0, 1]))
    method.target_loss(0, Exit(logits, logits), batch)
    assert method.q[0, [3, 4]].tolist() == pytest.approx([0.3, 0.4])
    lower, higher = F.cross_entropy(logits, batch.labels, reduction="none")
    ratio = 2 * (higher - lower).exp()
    assert method.q[0, :2].sum() == pytest.approx(0.3, abs=1e-6)
    assert float(method.q[0, 1] / method.q[0, 0]) == pytest.approx(float(ratio), rel=1e-5)


STATISTICS = [("hsic", {"weight": 1.0}), ("mfd", {"weight": 1.0}), ("snnl", {"weight": 1.0})]


@pytest.mark.parametrize(("name", "options"), STATISTICS)
def test_a_statistic_of_the_batch_tends_to_that_of_the_split(name, options):
    labels, groups = split(repeated=24)
    method = build(name, labels, groups, **options)
    z = torch.randn(len(labels), 6) + 0.8 * labels[:, None] + 1.5 * groups[:, None].clamp_min(0)
    teacher = torch.randn(len(labels), 6) + 0.8 * labels[:, None]

    def penalty(rows):
        if name == "mfd":
            method._teacher_features = [teacher[rows]]
        batch = Batch(z[rows], labels[rows], groups[rows])
        return float(method.penalty(0, Exit(z[rows], z[rows]), batch))

    whole = penalty(torch.arange(len(labels)))
    loader = loader_of(labels, groups, 1)
    distances = []
    for size in (4, 32, 256):
        orders = [torch.from_numpy(loader.order("natural", 0, epoch)) for epoch in range(2)]
        values = [penalty(rows) for order in orders for rows in order.split(size)]
        distances.append(abs(sum(values) / len(values) - whole))
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.1 * abs(whole) < distances[0]


def test_a_group_without_a_training_image_has_no_head_in_the_answer():
    labels, groups = split()
    for answer in ("logits", "probabilities"):
        method = build("domainindep", labels, groups, answer=answer)
        with torch.no_grad():
            method.group_heads[0].bias[6:] = torch.tensor([9.0, -9.0, 0.0])  # of the third group
        method.fold()
        z = torch.randn(5, 512)
        each = method.logits(0, z)[:, :2]
        mean = each.mean(1).softmax(-1) if answer == "logits" else each.softmax(-1).mean(1)
        with torch.no_grad():
            predicted = method.net.exit_heads[0].classifier(z).softmax(-1)
        torch.testing.assert_close(predicted, mean.detach())
        assert method.net.config.get("mixture") == (None if answer == "logits" else 2)


def test_an_adversary_that_is_uniform_over_the_groups_it_sees_is_fully_confused():
    labels, groups = split()
    method = build("advconf", labels, groups, weight=1.0)
    with torch.no_grad():
        method.adversaries[0][2].weight.zero_()
        method.adversaries[0][2].bias.copy_(torch.tensor([0.5, 0.5, -20.0]))
    z = torch.randn(64, 512)
    with torch.no_grad():
        loss = method.penalty(0, Exit(z, z), Batch(z, labels, groups))
    assert float(loss) == pytest.approx(60 / 64 * math.log(2), rel=1e-5)


def test_mixup_over_many_small_batches():
    """Partners are drawn evenly, and the mean image is half the own and half the partners' mean."""
    labels, groups = split()
    method = build("mixup", labels, groups, alpha=0.5)
    images = torch.randn(64, 3, 2, 2, dtype=torch.float64)
    loader = loader_of(labels, groups, 7)
    residuals, unpaired = [], 0
    for epoch in range(400):
        order = torch.from_numpy(loader.order("natural", 0, epoch))
        for rows in order.tensor_split(loader.steps()):
            batch = Batch(images[rows], labels[rows], groups[rows])
            expected = batch.images.clone()
            for i, (label, group) in enumerate(zip(batch.labels, batch.groups, strict=True)):
                others = (batch.labels == label) & (batch.groups != group) & (batch.groups >= 0)
                if group >= 0 and others.any():
                    expected[i] = (expected[i] + batch.images[others].mean(0)) / 2
                else:
                    unpaired += 1
            residuals.append(method.mixed(batch) - expected)
    residual = torch.cat(residuals)
    error = residual.std(0) / len(residual) ** 0.5
    assert (residual.mean(0).abs() < 5 * error).all()
    assert error.max() < 0.02 * images.std(), "the simulation sees little"
    assert method.left_out == unpaired
    assert 0.1 < unpaired / len(residual) < 0.9
