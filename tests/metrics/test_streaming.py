"""The streaming metric: the numbers of the table from any batches; it waits only to validate."""

import doctest
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import fairexit.metrics.streaming
from batches import TINY, assert_values, draw, of_table
from fairexit.errors import UserError
from fairexit.metrics import METRICS, GroupFairness, count
from fairexit.metrics.rates import Empty


@pytest.mark.parametrize("empty", ["exclude", "zero"])
@pytest.mark.parametrize("size", [1, 7, 50])
@pytest.mark.parametrize("validate_args", [True, False])
def test_batches_do_not_matter(size: int, empty: Empty, validate_args: bool) -> None:
    logits, target, groups = draw()
    scores = GroupFairness(4, 3, empty, validate_args=validate_args)
    classes = GroupFairness(4, 3, empty, validate_args=validate_args)
    for rows in torch.arange(50).split(size):
        scores.update(logits[rows], target[rows], groups[rows])
        classes.update(logits[rows].argmax(1), target[rows], groups[rows])
    expected = of_table(logits, target, groups, empty)
    assert_values(scores.compute(), expected)
    assert_values(classes.compute(), expected)
    counts = count(
        target.numpy(), logits.argmax(1).numpy(), groups.numpy(), num_classes=4, num_groups=3
    )
    np.testing.assert_array_equal(scores.counts.numpy(), counts)


@pytest.mark.parametrize("name", METRICS)
def test_one_metric_is_a_scalar(name: str) -> None:
    logits, target, groups = draw()
    metric = GroupFairness(4, 3, metric=name)
    value = metric(logits, target, groups=groups)
    assert value.shape == ()
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(of_table(logits, target, groups)[name])


def test_whether_higher_is_better() -> None:
    assert GroupFairness(4, 3).higher_is_better is None
    better = {name: GroupFairness(4, 3, metric=name).higher_is_better for name in METRICS}
    assert better["accuracy"] is better["worst_group_f1"] is better["recall"] is True
    assert better["eopp1"] is better["eodd"] is better["recall_diff"] is False


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_scores_of_any_precision(dtype: torch.dtype) -> None:
    logits, target, groups = draw()
    logits = logits.to(dtype)
    metric = GroupFairness(4, 3)
    metric.update(logits, target, groups)
    assert_values(metric.compute(), of_table(logits.float(), target, groups))


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_binary_scores_are_cut_at_one_half(shape: tuple[int, ...]) -> None:
    metric = GroupFairness(2, 1)
    scores = torch.tensor([0.2, 0.5, 0.7, 0.51], dtype=torch.float16).reshape(shape)
    metric.update(scores, torch.ones(4, dtype=torch.int64), torch.zeros(4, dtype=torch.int64))
    assert metric.counts.tolist() == [[[0, 0], [2, 2]]]


def test_small_integer_types_do_not_overflow() -> None:
    metric = GroupFairness(100, 3)
    last = torch.tensor([99, 98], dtype=torch.uint8)
    metric.update(last, last, torch.tensor([2, 2], dtype=torch.int8))
    metric.update(last, last, torch.tensor([2, 2], dtype=torch.uint8))
    assert metric.counts[2, 99, 99] == metric.counts[2, 98, 98] == 2


def test_boolean_classes() -> None:
    metric = GroupFairness(2, 2)
    metric.update(*(values.bool() for values in TINY))
    assert metric.compute()["eopp1"] == 0.5


def test_an_empty_batch_adds_nothing() -> None:
    metric = GroupFairness(4, 3)
    metric.update(*(values[:0] for values in draw()))
    assert metric.counts.sum() == 0
    assert math.isnan(metric.compute()["eopp1"])


def test_reset_merge_and_forward() -> None:
    first, second = GroupFairness(2, 2), GroupFairness(2, 2)
    assert first(*TINY)["eopp1"] == 0.5
    assert first(*(values[:2] for values in TINY))["accuracy"] == 1
    assert first.compute()["accuracy"] == pytest.approx(5 / 6)
    second.update(*TINY)
    second.merge_state(first)
    assert second.counts.sum() == 10
    second.reset()
    assert second.counts.sum() == 0


def test_inference_mode_may_come_and_go() -> None:
    metric = GroupFairness(2, 2)
    with torch.inference_mode():
        metric(*TINY)
    metric.update(*TINY)
    with torch.inference_mode():
        metric.update(*TINY)
    assert metric.counts.sum() == 12


def test_a_type_is_that_of_the_values_never_of_the_counts() -> None:
    metric = GroupFairness(2, 2).set_dtype(torch.float16)
    for _ in range(1000):
        metric.update(*TINY)
    metric.half()
    assert metric.counts.sum() == 4000
    assert metric.compute()["eopp1"].dtype == torch.float16
    metric.reset()
    assert metric.counts.dtype == torch.int64


