"""Counts against explicit loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairexit.errors import UserError
from fairexit.metrics.counts import count, count_margins, margins
from random_predictions import FEW


@FEW
@given(st.integers(0, 2**32), st.integers(0, 30), st.integers(1, 4), st.integers(1, 4))
def test_equals_a_loop_over_samples(seed: int, n: int, classes: int, groups: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    predicted = rng.integers(0, classes, (2, 3, n))
    group = rng.integers(-1, groups, n)
    slow = np.zeros((2, 3, groups, classes, classes), int)
    for i in range(2):
        for j in range(3):
            for k in range(n):
                if group[k] >= 0:
                    slow[i, j, group[k], labels[k], predicted[i, j, k]] += 1
    np.testing.assert_array_equal(
        count(labels, predicted, group, num_classes=classes, num_groups=groups), slow
    )
    by_margin = count_margins(labels, predicted, group, num_classes=classes, num_groups=groups)
    for margin, summed in zip(by_margin, margins(slow), strict=True):
        np.testing.assert_array_equal(margin, summed)
    one = count(labels, predicted[1, 2], group, num_classes=classes, num_groups=groups)
    np.testing.assert_array_equal(one, slow[1, 2])


def test_small_integer_types_do_not_overflow() -> None:
    labels = np.array([99, 98], np.uint8)
    counts = count(labels, labels, np.array([1, 1], np.int8), num_classes=100, num_groups=2)
    assert counts[1, 99, 99] == counts[1, 98, 98] == 1
    assert counts.sum() == 2


@pytest.mark.parametrize(
    ("labels", "predicted", "groups", "message"),
    [
        ([0, 2], [0, 1], [0, 0], "label 2 is out of range; it must be from 0 to 1"),
        ([0, -1], [0, 1], [0, 0], "label -1 is out of range"),
        ([0, 1], [0, 5], [0, 0], "prediction 5 is out of range; it must be from 0 to 1"),
        ([0, 1], [0, 1], [0, 3], "group 3 is out of range; it must be from -1 to 2"),
        ([0, 1], [0, 1], [0, -2], "group -2 is out of range"),
        ([0, 1], [0, 1, 1], [0, 0], "must have the same length"),
    ],
)
def test_bad_indices(
    labels: list[int], predicted: list[int], groups: list[int], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        count(np.array(labels), np.array(predicted), np.array(groups), num_classes=2, num_groups=3)
