"""The supervised contrastive loss against a loop, and its edges."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fairexit.losses.contrastive import supervised_contrastive


def twin(z, labels, temperature):
    """The mean over positive pairs, in loops, and the number of samples without one."""
    rows = [(row / row.norm()).tolist() for row in z]
    terms, without = [], 0
    for i, label in enumerate(labels):
        near = [sum(a * b for a, b in zip(rows[i], row, strict=True)) / temperature for row in rows]
        others = sum(math.exp(near[j]) for j in range(len(rows)) if labels[j] != label)
        positives = [j for j in range(len(rows)) if j != i and labels[j] == label]
        without += not positives
        terms += [math.log(math.exp(near[j]) + others) - near[j] for j in positives]
    return (sum(terms) / len(terms) if terms else 0.0), without


@given(st.lists(st.integers(0, 3), min_size=1, max_size=9), st.floats(0.05, 2), st.integers(0, 99))
def test_the_loss_equals_the_loop(labels, temperature, seed):
    z = torch.randn(len(labels), 5, generator=torch.Generator().manual_seed(seed)).double()
    loss = supervised_contrastive(z, torch.tensor(labels), temperature)
    value, without = twin(z, labels, temperature)
    assert loss.value.item() == pytest.approx(value, rel=1e-9, abs=1e-12)
    assert loss.without_partner == without


def test_gradients():
    z = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 2])
    assert torch.autograd.gradcheck(lambda z: supervised_contrastive(z, labels, 0.5).value, z)


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], [1]])
def test_without_a_second_class_or_a_pair_the_loss_is_zero(labels):
    z = torch.randn(len(labels), 3, requires_grad=True)
    loss = supervised_contrastive(z, torch.tensor(labels), 0.1).value
    loss.backward()
    assert loss == 0
    assert (z.grad == 0).all()


def test_a_row_of_zeros_and_a_small_temperature_stay_finite():
    z = torch.zeros(4, 3)
    z[1:] = torch.randn(3, 3)
    z.requires_grad_()
    loss = supervised_contrastive(z, torch.tensor([0, 0, 1, 1]), 1e-3).value
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(z.grad).all()
