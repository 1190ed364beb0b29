"""Every method against a twin in plain loops, on a batch that lacks cells, a class and a group."""

import math

import pytest
import torch

from fairexit.methods import methods
from fairexit.models import create_model
from fairexit.types import Batch, Exit, Task

TASK = Task(("a", "b", "never"), "sex", ("f", "m", "never"))
TRAINED = [(0, 0)] * 6 + [(0, 1)] * 4 + [(1, 0)] * 3 + [(1, 1)] * 2 + [(1, -1)] * 5
BATCH = [(0, 0)] * 5 + [(0, 1)] * 3 + [(1, 0)] * 2 + [(1, -1)] * 2


def setting(name, **options):
    """A method that has seen the training split, a batch's exit, and its labels and groups."""
    torch.manual_seed(0)
    net = create_model("resnet18", 3, exits="none", image_size=28)
    method = methods.create(name, net, TASK, [1.0], **options).train()
    method.begin(*torch.tensor(TRAINED).T)
    labels, groups = torch.tensor(BATCH).T
    z = torch.randn(len(BATCH), 512, requires_grad=True)
    exit = Exit(z[:, :3] * 2, z)
    return method, exit, Batch(z, labels, groups)


def cross_entropy(logits, label):
    """Of one sample, in nats."""
    return math.log(sum(math.exp(v) for v in logits)) - logits[label]


def losses(exit):
    return [cross_entropy(e.tolist(), c) for e, (c, _) in zip(exit.logits, BATCH, strict=True)]


def squared_distance(a, b):
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def test_erm():
    method, exit, batch = setting("erm")
    expected = sum(losses(exit)) / len(BATCH)
    assert method.target_loss(0, exit, batch).item() == pytest.approx(expected, rel=1e-5)
    assert method.penalty(0, exit, batch) is None


def test_reweight():
    method, exit, batch = setting("reweight")
    total = 0.0
    for loss, cell in zip(losses(exit), BATCH, strict=True):
        known = sum(g >= 0 for _, g in TRAINED)
        weight = 1 if cell[1] < 0 else known / 4 / TRAINED.count(cell)
        total += weight * loss
    expected = total / len(BATCH)
    assert method.target_loss(0, exit, batch).item() == pytest.approx(expected, rel=1e-5)


def test_groupdro_over_two_steps():
    method, exit, batch = setting("groupdro", step=0.5)
    q = {cell: 0.25 for cell in TRAINED if cell[1] >= 0}
    for _ in range(2):
        by_cell = {}
        for loss, cell in zip(losses(exit), BATCH, strict=True):
            if cell[1] >= 0:
                by_cell.setdefault(cell, []).append(loss)
        grown = {c: q[c] * math.exp(0.5 * sum(v) / len(v)) for c, v in by_cell.items()}
        share = sum(q[c] for c in by_cell)
        q |= {c: share * value / sum(grown.values()) for c, value in grown.items()}
        total = 0.0
        for cell, values in by_cell.items():
            total += q[cell] / (TRAINED.count(cell) / len(TRAINED)) * sum(values)
        expected = total / len(BATCH)
        assert method.target_loss(0, exit, batch).item() == pytest.approx(expected, rel=1e-5)
    for (label, group), value in q.items():
        assert method.q[0, 3 * label + group].item() == pytest.approx(value, rel=1e-5)


def test_domainindep():
    method, exit, batch = setting("domainindep")
    heads = method.group_heads[0]
    total = 0.0
    for z, (label, group) in zip(exit.features, BATCH, strict=True):
        logits = [(heads.weight[i] @ z + heads.bias[i]).item() for i in range(9)]
        means = [(logits[c] + logits[3 + c]) / 2 for c in range(3)]
        total += cross_entropy(means if group < 0 else logits[3 * group :][:3], label)
    expected = total / len(BATCH)
    assert method.target_loss(0, exit, batch).item() == pytest.approx(expected, rel=1e-4)


def adversary_logits(method, exit):
    """Logits of the two groups that occur in training, for each sample."""
    first, _, second = method.adversaries[0]
    hidden = (exit.features @ first.weight.T + first.bias).clamp_min(0)
    return (hidden @ second.weight.T + second.bias)[:, :2]


