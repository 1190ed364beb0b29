"""Which networks have collapsed: one class has nearly all answers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fairexit.metrics.collapse import main_answer_share
from fairexit.metrics.counts import count, count_margins


@given(st.lists(st.tuples(*[st.integers(0, 2)] * 2, st.integers(0, 1)), min_size=1, max_size=30))
def test_the_share_of_the_main_answer_against_a_slow_twin(rows):
    labels, predicted, groups = np.array(rows).T
    shape = {"num_classes": 3, "num_groups": 2}
    answers = predicted.tolist()
    expected = max(answers.count(c) for c in range(3)) / len(answers)
    assert main_answer_share(count(labels, predicted, groups, **shape)) == expected
    assert main_answer_share(count_margins(labels, predicted, groups, **shape)) == expected


def test_leading_axes_are_kept_and_no_sample_is_no_collapse():
    counts = np.zeros((2, 1, 2, 2), np.int64)
    counts[0, 0, :, 1] = (3, 4)
    np.testing.assert_array_equal(main_answer_share(counts), [1, 0])
