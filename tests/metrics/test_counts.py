"""Counts against explicit loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairexit.errors import UserError
from fairexit.metrics.counts import count
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
    np.testing.assert_array_equal(count(labels, predicted, group, classes, groups), slow)
    one = count(labels, predicted[1, 2], group, classes, groups)
    np.testing.assert_array_equal(one, slow[1, 2])


def test_small_integer_types_do_not_overflow() -> None:
    labels = np.array([99, 98], np.uint8)
    counts = count(labels, labels, np.array([1, 1], np.int8), 100, 2)
    assert counts[1, 99, 99] == counts[1, 98, 98] == 1
    assert counts.sum() == 2


@pytest.mark.parametrize(
    ("labels", "predicted", "groups", "message"),
    [
        ([0, 2], [0, 1], [0, 0], "label 2 is out of range: from 0 to 1 is allowed"),
        ([0, -1], [0, 1], [0, 0], "label -1 is out of range"),
        ([0, 1], [0, 5], [0, 0], "prediction 5 is out of range: from 0 to 1 is allowed"),
        ([0, 1], [0, 1], [0, 3], "group 3 is out of range: from -1 to 2 is allowed"),
        ([0, 1], [0, 1], [0, -2], "group -2 is out of range"),
        ([0, 1], [0, 1, 1], [0, 0], "not of one length"),
    ],
)
def test_bad_indices(
    labels: list[int], predicted: list[int], groups: list[int], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        count(np.array(labels), np.array(predicted), np.array(groups), 2, 3)