def test_advconf():
    method, exit, batch = setting("advconf", weight=0.7, warmup=0.0)
    adversary, confusion = 0.0, 0.0
    for logits, (_, group) in zip(adversary_logits(method, exit).tolist(), BATCH, strict=True):
        if group >= 0:
            adversary += cross_entropy(logits, group)
            uniform = sum(cross_entropy(logits, m) / 2 for m in range(2))
            confusion += uniform - math.log(2)
    expected = (adversary + 0.7 * confusion) / len(BATCH)
    assert method.penalty(0, exit, batch).item() == pytest.approx(expected, rel=1e-4)


def test_advrev_and_its_gradients():
    method, exit, batch = setting("advrev", weight=0.7, warmup=0.0)
    logs = adversary_logits(method, exit).log_softmax(1)
    twin = -sum(logs[i, g] for i, (_, g) in enumerate(BATCH) if g >= 0) / len(BATCH)
    loss = method.penalty(0, exit, batch)
    assert loss.item() == pytest.approx(twin.item(), rel=1e-5)
    weight = method.adversaries[0][0].weight
    of_trunk, of_adversary = torch.autograd.grad(loss, [exit.features, weight])
    twin_of_features, twin_of_adversary = torch.autograd.grad(twin, [exit.features, weight])
    torch.testing.assert_close(of_trunk, -0.7 * twin_of_features, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(of_adversary, twin_of_adversary, rtol=1e-4, atol=1e-7)


def kernel(rows):
    """Gaussian kernel of all pairs, whose width is the mean squared distance, in loops."""
    pairs = [[squared_distance(a, b) for b in rows] for a in rows]
    mean = sum(map(sum, pairs)) / len(rows) ** 2
    return [
        [0.0 if i == j else math.exp(-d / 2 / mean) for j, d in enumerate(row)]
        for i, row in enumerate(pairs)
    ]


def test_hsic():
    method, exit, batch = setting("hsic", weight=0.3)
    rows = [i for i, cell in enumerate(BATCH) if cell[0] == 0]  # class b has two of known group
    n = len(rows)
    units = [(exit.features[i] / exit.features[i].norm()).tolist() for i in rows]
    k, m = kernel(units), kernel([[float(BATCH[i][1] == g) for g in range(3)] for i in rows])
    pairs = [(i, j) for i in range(n) for j in range(n)]
    trace = sum(k[i][j] * m[j][i] for i, j in pairs)
    product = sum(map(sum, k)) * sum(map(sum, m)) / (n - 1) / (n - 2)
    cross = sum(k[i][j] * m[j][h] for i, j in pairs for h in range(n)) * 2 / (n - 2)
    expected = 0.3 * (trace + product - cross) / n / (n - 3)
    assert method.penalty(0, exit, batch).item() == pytest.approx(expected, rel=1e-3)
    assert method.left_out == 2


def test_mfd():
    method, exit, batch = setting("mfd", weight=0.3, sigma=0.8)
    torch.manual_seed(1)
    method._teacher_features = [torch.randn(len(BATCH), 512)]
    known = [i for i, (_, group) in enumerate(BATCH) if group >= 0]
    student, teacher = exit.features.tolist(), method._teacher_features[0].tolist()
    across = [squared_distance(teacher[i], student[j]) for i in known for j in known]
    width = 2 * 0.8 * sum(across) / len(across)

    def mean_kernel(a, b):
        return (
            sum(math.exp(-squared_distance(x, y) / width) for x in a for y in b) / len(a) / len(b)
        )

    total = 0.0
    for label, group in [(0, 0), (0, 1), (1, 0)]:
        t = [teacher[i] for i in known if BATCH[i][0] == label]
        s = [student[i] for i in known if BATCH[i] == (label, group)]
        total += mean_kernel(t, t) + mean_kernel(s, s) - 2 * mean_kernel(t, s)
    expected = 0.3 * total / 2
    assert method.penalty(0, exit, batch).item() == pytest.approx(expected, rel=1e-4)
    assert method.left_out == 6


def test_snnl():
    method, exit, batch = setting("snnl", weight=0.3, temperature=0.4)
    known = [i for i, (_, group) in enumerate(BATCH) if group >= 0]
    z = exit.features.tolist()
    unit = sum(squared_distance(z[i], z[j]) for i in known for j in known) / len(known) ** 2
    terms = []
    for i in known:
        near = {j: math.exp(-squared_distance(z[i], z[j]) / (0.4 * unit)) for j in known if j != i}
        partners = sum(value for j, value in near.items() if BATCH[j][1] == BATCH[i][1])
        terms.append(-math.log(partners / sum(near.values())))
    expected = -0.3 * sum(terms) / len(terms)
    assert method.penalty(0, exit, batch).item() == pytest.approx(expected, rel=1e-4)


def test_reweight_with_a_smaller_power():
    method, exit, batch = setting("reweight", power=0.5)
    known = [cell for cell in TRAINED if cell[1] >= 0]
    raw = {cell: (known.count(cell) / len(TRAINED)) ** -0.5 for cell in known}
    mean = sum(raw[cell] for cell in known) / len(known)
    total = 0.0
    for loss, cell in zip(losses(exit), BATCH, strict=True):
        total += (1 if cell[1] < 0 else raw[cell] / mean) * loss
    expected = total / len(BATCH)
    assert method.target_loss(0, exit, batch).item() == pytest.approx(expected, rel=1e-5)


def test_fairdisco():
    method, exit, batch = setting("fairdisco", weight=0.7, contrast=0.4, temperature=0.3)
    method.eval()  # batch normalisation with fixed statistics
    projected = method.projections[0](exit.features)
    rows = [(row / row.norm()).tolist() for row in projected]
    terms = []
    for i, (label, _) in enumerate(BATCH):
        similar = [sum(a * b for a, b in zip(rows[i], row, strict=True)) / 0.3 for row in rows]
        others = sum(math.exp(similar[j]) for j, cell in enumerate(BATCH) if cell[0] != label)
        for j, cell in enumerate(BATCH):
            if j != i and cell[0] == label:
                terms.append(math.log(math.exp(similar[j]) + others) - similar[j])
    confusion = 0.0
    for logits, (_, group) in zip(adversary_logits(method, exit).tolist(), BATCH, strict=True):
        if group >= 0:
            confusion += cross_entropy(logits, group)
            uniform = sum(cross_entropy(logits, m) / 2 for m in range(2))
            confusion += 0.7 * (uniform - math.log(2))
    expected = confusion / len(BATCH) + 0.4 * sum(terms) / len(terms)
    assert method.penalty(0, exit, batch).item() == pytest.approx(expected, rel=1e-4)


def test_fairdisco_trains_the_trunk_by_confusion_and_the_classifier_by_itself():
    method, exit, batch = setting("fairdisco", weight=0.7, contrast=0.0)
    parameters = [exit.features, *method.adversaries[0].parameters()]
    gradients = torch.autograd.grad(method.penalty(0, exit, batch), parameters)
    known = [i for i, (_, group) in enumerate(BATCH) if group >= 0]
    groups = [BATCH[i][1] for i in known]
    logs = adversary_logits(method, exit).log_softmax(1)[known]
    uniform = -logs.mean(1).sum() / len(BATCH)
    reading = -logs[range(len(known)), groups].sum() / len(BATCH)
    (of_trunk,) = torch.autograd.grad(uniform, parameters[:1], retain_graph=True)
    of_classifier = torch.autograd.grad(reading, parameters[1:])
    torch.testing.assert_close(gradients[0], 0.7 * of_trunk, rtol=1e-4, atol=1e-7)
    for gradient, twin in zip(gradients[1:], of_classifier, strict=True):
        torch.testing.assert_close(gradient, twin, rtol=1e-4, atol=1e-7)


def test_mixup_mixes_each_image_with_the_one_that_was_drawn():
    torch.manual_seed(0)
    net = create_model("resnet18", 3, exits="none", image_size=28)
    method = methods.create("mixup", net, TASK, [1.0], alpha=0.7).train()
    labels, groups = torch.tensor(BATCH).T
    images = torch.arange(float(len(BATCH)))[:, None, None, None].expand(-1, 3, 28, 28)
    mixed = method.mixed(Batch(images, labels, groups))
    assert torch.equal(mixed, mixed[:, :1, :1, :1].expand_as(mixed)), "one share per image"
    for i, value in enumerate(mixed[:, 0, 0, 0].tolist()):
        candidates = [
            j
            for j, (label, group) in enumerate(BATCH)
            if label == BATCH[i][0] and group != BATCH[i][1] and min(group, BATCH[i][1]) >= 0
        ]
        if candidates:
            assert min([i, *candidates]) <= value <= max([i, *candidates])
            assert value != i
        else:
            assert value == i
    assert method.left_out == 4  # those of unknown group, and class b has one group only