class Waits(TorchDispatchMode):
    """Counts the operations that make a program wait for its GPU."""

    NAMES = ("_local_scalar_dense", "nonzero", "bincount", "_unique2", "masked_select", "_to_copy")

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in self.NAMES and not (name == "_to_copy" and not (kwargs or {}).get("device")):
            self.seen[name] += 1
        return func(*args, **(kwargs or {}))


def test_an_update_waits_for_the_gpu_only_to_validate() -> None:
    logits, target, groups = draw()
    for validate_args, expected in ((True, {"_local_scalar_dense": 1}), (False, {})):
        metric = GroupFairness(4, 3, validate_args=validate_args)
        with Waits() as waits:
            metric.update(logits, target, groups)
        assert waits.seen == expected
    with Waits() as waits:
        target[groups != -1].cpu()
        torch.bincount(target).to("cpu", copy=True)
    assert waits.seen == {"bincount": 1, "_to_copy": 1}


@pytest.mark.parametrize("preds", [torch.rand(5, 2), torch.rand(5), torch.rand(5).long()])
def test_an_update_reads_no_value(preds: Tensor) -> None:
    # A tensor on this device has no values: an operation that needs one fails.
    there = [values.to("meta") for values in (preds, torch.arange(5), torch.arange(5))]
    metric = GroupFairness(2, 2, validate_args=False).to("meta")
    metric.update(*there)
    assert metric.counts.device.type == "meta"
    with pytest.raises(RuntimeError, match="cannot be called on meta tensors"):
        GroupFairness(2, 2).to("meta").update(*there)


@pytest.mark.parametrize(
    ("preds", "target", "groups", "message"),
    [
        ([0, 1], [0, 2], [0, 0], "label 2 is out of range: from 0 to 1 is allowed (sample 1 of"),
        ([0, 2], [0, 1], [0, 0], "prediction 2 is out of range: from 0 to 1 is allowed (sample 1"),
        ([0, 1], [0, 1], [0, 2], "group 2 is out of range: from -1 to 1 is allowed (sample 1 of"),
        ([0, 1], [0, 1], [-2, 0], "group -2 is out of range: from -1 to 1 is allowed (sample 0"),
        ([[0.1, math.nan]], [0], [0], "prediction nan is not a number (sample 0 of the batch)"),
        ([0.1, 1.5], [0, 1], [0, 0], "prediction 1.5 is no probability: apply a sigmoid to"),
        ([[0.1], [math.nan]], [0, 1], [0, 0], "prediction nan is no probability"),
    ],
)
def test_bad_values(preds: Any, target: Any, groups: Any, message: str) -> None:
    metric = GroupFairness(2, 2)
    with pytest.raises(UserError) as caught:
        metric.update(torch.tensor(preds), torch.tensor(target), torch.tensor(groups))
    assert message in str(caught.value)
    assert metric.counts.sum() == 0


@pytest.mark.parametrize("validate_args", [True, False])
@pytest.mark.parametrize(
    ("classes", "preds", "target", "message"),
    [
        (
            2,
            [0, 1],
            [0, 1, 1],
            "predictions (2,), target (3,) and groups (2,) must have the same length",
        ),
        (2, [[0.1, 0.2, 0.7]] * 2, [0, 1], "predictions have the shape (2, 3) and the type torch"),
        (3, [0.1, 0.2], [0, 1], "give scores (B, 3) of a floating type or classes (B,) of an int"),
        (2, [[0, 1], [1, 0]], [0, 1], "the shape (2, 2) and the type torch.int64; give scores"),
        (2, [0, 1], [0.0, 1.0], "target has the type torch.float32; give indices, such as int64"),
    ],
)
def test_bad_batches(
    classes: int, preds: Any, target: Any, message: str, validate_args: bool
) -> None:
    metric = GroupFairness(classes, 2, validate_args=validate_args)
    with pytest.raises(UserError) as caught:
        metric.update(torch.tensor(preds), torch.tensor(target), torch.zeros(2, dtype=torch.int8))
    assert message in str(caught.value)
    assert metric.counts.sum() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "eop1"}, "there is no metric 'eop1'; did you mean 'eopp1'?"),
        ({"empty": "exlude"}, "empty='exlude' is unknown; did you mean 'exclude'?"),
        ({"num_classes": 1}, "num_classes=1 and num_groups=2; at least two classes and one group"),
        ({"num_groups": 0}, "num_classes=2 and num_groups=0"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        GroupFairness(**{"num_classes": 2, "num_groups": 2, **options})
    assert message in str(caught.value)


def test_the_example_in_the_docstring_is_true() -> None:
    result = doctest.testmod(fairexit.metrics.streaming)
    assert result.failed == 0
    assert result.attempted >= 6
