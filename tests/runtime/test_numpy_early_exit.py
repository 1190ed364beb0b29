"""Early exit in NumPy against its slow twin: all exits computed, then one chosen."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fairexit.data.augment import Augment
from fairexit.errors import UserError
from fairexit.evaluation.policy import Policy
from fairexit.evaluation.thresholds import answering_exits
from fairexit.inference.early_exit import EarlyExit
from fairexit.inference.images import to_network
from fairexit.predictions.confidence import CONFIDENCE_MEASURES
from fairexit.runtime.early_exit import Rule, all_exits, early_exit, softmax
from fairexit.runtime.graphs import StagedPass, WholePass
from fairexit.runtime.model import as_list, to_input
from random_predictions import make


class Graph:
    """Stands for a graph: features are the images' numbers, from which it looks its logits up."""

    def __init__(self, logits, is_last):
        self.all, self.is_last, self.computed = logits, is_last, 0

    def get_inputs(self):
        return [self]

    name = "x"

    def run(self, _, inputs):
        rows = inputs["x"][:, 0].astype(int)
        self.computed += len(rows)
        return [self.all[rows]] if self.is_last else [inputs["x"], self.all[rows]]


def passes(logits):
    """A staged pass with its graphs and a pass through one graph, of logits (N, E, C)."""
    exits = logits.shape[1]
    graphs = [Graph(logits[:, k], k == exits - 1) for k in range(exits)]
    numbers = np.arange(len(logits), dtype=np.float32)[:, None]
    return StagedPass(graphs, numbers), graphs, WholePass([*logits.swapaxes(0, 1)])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    theta=st.one_of(
        st.none(), st.floats(0.01, 1), st.tuples(*[st.one_of(st.none(), st.floats(0.01, 1))] * 3)
    ),
    fallback=st.sampled_from(["final", "most_confident"]),
    measure=st.sampled_from(sorted(CONFIDENCE_MEASURES)),
)
def test_it_equals_choosing_afterwards(seed, theta, fallback, measure):
    logits = np.random.default_rng(seed).normal(0, 2, (9, 4, 3)).astype(np.float32)
    policy = Policy(theta, fallback, confidence_measure=measure)
    staged, graphs, whole = passes(logits)
    probabilities = softmax(logits)
    drawn = make(9, exits=4, classes=3, seed=seed)
    exits = answering_exits(replace(drawn, probabilities=probabilities), policy)
    for images in (staged, whole):
        answers = early_exit(images, 9, Rule.of(policy, 4))
        assert answers.exit.tolist() == exits.tolist()
        np.testing.assert_array_equal(answers.probabilities, probabilities[np.arange(9), exits])
        expected = CONFIDENCE_MEASURES[measure].function(answers.probabilities)
        np.testing.assert_array_equal(answers.confidence, expected)
    if fallback == "final":
        assert [graph.computed for graph in graphs] == [int((exits >= k).sum()) for k in range(4)]


def test_all_exits_are_computed_for_all_images():
    logits = np.random.default_rng(0).normal(0, 2, (5, 3, 4)).astype(np.float32)
    for images in (passes(logits)[0], passes(logits)[2]):
        np.testing.assert_array_equal(all_exits(images, 3), softmax(logits))


def test_softmax_is_that_of_pytorch():
    logits = np.random.default_rng(0).normal(0, 30, (50, 7)).astype(np.float32)
    expected = torch.from_numpy(logits).softmax(-1).numpy()
    np.testing.assert_allclose(softmax(logits), expected, rtol=0, atol=1e-6)


def test_logits_that_are_no_numbers_are_answered_at_the_final_exit():
    logits = np.full((2, 3, 4), np.nan, np.float32)
    answers = early_exit(passes(logits)[0], 2, Rule.of(Policy(0.5), 3))
    assert answers.exit.tolist() == [2, 2]
    answers = early_exit(passes(logits)[0], 2, Rule.of(Policy(0.5, "most_confident"), 3))
    assert np.isnan(answers.probabilities).all()


def test_images_are_scaled_as_in_training_bit_for_bit(small):
    pixels = np.array(small.images[:20])
    pixels[0] = np.arange(32 * 32 * 3).reshape(32, 32, 3) % 256
    images = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())
    expected = Augment("none", 0)(images, np.arange(20), 0)
    assert np.array_equal(to_input(pixels), expected.numpy())
    assert np.array_equal(to_input(pixels[:1])[0], to_network(pixels[0], 32, "squash").numpy())


def test_the_answers_of_pytorch_come_as_arrays():
    answers = EarlyExit(torch.ones(2, 3), torch.tensor([0, 1]), torch.ones(2))
    assert [type(part) for part in answers.arrays()] == [np.ndarray] * 3


@pytest.mark.parametrize("bad", [3, [np.zeros((4, 4), np.uint8)], [np.zeros((4, 4, 3))], [None]])
def test_what_is_no_image_is_refused(bad):
    with pytest.raises(UserError, match="is not an image; give files, Pillow images, or uint8"):
        as_list(bad)
