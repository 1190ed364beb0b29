"""Confidence measures against loops; where they agree; edges, ties and unknown names."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairexit.errors import UserError
from fairexit.predictions import data
from fairexit.predictions.confidence import (
    CONFIDENCE_MEASURES,
    check_confidence_measure,
    entropy,
    margin,
    max_probability,
)
from random_predictions import FEW, make


def slow_entropy(row):
    return 1 + sum(p * math.log(p) for p in row if p > 0) / math.log(len(row))


def slow_margin(row):
    second, first = sorted(row)[-2:]
    return first - second


SLOW = {"max_probability": max, "margin": slow_margin, "entropy": slow_entropy}


def test_every_measure_has_a_loop():
    assert SLOW.keys() == CONFIDENCE_MEASURES.keys()


@pytest.mark.parametrize("name", SLOW)
@pytest.mark.parametrize("classes", [2, 3, 9, 114])
def test_measures_equal_loops(name, classes):
    probabilities = np.random.default_rng(0).dirichlet(np.full(classes, 0.3), (20, 3))
    expected = [[SLOW[name](row) for row in sample] for sample in probabilities]
    measure = CONFIDENCE_MEASURES[name].function
    np.testing.assert_allclose(measure(probabilities), expected, rtol=0, atol=1e-14)
    single = measure(probabilities.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=0, atol=1e-6)


def test_edges():
    certain = np.array([[1, 0, 0, 0]], np.float32)
    equal = np.full((1, 4), 0.25, np.float32)
    tied = np.array([[0.5, 0.5, 0, 0]], np.float32)
    for name, (at_certain, at_equal, at_tied) in {
        "max_probability": (1, 0.25, 0.5),
        "margin": (1, 0, 0),
        "entropy": (1, 0, 0.5),
    }.items():
        measure = CONFIDENCE_MEASURES[name]
        assert measure.function(certain) == [at_certain]
        assert measure.function(equal) == [at_equal] == [measure.lowest(4)]
        assert measure.function(tied) == [at_tied]
    # Tables from other tools are rounded, so that probabilities need not sum to 1.
    rounded = np.array([[0.26, 0.26, 0.26, 0.26], [0.99, 0.0, 0.0, 0.0]], np.float32)
    assert (entropy(rounded) >= 0).all()
    assert (entropy(rounded) <= 1).all()


@FEW
@given(st.lists(st.integers(0, 2**20), min_size=2, max_size=40))
def test_two_classes_are_ordered_alike(values):
    """The entropy is flat near equal classes, so that it may not tell two samples apart."""
    first = np.array(values) / 2**20
    probabilities = np.stack([first, 1 - first], -1).astype(np.float32)
    order = np.argsort(max_probability(probabilities), kind="stable")
    for function in (margin, entropy):
        assert (np.diff(function(probabilities)[order]) >= 0).all()
    np.testing.assert_array_equal(margin(probabilities), 2 * max_probability(probabilities) - 1)


def test_the_layout_of_the_array_does_not_matter():
    probabilities = np.random.default_rng(1).dirichlet(np.ones(12), (7, 5)).astype(np.float32)
    other = np.asfortranarray(probabilities)
    assert other.strides != probabilities.strides
    for measure in CONFIDENCE_MEASURES.values():
        whole = measure.function(probabilities)
        np.testing.assert_array_equal(measure.function(other), whole)
        np.testing.assert_array_equal(measure.function(probabilities[3, 2:3]), whole[3, 2:3])


@pytest.mark.parametrize("name", SLOW)
def test_predictions_are_measured_in_blocks(name, monkeypatch):
    predictions = make(n=50)
    whole = CONFIDENCE_MEASURES[name].function(predictions.probabilities)
    monkeypatch.setattr(data, "BLOCK", 30)
    np.testing.assert_array_equal(make(n=50).confidence(name), whole)
    assert predictions.confidence(name) is predictions.confidence(name)


def test_answers_alone_are_certain():
    from dataclasses import replace

    whole = make(exits=1)
    hard = replace(whole, probabilities=None, given=whole.answers[:, 0])
    for name in SLOW:
        assert (hard.confidence(name) == 1).all()


def test_unknown_measure():
    with pytest.raises(UserError, match="'confidence_measure' is 'entrop'; did you mean 'entropy'"):
        make().confidence("entrop")
    with pytest.raises(UserError, match="available: entropy, margin, max_probability"):
        check_confidence_measure("top2")
