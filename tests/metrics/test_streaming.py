"""The streaming metric: any batches, the same numbers as from the table."""

import doctest

import numpy as np
import pytest
import torch

import fairexit.metrics.streaming
from fairexit.errors import UserError
from fairexit.metrics import GroupFairness
from fairexit.metrics.counts import count
from fairexit.metrics.group_metrics import Empty, compute


@pytest.mark.parametrize("empty", ["exclude", "zero"])
@pytest.mark.parametrize("size", [1, 7, 50])
def test_batches_do_not_matter(size: int, empty: Empty) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(50, 4, generator=generator)
    target = torch.randint(0, 3, (50,), generator=generator)
    groups = torch.randint(-1, 3, (50,), generator=generator, dtype=torch.int8)
    scores = GroupFairness(4, 3, empty)
    classes = GroupFairness(4, 3, empty)
    for rows in torch.arange(50).split(size):
        scores.update(logits[rows], target[rows], groups[rows])
        classes.update(logits[rows].argmax(1), target[rows], groups[rows])
    counts = count(target.numpy(), logits.argmax(1).numpy(), groups.numpy(), 4, 3)
    expected = {name: value.item() for name, value in compute(counts, empty=empty).items()}
    assert scores.compute() == classes.compute() == expected
    np.testing.assert_array_equal(scores.counts.numpy(), counts)


def test_small_integer_types_do_not_overflow() -> None:
    metric = GroupFairness(100, 3)
    last = torch.tensor([99, 98], dtype=torch.uint8)
    metric.update(last, last, torch.tensor([2, 2], dtype=torch.int8))
    assert metric.counts[2, 99, 99] == metric.counts[2, 98, 98] == 1


def test_reset_merge_and_forward() -> None:
    batch = torch.tensor([0, 1, 0, 0]), torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    one, two = GroupFairness(2, 2), GroupFairness(2, 2)
    assert one(*batch)["eopp1"] == 0.5
    two.update(*batch)
    two.merge_state(one)
    assert two.counts.sum() == 8
    two.reset()
    assert two.counts.sum() == 0


def test_state_is_added_up_between_processes() -> None:
    metric = GroupFairness(2, 2)
    reduce = metric._reductions["counts"]
    assert torch.equal(reduce(torch.ones(3, 2, 2, 2)), torch.full((2, 2, 2), 3.0))


@pytest.mark.parametrize(
    ("preds", "target", "groups", "message"),
    [
        ([0, 1], [0, 2], [0, 0], "label 2 is out of range; it must be from 0 to 1"),
        ([0, 2], [0, 1], [0, 0], "prediction 2 is out of range"),
        ([0, 1], [0, 1], [0, 2], "group 2 is out of range; it must be from -1 to 1"),
        ([0, 1], [0, 1], [0, -2], "group -2 is out of range"),
        ([0, 1], [0, 1, 1], [0, 0], "must have the same length"),
        ([[0.1, 0.2, 0.7]], [0], [0], "the predictions have 3 columns, but there are 2 classes"),
    ],
)
def test_bad_batches(preds: list[int], target: list[int], groups: list[int], message: str) -> None:
    metric = GroupFairness(2, 2)
    with pytest.raises(UserError, match=message):
        metric.update(torch.tensor(preds), torch.tensor(target), torch.tensor(groups))
    assert metric.counts.sum() == 0


def test_the_example_in_the_docstring_is_true() -> None:
    assert doctest.testmod(fairexit.metrics.streaming).failed == 0
