"""The streaming metric with what torchmetrics offers: collections, trackers, bootstraps, copies."""

import copy
import pickle
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics import MetricCollection, MetricTracker
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.wrappers import BootStrapper, MinMaxMetric, Running

from batches import TINY, assert_values, draw, of_table
from fairexit.metrics import METRICS, GroupFairness


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
