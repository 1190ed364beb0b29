import math

import pytest
import torch

from fairexit.losses.snnl import snnl


def slow(z, labels, temperature):
    terms = []
    for i in range(len(z)):
        near = [math.exp(-float((z[i] - z[k]).square().sum()) / temperature) for k in range(len(z))]
        own = sum(near[j] for j in range(len(z)) if j != i and labels[j] == labels[i])
        everyone = sum(near[k] for k in range(len(z)) if k != i)
        if any(j != i and labels[j] == labels[i] for j in range(len(z))):
            terms.append(-math.log(own / everyone))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("temperature", [0.5, 5.0])
def test_equals_the_loops(temperature):
    torch.manual_seed(0)
    z, labels = torch.randn(15, 3), torch.tensor([0] * 7 + [1] * 7 + [2])
    found = snnl(z, labels, temperature, relative=False)
    assert float(found.value) == pytest.approx(slow(z, labels, temperature), rel=1e-4)
    assert found.alone == 1


def test_relative_temperature_ignores_the_scale_of_the_features():
    torch.manual_seed(0)
    z, labels = torch.randn(20, 3), torch.arange(20) % 2
    assert float(snnl(z, labels, 0.1).value) == pytest.approx(
        float(snnl(100 * z, labels, 0.1).value), rel=1e-3
    )


def test_far_points_do_not_overflow():
    z = torch.tensor([[0.0], [1e3], [2e3], [3e3]], requires_grad=True)
    found = snnl(z, torch.tensor([0, 1, 0, 1]), 1.0, relative=False)
    found.value.backward()
    assert torch.isfinite(found.value)
    assert torch.isfinite(z.grad).all()


def test_entangled_is_higher_and_unknown_is_left_out():
    torch.manual_seed(0)
    labels = torch.arange(40) % 2
    mixed = torch.randn(40, 3)
    apart = mixed + 10 * labels[:, None]
    assert snnl(mixed, labels, 0.1).value > 5 * snnl(apart, labels, 0.1).value
    some = labels.clone()
    some[:10] = -1
    left_out = snnl(mixed, some, 1.0, relative=False).value
    assert float(left_out) == pytest.approx(
        float(snnl(mixed[10:], labels[10:], 1.0, relative=False).value)
    )


@pytest.mark.parametrize("labels", [[], [0], [0, 1], [-1, -1]])
def test_nobody_has_a_partner(labels):
    z = torch.randn(len(labels), 3, requires_grad=True)
    found = snnl(z, torch.tensor(labels, dtype=torch.long), 0.1)
    found.value.backward()
    assert found.value == 0
    assert torch.isfinite(z.grad).all()
