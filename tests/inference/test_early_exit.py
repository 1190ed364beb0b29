"""Early exit against its slow twin: all exits computed, then one chosen by a loop."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fairexit.errors import UserError
from fairexit.evaluation.thresholds import select
from fairexit.inference.early_exit import early_exit
from fairexit.models import create_model
from fairexit.predictions.confidence import CONFIDENCE_MEASURES

torch.manual_seed(0)
# float64, so that the batch size does not move a confidence across a threshold
NET = create_model("resnet18", 3, stem="small").double().eval()
for head in [*NET.heads.values(), NET.backbone.head]:
    head.classifier.weight.data *= 8  # confidences all over their range
IMAGES = (
    torch.randn(9, 3, 28, 28, dtype=torch.float64) * torch.linspace(0.1, 3, 9)[:, None, None, None]
)
with torch.no_grad():
    ALL = torch.stack([one.logits.softmax(1) for one in NET(IMAGES)], 1)


def eager(probabilities, thresholds, fallback, measure):
    """Exit and probabilities of each sample, chosen from all (N, E, C)."""
    chosen = []
    for sample in probabilities:
        confidence = CONFIDENCE_MEASURES[measure].function(sample.numpy())
        taken = len(sample) - 1
        if fallback == "most_confident":
            taken = max(range(len(sample)), key=lambda k: (confidence[k], -k))
        for k, threshold in enumerate(thresholds):
            if threshold is not None and confidence[k] >= threshold:
                taken = k
                break
        chosen.append(taken)
    rows = [sample[k] for sample, k in zip(probabilities, chosen, strict=True)]
    return torch.tensor(chosen), torch.stack(rows)


def check(count, threshold, thresholds, fallback, measure="max_probability"):
    answer = early_exit(NET, IMAGES[:count], threshold, fallback, confidence_measure=measure)
    exits, probabilities = eager(ALL[:count], thresholds, fallback, measure)
    assert torch.equal(answer.exit, exits)
    torch.testing.assert_close(answer.probabilities, probabilities)
    confidence = CONFIDENCE_MEASURES[measure].function(probabilities.numpy())
    torch.testing.assert_close(answer.confidence, torch.from_numpy(confidence))


fallbacks = st.sampled_from(["final", "most_confident"])


@pytest.mark.parametrize("fallback", ["final", "most_confident"])
def test_without_a_threshold_the_final_exit_answers(fallback):
    assert early_exit(NET, IMAGES, None, fallback).exit.tolist() == [4] * len(IMAGES)


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, len(IMAGES)), theta=st.floats(1e-6, 1), fallback=fallbacks)
def test_one_threshold_equals_choosing_afterwards(count, theta, fallback):
    check(count, theta, [theta] * 4, fallback)


@settings(max_examples=30, deadline=None)
@given(
    count=st.integers(1, len(IMAGES)),
    thetas=st.lists(st.floats(0.01, 1) | st.none(), min_size=4, max_size=4),
    fallback=fallbacks,
    measure=st.sampled_from([*CONFIDENCE_MEASURES]),
)
def test_thresholds_per_exit_equal_choosing_afterwards(count, thetas, fallback, measure):
    check(count, thetas, thetas, fallback, measure)


@pytest.mark.parametrize("measure", [*CONFIDENCE_MEASURES])
def test_a_network_and_stored_predictions_agree_to_the_last_bit(measure):
    net = create_model("resnet18", 3, stem="small").eval()
    images = IMAGES.float()
    answer = early_exit(net, images, 1e-9, confidence_measure=measure)
    assert answer.exit.tolist() == [0] * len(images)
    stored = net.probabilities(images).detach().numpy()
    confidence = CONFIDENCE_MEASURES[measure].function(stored)
    assert confidence.dtype == np.float32
    assert np.array_equal(answer.confidence.numpy(), confidence[:, 0])
    for k, value in enumerate(confidence[:, 0]):
        for theta in (value, np.nextafter(value, np.float32(2))):
            exits = early_exit(net, images, [theta, None, None, None], confidence_measure=measure)
            assert (exits.exit[k] == 0) == (select(confidence, float(theta))[k] == 0)
            assert (exits.exit[k] == 0) == (theta == value)


def test_the_examples_use_every_exit():
    thresholds, running = [], torch.arange(len(IMAGES))
    for k in range(4):  # the most confident of those still running leaves
        confidence = ALL[running, k].amax(1)
        thresholds.append(float(confidence.topk(2).values.mean()))
        running = running[confidence < thresholds[-1]]
    assert early_exit(NET, IMAGES, thresholds).exit.bincount().tolist() == [1, 1, 1, 1, 5]
    check(len(IMAGES), thresholds, thresholds, "final")


def test_theta_equal_to_the_confidence_leaves():
    alone = early_exit(NET, IMAGES[:1], 1e-9)
    assert early_exit(NET, IMAGES[:1], float(alone.confidence)).exit.tolist() == [0]
    above = float(torch.nextafter(alone.confidence, torch.ones(1, dtype=torch.float64)))
    assert early_exit(NET, IMAGES[:1], above).exit.tolist() != [0]


def samples_per_stage(thresholds):
    seen = [0, 0, 0, 0]

    def count(number):
        def hook(_, inputs, __):
            seen[number] += len(inputs[0])

        return hook

    hooks = [s.register_forward_hook(count(n)) for n, s in enumerate(NET.backbone.stages)]
    exits = early_exit(NET, IMAGES, thresholds).exit
    for hook in hooks:
        hook.remove()
    return seen, exits


def test_samples_that_are_done_are_not_computed_further():
    middle = float(ALL[:, 1].amax(1).median())
    seen, exits = samples_per_stage([1.0, middle, 1.0, 1.0])
    assert seen == [9, 9, 4, 4]
    assert (exits == 1).sum() == 5
    assert samples_per_stage(1e-9)[0] == [9, 0, 0, 0]
    assert samples_per_stage(1.0)[0] == [9, 9, 9, 9]


def test_a_network_without_exits_answers_with_its_final_one():
    net = create_model("resnet18", 3, exits="none").eval()
    x = torch.rand(2, 3, 32, 32)
    found = early_exit(net, x, 0.5)
    assert found.exit.tolist() == [0, 0]
    torch.testing.assert_close(found.probabilities, net(x)[0].logits.softmax(1))


def test_an_empty_batch_gives_no_rows():
    found = early_exit(NET, IMAGES[:0], 0.5)
    assert found.probabilities.shape == (0, 3)
    assert found.exit.shape == found.confidence.shape == (0,)


def test_half_precision_is_chosen_in_full():
    net = create_model("resnet18", 3).bfloat16().eval()
    found = early_exit(net, torch.rand(2, 3, 32, 32, dtype=torch.bfloat16), 0.5)
    assert found.probabilities.dtype == torch.float32


@pytest.mark.parametrize(
    ("threshold", "message"),
    [
        (1.5, "threshold 1.5 is out of range"),
        (-0.1, r"is out of range; it must be above 0 and at most 1"),
        (float("nan"), r"is out of range; it must be above 0 and at most 1"),
        ([0.5, 0.5, 0.5, 2], r"is out of range; it must be above 0 and at most 1"),
        ([0.5, 0.5], "2 thresholds but 4 internal exits"),
    ],
)
def test_bad_thresholds(threshold, message):
    with pytest.raises(UserError, match=message):
        early_exit(NET, IMAGES, threshold)


def test_bad_calls():
    with pytest.raises(
        UserError, match="there is no fallback 'last'; available: final, most_confident"
    ):
        early_exit(NET, IMAGES, 0.5, "last")
    with pytest.raises(UserError, match="'confidence_measure' is 'top2'; available: entropy, marg"):
        early_exit(NET, IMAGES, 0.5, confidence_measure="top2")
    with pytest.raises(UserError, match="at least 28x28 px, but these have 20x20 px"):
        early_exit(NET, IMAGES[..., :20, :20], 0.5)
    with pytest.raises(UserError, match=r"call net.eval\(\) first"):
        early_exit(create_model("resnet18", 3), torch.rand(1, 3, 32, 32), 0.5)


def test_without_theta_all_go_to_the_final_exit():
    assert early_exit(NET, IMAGES, None).exit.tolist() == [4] * len(IMAGES)
