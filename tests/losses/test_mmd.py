import pytest
import torch

from fairexit.losses.mmd import mmd_by_cell


def slow(teacher, student, labels, groups, c, g, sigma):
    """MMD^2 of one cell by loops, diagonals included."""
    known = [i for i in range(len(labels)) if groups[i] >= 0]
    pairs = [float((teacher[i] - student[j]).square().sum()) for i in known for j in known]
    scale = sigma * sum(pairs) / len(pairs)

    def mean(x, y):
        values = [float(torch.exp(-(a - b).square().sum() / (2 * scale))) for a in x for b in y]
        return sum(values) / len(values)

    t = [teacher[i] for i in known if labels[i] == c]
    s = [student[i] for i in known if labels[i] == c and groups[i] == g]
    return mean(t, t) + mean(s, s) - 2 * mean(t, s)


def test_all_cells_equal_the_loops():
    torch.manual_seed(0)
    teacher, student = torch.randn(30, 4), torch.randn(30, 4) + 0.3
    labels, groups = torch.randint(0, 3, (30,)), torch.randint(-1, 3, (30,))
    found = mmd_by_cell(teacher, student, labels, groups, num_classes=4, num_groups=3, sigma=0.5)
    for c in range(3):
        for g in range(3):
            if found.valid[c, g]:
                wanted = slow(teacher, student, labels, groups, c, g, 0.5)
                assert float(found.values[c, g]) == pytest.approx(wanted, abs=1e-6)
    assert found.valid.sum() >= 8
    assert not found.valid[3].any()
    assert (found.values[3] == 0).all()


def test_the_teacher_itself_has_no_discrepancy():
    torch.manual_seed(1)
    z = torch.randn(20, 4)
    labels, groups = torch.zeros(20, dtype=torch.long), torch.zeros(20, dtype=torch.long)
    found = mmd_by_cell(z, z.clone(), labels, groups, num_classes=1, num_groups=1, sigma=0.5)
    assert float(found.values) == pytest.approx(0, abs=1e-6)


def test_gradient_stops_at_the_scale():
    """That of a twin whose scale is a plain number."""
    torch.manual_seed(2)
    teacher, student = torch.randn(8, 3), torch.randn(8, 3, requires_grad=True)
    labels, groups = torch.zeros(8, dtype=torch.long), torch.zeros(8, dtype=torch.long)
    found = mmd_by_cell(
        teacher, student, labels, groups, num_classes=1, num_groups=1, sigma=0.5
    ).values.sum()
    (mine,) = torch.autograd.grad(found, student)
    scale = 0.5 * float((teacher[:, None] - student.detach()[None]).square().sum(-1).mean())

    def mean(x, y):
        return torch.exp(-(x[:, None] - y[None]).square().sum(-1) / (2 * scale)).mean()

    twin = mean(teacher, teacher) + mean(student, student) - 2 * mean(teacher, student)
    (its,) = torch.autograd.grad(twin, student)
    torch.testing.assert_close(mine, its, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("n", [0, 1])
def test_tiny_batches(n):
    student = torch.randn(n, 3, requires_grad=True)
    zeros = torch.zeros(n, dtype=torch.long)
    found = mmd_by_cell(
        torch.randn(n, 3), student, zeros, zeros, num_classes=2, num_groups=2, sigma=0.5
    )
    found.values.sum().backward()
    assert torch.isfinite(found.values).all()
    assert torch.isfinite(student.grad).all()
