"""HSIC against loops over quadruples and against the textbook's trace."""

from itertools import permutations

import pytest
import torch
from torch.nn import functional as F

from fairexit.losses.hsic import hsic, hsic_by_class


def kernel(x):
    """The Gaussian kernel of all pairs, by a loop."""
    n = len(x)
    d = torch.tensor([[float((x[i] - x[j]).square().sum()) for j in range(n)] for i in range(n)])
    return torch.exp(-d / (2 * d.mean()))


def slow_unbiased(k, l):  # noqa: E741
    """U-statistic over all quadruples of different samples (Song et al. 2012, eq. 4)."""
    total, count = 0.0, 0
    for i, j, q, r in permutations(range(len(k)), 4):
        total += float(k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q]))
        count += 1
    return total / count


def test_the_estimator_is_the_u_statistic():
    torch.manual_seed(0)
    x, y = torch.randn(7, 3), torch.randn(7, 2)
    k, l = kernel(x), kernel(y)  # noqa: E741
    assert float(hsic(k, l)) == pytest.approx(slow_unbiased(k, l), abs=1e-6)


def test_a_linear_kernel_is_handled_too():
    torch.manual_seed(1)
    x = torch.randn(8, 3, dtype=torch.float64)
    y = x @ torch.randn(3, 2, dtype=torch.float64)
    k, l = x @ x.T, y @ y.T  # noqa: E741
    assert float(hsic(k, l)) == pytest.approx(slow_unbiased(k, l), rel=1e-9)


def test_each_class_alone_equals_all_at_once():
    torch.manual_seed(2)
    z, labels = torch.randn(40, 5), torch.randint(0, 3, (40,))
    groups = torch.randint(-1, 2, (40,))
    found = hsic_by_class(z, groups, labels, 4)
    assert found.valid.tolist() == [True, True, True, False]
    for c in range(3):
        mine = (labels == c) & (groups >= 0)
        k = kernel(F.normalize(z[mine], dim=1))
        l = kernel(F.one_hot(groups[mine], 2).float())  # noqa: E741
        assert float(found.values[c]) == pytest.approx(float(hsic(k, l)), abs=1e-6)
    assert found.values[3] == 0


def test_known_sizes():
    """What the protocol says of this kernel: near 0 if independent, 0.1 at full separation."""
    torch.manual_seed(0)
    groups = torch.randint(0, 2, (500,))
    labels = torch.zeros(500, dtype=torch.long)
    free = hsic_by_class(torch.randn(500, 16), groups, labels, 1).values
    bound = hsic_by_class(F.one_hot(groups, 2).float(), groups, labels, 1).values
    assert abs(float(free)) < 1e-3
    assert float(bound) == pytest.approx(0.1, abs=0.002)


@pytest.mark.parametrize("case", ["zero rows", "one group", "three samples", "unknown", "equal"])
def test_degenerate_batches_have_finite_gradients(case):
    torch.manual_seed(0)
    n = 3 if case == "three samples" else 12
    z = torch.randn(n, 4)
    groups, labels = torch.arange(n) % 2, torch.zeros(n, dtype=torch.long)
    if case == "zero rows":
        z[:6] = 0
    if case == "equal":
        z[:] = 1
    if case == "one group":
        groups[:] = 1
    if case == "unknown":
        groups[:] = -1
    z.requires_grad_()
    found = hsic_by_class(z, groups, labels, 2)
    found.values.sum().backward()
    assert torch.isfinite(found.values).all()
    assert z.grad.abs().max() < 1, "a row of zeros must not burst"
    assert found.valid[0] == (case in ("zero rows", "equal"))


def test_gradient():
    torch.manual_seed(3)
    k = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    y = torch.randn(6, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: hsic(x @ x.T, y @ y.T), (k,))


def test_gradient_stops_at_the_scale():
    """That of a twin whose mean distance is a plain number."""
    torch.manual_seed(4)
    z = torch.randn(10, 3, requires_grad=True)
    groups, labels = torch.arange(10) % 2, torch.zeros(10, dtype=torch.long)
    (mine,) = torch.autograd.grad(hsic_by_class(z, groups, labels, 1).values.sum(), z)
    unit = z / z.norm(dim=1, keepdim=True)
    distances = (unit[:, None] - unit[None]).square().sum(-1)
    other = (groups[:, None] != groups[None]).float() * 2
    k = torch.exp(-distances / (2 * float(distances.detach().mean())))
    (its,) = torch.autograd.grad(hsic(k, torch.exp(-other / (2 * float(other.mean())))), z)
    torch.testing.assert_close(mine, its, rtol=1e-3, atol=1e-7)


def test_too_few():
    with pytest.raises(ValueError, match="at least 4 samples, got 3"):
        hsic(torch.eye(3), torch.eye(3))
