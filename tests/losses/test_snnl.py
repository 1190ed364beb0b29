import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fairexit.losses.snnl import exact_snnl, snnl


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
    assert found.without_partner == 1


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


def weighted(z, labels, temperature, weights):
    """Slow twin with sample weights in the mean and in the sums, in float64."""
    exponents = weights.log() - (z[:, None] - z[None]).square().sum(2) / temperature
    terms, total = 0.0, 0.0
    for i in range(len(z)):
        others = [k for k in range(len(z)) if k != i and labels[k] >= 0]
        partners = [k for k in others if labels[k] == labels[i]]
        if labels[i] >= 0 and partners:
            ratio = exponents[i, others].logsumexp(0) - exponents[i, partners].logsumexp(0)
            terms, total = terms + weights[i] * ratio, total + weights[i]
    return terms / total


def many(n=60, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(n, 4, generator=generator, dtype=dtype) + 3
    groups = torch.randint(-1, 2, (n,), generator=generator)
    classes = torch.randint(0, 4, (n,), generator=generator)
    classes[0] = 4  # alone
    z[classes == 1] += 1
    return z, groups, classes


@pytest.mark.parametrize("block", [1, 7, 60, 512])
@pytest.mark.parametrize("relative", [True, False])
def test_exact_equals_the_batch_form_for_any_block(block, relative):
    z, _, classes = many()
    temperatures = [0.05, 0.3, 2.0]
    found = exact_snnl(z, [classes], temperatures, relative=relative, block=block)
    for k, temperature in enumerate(temperatures):
        batch = snnl(z, classes, temperature, relative)
        assert float(found.value[0, k]) == pytest.approx(float(batch.value), rel=1e-12)
    assert found.without_partner.tolist() == [1]
    assert found.counted.tolist() == [59]
    every = (z[:, None] - z[None]).square().sum(2).mean()
    assert found.unit == pytest.approx(float(every) if relative else 1)


def test_exact_leaves_unknown_out_of_its_own_label_only():
    z, groups, classes = many()
    both = exact_snnl(z, [groups, classes], [0.7], relative=False, block=16)
    for k, labels in enumerate((groups, classes)):
        batch = snnl(z, labels, 0.7, relative=False)
        assert float(both.value[k, 0]) == pytest.approx(float(batch.value), rel=1e-12)
    assert both.counted.tolist() == [int((groups >= 0).sum()), 59]


@pytest.mark.parametrize("temperature", [0.2, 1.0, 1e-3])
def test_influence_is_the_derivative_by_the_weights(temperature):
    z, groups, classes = many(40)
    found = exact_snnl(z, [groups, classes], [temperature], relative=False, block=13)
    for k, labels in enumerate((groups, classes)):
        weights = torch.ones(40, dtype=torch.float64, requires_grad=True)
        value = weighted(z, labels, temperature, weights)
        value.backward()
        assert float(found.value[k, 0]) == pytest.approx(float(value.detach()), rel=1e-10)
        torch.testing.assert_close(found.influence[k, 0], weights.grad, atol=1e-12, rtol=1e-9)
    assert float(found.influence.sum(2).abs().max()) < 1e-12


@pytest.mark.parametrize("temperature", [1e-3, 0.5])
def test_independence_is_the_mean_loss_of_the_permuted_labels(temperature):
    z, groups, classes = many()
    generator = torch.Generator().manual_seed(1)
    permuted = [
        torch.stack([label[torch.randperm(60, generator=generator)] for _ in range(3)])
        for label in (groups, classes)
    ]
    found = exact_snnl(
        z, [groups, classes], [temperature, 2.0], relative=False, permuted=permuted, block=13
    )
    for k, drawn in enumerate(permuted):
        for t, value in enumerate((temperature, 2.0)):
            each = [float(snnl(z, labels, value, relative=False).value) for labels in drawn]
            assert float(found.independent[k, t]) == pytest.approx(np.mean(each), rel=1e-10)
    without = exact_snnl(z, [groups, classes], [temperature, 2.0], relative=False)
    assert without.independent.isnan().all()
    torch.testing.assert_close(without.value, found.value)
    torch.testing.assert_close(without.influence, found.influence)


@pytest.mark.parametrize("temperature", [1e-3, 1e-2, 0.1])
def test_rows_that_fade_in_single_precision_are_still_exact(temperature):
    z, groups, classes = many()
    single = exact_snnl(z.float(), [groups, classes], [temperature], relative=False, block=16)
    double = exact_snnl(z, [groups, classes], [temperature], relative=False, block=16)
    assert float(double.value.max()) > 1
    torch.testing.assert_close(single.value, double.value, rtol=2e-3, atol=1e-5)
    torch.testing.assert_close(single.influence, double.influence, rtol=2e-2, atol=2e-3)


def test_partners_far_beyond_the_number_format():
    z = torch.tensor([[0.0], [1.0], [1000.0], [1001.0]])
    found = exact_snnl(z, [torch.tensor([0, 1, 0, 1])], [1.0], relative=False)
    # 0 -> 1000 against 0 -> 1, 1 -> 1001, 1000 -> 0, 1001 -> 1: all 999999 nats off
    assert float(found.value[0, 0]) == pytest.approx(999_999, rel=1e-6)
    assert torch.isfinite(found.influence).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 99), far=st.floats(-1e3, 1e3))
def test_shifting_all_features_or_renaming_labels_changes_nothing(seed, far):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(20, 3, generator=generator)
    labels = torch.randint(0, 3, (20,), generator=generator)
    before = exact_snnl(z, [labels], [0.5]).value
    after = exact_snnl(z + far, [(labels + 1) % 3], [0.5]).value
    torch.testing.assert_close(before, after, rtol=2e-3, atol=1e-5)


def test_at_a_high_temperature_it_is_what_the_shares_give():
    labels = torch.arange(100) % 4
    value = exact_snnl(torch.randn(100, 3), [labels], [1e6]).value
    assert float(value[0, 0]) == pytest.approx(math.log(99 / 24), rel=1e-4)


def test_equal_features_and_too_few():
    labels = torch.tensor([0, 0, 1, 1])
    found = exact_snnl(torch.ones(4, 2), [labels], [0.1])
    assert found.unit == 1
    assert float(found.value[0, 0]) == pytest.approx(math.log(3))
    with pytest.raises(ValueError, match="at least 2 samples, got 1"):
        exact_snnl(torch.ones(1, 2), [labels[:1]], [0.1])
    assert exact_snnl(torch.ones(2, 2), [torch.tensor([0, 1])], [0.1]).value.isnan().all()


@pytest.mark.parametrize("relative", [True, False])
def test_gradient(relative):
    z, _, classes = many(12)
    unit = (z[:, None] - z[None]).square().sum(2).mean() if relative else 1.0
    z.requires_grad_()

    # With the unit held, as the loss holds it.
    def held(x):
        return snnl(x, classes, 0.5 * float(unit), relative=False).value

    assert torch.autograd.gradcheck(held, (z,))
    wanted = torch.autograd.grad(held(z), z)[0]
    found = torch.autograd.grad(snnl(z, classes, 0.5, relative).value, z)[0]
    torch.testing.assert_close(found, wanted)
