"""The rule for the word on a claim."""

import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairexit.study.words import direction_of, word_of, word_of_all

FOR, OPEN, AGAINST = "for", "open", "against"


@pytest.mark.parametrize(
    ("primary", "condition", "word"),
    [
        ([FOR, FOR], None, "holds"),
        ([FOR, OPEN], FOR, "holds"),
        ([OPEN, FOR], FOR, "holds"),
        ([FOR, FOR], OPEN, "not decided"),
        ([FOR, FOR], AGAINST, "contradicted"),
        ([FOR, AGAINST], None, "not decided"),
        ([FOR, AGAINST], FOR, "not decided"),
        ([FOR, AGAINST], AGAINST, "contradicted"),
        ([OPEN, AGAINST], FOR, "contradicted"),
        ([AGAINST, AGAINST], OPEN, "contradicted"),
        ([OPEN, OPEN], AGAINST, "contradicted"),
        ([OPEN, OPEN], FOR, "not decided"),
        ([FOR], None, "holds"),
        ([AGAINST], None, "contradicted"),
        ([None, None], None, "not run"),
        ([], None, "not run"),
    ],
)
def test_the_word_on_a_claim(primary, condition, word):
    assert word_of(primary, condition) == word


def test_the_word_against_a_slow_twin():
    """The sentences of docs/studies.md, read one after the other."""
    for first, second, condition in product((FOR, OPEN, AGAINST), (FOR, OPEN, AGAINST), (
        None, FOR, OPEN, AGAINST,
    )):  # fmt: skip
        forms = [first, second]
        holds = forms.count(FOR) >= 1 and forms.count(AGAINST) == 0
        holds = holds and (condition is None or condition == FOR)
        contradicted = forms.count(AGAINST) >= 1 and forms.count(FOR) == 0
        contradicted = contradicted or condition == AGAINST
        assert not (holds and contradicted)
        word = "holds" if holds else "contradicted" if contradicted else "not decided"
        assert word_of(forms, condition) == word


@pytest.mark.parametrize(
    ("usual", "strict", "word"),
    [
        ([FOR, FOR], [OPEN, OPEN], "holds"),
        ([FOR, OPEN], [FOR, OPEN], "not decided"),
        ([FOR, None], [FOR, None], "not decided"),
        ([FOR, AGAINST], [FOR, AGAINST], "contradicted"),
        ([None, AGAINST], [None, AGAINST], "contradicted"),
        ([FOR, AGAINST], [FOR, OPEN], "not decided"),
        ([None, None], [None, None], "not run"),
        ([], [], "not run"),
    ],
)
def test_the_word_of_a_claim_of_which_all_must_hold(usual, strict, word):
    assert word_of_all(usual, strict) == word


ends = st.tuples(st.floats(-1, 1), st.floats(-1, 1)).map(sorted)


@given(ends, st.sampled_from([-1, 1]), st.sampled_from([0.0, 0.01, 0.1]))
def test_an_interval_lies_on_one_side_of_the_margin(interval, sign, margin):
    low, high = interval
    lies = direction_of(low, high, sign=sign, margin=margin)
    if sign == 1:
        assert (lies == FOR) == (low + margin > 0)
        assert (lies == AGAINST) == (high + margin < 0)
    else:
        assert (lies == FOR) == (margin - high > 0)
        assert (lies == AGAINST) == (margin - low < 0)


def test_an_interval_that_is_undefined_or_ends_at_0_is_open():
    assert direction_of(math.nan, math.nan, sign=1) == OPEN
    assert direction_of(0.0, 0.0, sign=1) == direction_of(0.0, 0.1, sign=-1) == OPEN
