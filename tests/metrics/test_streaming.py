"""The streaming metric: the numbers of the table from any batches, and torchmetrics' own tools."""

import copy
import doctest
import math
import pickle
from collections import Counter
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torchmetrics import MetricCollection, MetricTracker
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.wrappers import BootStrapper, MinMaxMetric, Running

import fairexit.metrics.streaming
from fairexit.errors import UserError
from fairexit.metrics import METRICS, GroupFairness, compute, count
from fairexit.metrics.group_metrics import Empty

TINY = torch.tensor([0, 1, 0, 0]), torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
"""A batch in which group 1 misses its only sample of class 1."""


def draw(n: int = 50, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (n, 4), targets without class 3, groups of which some are unknown."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, 4, generator=generator)
    target = torch.randint(0, 3, (n,), generator=generator)
    return logits, target, torch.randint(-1, 3, (n,), generator=generator, dtype=torch.int8)


def of_table(logits: Tensor, target: Tensor, groups: Tensor, empty: Empty = "exclude") -> Any:
    counts = count(target.numpy(), logits.argmax(1).numpy(), groups.numpy(), 4, 3)
    return {name: value.item() for name, value in compute(counts, empty=empty).items()}


def assert_values(computed: dict[str, Tensor], expected: dict[str, float]) -> None:
    assert list(computed) == list(expected) == list(METRICS)
    assert all(value.shape == () for value in computed.values())
    values = [value.item() for value in computed.values()]
    np.testing.assert_allclose(values, list(expected.values()), rtol=1e-6)


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
    counts = count(target.numpy(), logits.argmax(1).numpy(), groups.numpy(), 4, 3)
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


def test_processes_add_up() -> None:
    logits, target, groups = draw()
    other = GroupFairness(4, 3)
    other.update(logits[20:], target[20:], groups[20:])

    def gather(state: Tensor, group: Any) -> list[Tensor]:
        return [state, other.counts]

    metric = GroupFairness(4, 3, dist_sync_fn=gather, distributed_available_fn=lambda: True)
    metric.update(logits[:20], target[:20], groups[:20])
    before = metric.counts
    assert_values(metric.compute(), of_table(logits, target, groups))
    assert torch.equal(metric.counts, before)


def test_options_of_torchmetrics() -> None:
    metric = GroupFairness(2, 2, compute_with_cache=False, sync_on_compute=False)
    assert not metric.compute_with_cache
    assert not metric.sync_on_compute
    with pytest.raises(ValueError, match="Unexpected keyword arguments: `window`"):
        GroupFairness(2, 2, window=3)


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, GroupFairness.clone, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_copies_count_on_their_own(duplicate: Any) -> None:
    metric = GroupFairness(2, 2, metric="eopp1")
    metric.update(*TINY)
    second = duplicate(metric)
    second.update(*TINY)
    assert (metric.counts.sum(), second.counts.sum()) == (4, 8)
    assert second.compute() == 0.5
    assert second.higher_is_better is False


def test_state_is_saved_if_persistent() -> None:
    metric, second = GroupFairness(2, 2), GroupFairness(2, 2)
    metric.persistent(True)
    metric.update(*TINY)
    second.persistent(True)
    second.load_state_dict(metric.state_dict())
    assert torch.equal(second.counts, metric.counts)


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


def test_a_collection_passes_groups_only_where_they_are_wanted() -> None:
    logits, target, groups = draw()
    fairness = GroupFairness(4, 3)
    collection = MetricCollection([MulticlassAccuracy(4, average="micro"), fairness])
    for rows in torch.arange(50).split(20):
        collection.update(logits[rows], target[rows], groups=groups[rows])
    values = collection.compute()
    overall = (logits.argmax(1) == target).float().mean()
    assert values.pop("MulticlassAccuracy") == pytest.approx(overall.item())
    assert_values(values, of_table(logits, target, groups))
    values = collection(logits[:9], target[:9], groups=groups[:9])
    assert values["eopp1"] == pytest.approx(of_table(logits[:9], target[:9], groups[:9])["eopp1"])


def test_a_collection_of_single_metrics_counts_once() -> None:
    logits, target, groups = draw()
    single = {name: GroupFairness(4, 3, metric=name) for name in METRICS}
    collection = MetricCollection(single, prefix="val_")
    for rows in torch.arange(50).split(20):
        collection.update(logits[rows], target[rows], groups=groups[rows])
    assert len(collection.compute_groups) == 1
    values, expected = collection.compute(), of_table(logits, target, groups)
    for name in METRICS:
        assert values[f"val_{name}"] == pytest.approx(expected[name], nan_ok=True)


def test_a_tracker_finds_the_best_epoch() -> None:
    epochs = [draw(seed=seed) for seed in range(4)]
    expected = [of_table(*epoch) for epoch in epochs]
    for name, best in (("eopp1", min), ("accuracy", max)):
        tracker = MetricTracker(GroupFairness(4, 3, metric=name))
        for logits, target, groups in epochs:
            tracker.increment()
            for rows in torch.arange(50).split(20):
                tracker.update(logits[rows], target[rows], groups=groups[rows])
        values = [epoch[name] for epoch in expected]
        np.testing.assert_allclose(tracker.compute_all(), values, rtol=1e-6)
        value, step = tracker.best_metric(return_step=True)
        assert value == pytest.approx(best(values))
        assert step == values.index(best(values))


def test_a_tracker_of_a_collection() -> None:
    names = ("eopp1", "accuracy")
    collection = MetricCollection({name: GroupFairness(4, 3, metric=name) for name in names})
    tracker = MetricTracker(collection)
    epochs = [draw(seed=seed) for seed in range(4)]
    for epoch in epochs:
        tracker.increment()
        tracker.update(epoch[0], epoch[1], groups=epoch[2])
    best = tracker.best_metric()
    expected = [of_table(*epoch) for epoch in epochs]
    assert best["eopp1"] == pytest.approx(min(epoch["eopp1"] for epoch in expected))
    assert best["accuracy"] == pytest.approx(max(epoch["accuracy"] for epoch in expected))


def test_a_tracker_of_all_metrics_needs_to_be_told_what_is_better() -> None:
    with pytest.raises(AttributeError, match="provide the `maximize` argument"):
        MetricTracker(GroupFairness(4, 3))
    tracker = MetricTracker(GroupFairness(4, 3), maximize=False)
    for seed in range(2):
        tracker.increment()
        tracker.update(*draw(seed=seed))
    values = tracker.compute_all()
    assert list(values) == list(METRICS)
    assert all(value.shape == (2,) for value in values.values())


@pytest.mark.parametrize("sampling_strategy", ["poisson", "multinomial"])
def test_bootstrap_resamples_groups_with_their_samples(sampling_strategy: str) -> None:
    torch.manual_seed(0)
    logits, target, groups = draw(400)
    bootstrap = BootStrapper(
        GroupFairness(4, 3, metric="eopp1"),
        num_bootstraps=30,
        raw=True,
        quantile=torch.tensor([0.05, 0.95]),
        sampling_strategy=sampling_strategy,
    )
    bootstrap.update(logits, target, groups=groups)
    values = bootstrap.compute()
    assert values["raw"].shape == (30,)
    assert values["raw"].unique().numel() > 20
    assert 0 < values["std"] < 0.1
    assert values["quantile"][0] < values["mean"] < values["quantile"][1]
    # Group and answer agree in every sample; a resample that tore them apart would break this.
    apart = BootStrapper(GroupFairness(4, 3, metric="eopp1"), num_bootstraps=5, raw=True)
    answers = torch.where(groups == 0, target, (target + 1) % 3)
    apart.update(answers, target, groups=groups)
    assert apart.compute()["raw"].tolist() == [1.0] * 5


def test_running_and_extremes() -> None:
    batches = [draw(20, seed) for seed in range(3)]
    running = Running(GroupFairness(4, 3, metric="accuracy"), window=2)
    extremes = MinMaxMetric(GroupFairness(4, 3, metric="accuracy"))
    for batch in batches:
        running.update(*batch)
        extremes(*batch)
    last = of_table(*(torch.cat(parts) for parts in zip(*batches[1:], strict=True)))
    assert running.compute() == pytest.approx(last["accuracy"])
    values = extremes.compute()
    assert values["min"] <= values["raw"] <= values["max"]


def test_plots() -> None:
    matplotlib.use("agg")
    single, every = GroupFairness(2, 2, metric="eopp1"), GroupFairness(2, 2)
    history = [single(*TINY), single(*TINY)]
    every.update(*TINY)
    for _, axes in (single.plot(), single.plot(history), every.plot()):
        assert axes.lines


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
        (2, [0, 1], [0, 1, 1], "predictions (2,), target (3,) and groups (2,) are not one batch"),
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
