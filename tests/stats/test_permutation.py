"""The permutation test against all permutations written out, and what permuting must keep."""

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustered import as_sample, clustered
from fairexit.errors import UserError
from fairexit.metrics.counts import count, margins
from fairexit.metrics.record import compute
from fairexit.stats.permutation import (
    Permutation,
    _deal,
    _deal_types,
    permute,
)

FEW = settings(deadline=None, max_examples=25)
SEEDS = st.integers(0, 2**32)


@FEW
@given(SEEDS, st.integers(2, 4), st.booleans())
def test_permuting_keeps_sizes_classes_and_answers(seed: int, groups: int, mixed: bool) -> None:
    arrays = clustered(seed, 40, groups=groups, mixed=mixed)
    parts = {
        name: lambda m, name=name: getattr(m, name) for name in ("hits", "actual", "predicted")
    }
    found = permute(as_sample(*arrays), metrics=parts, n_resamples=20)
    whole = margins(count(*arrays[:3], num_classes=arrays[4], num_groups=arrays[5]))
    np.testing.assert_array_equal(found.point["hits"], whole.hits)
    for name in parts:  # all groups together, nothing changes
        summed = found.null[name].sum(-2)
        np.testing.assert_array_equal(
            summed, np.broadcast_to(found.point[name].sum(-2), summed.shape)
        )
    if not found.approximate:
        actual = found.null["actual"]
        np.testing.assert_array_equal(actual, np.broadcast_to(whole.actual, actual.shape))


def test_equals_all_permutations() -> None:
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1])
    groups = np.array([0, 0, 1, 1, 1, 0, 0, 1, 1])
    answers = np.array([0, 0, 1, 1, 0, 1, 1, 0, 1])
    gaps = []
    for first in set(permutations(groups[:5].tolist())):
        for second in set(permutations(groups[5:].tolist())):
            dealt = np.array([*first, *second])
            gaps.append(
                compute(count(labels, answers, dealt, num_classes=2, num_groups=2), ("eopp1",))[
                    "eopp1"
                ]
            )
    found = permute(
        as_sample(labels, answers[None], groups, np.full(9, ""), 2, 2), metrics=("eopp1",)
    )
    share = np.mean([gap >= found.point["eopp1"].item() - 1e-9 for gap in gaps])
    assert found.p_value("eopp1").item() == pytest.approx(share, abs=0.015)
    assert found.null_mean("eopp1").item() == pytest.approx(np.mean(gaps), abs=0.01)
    assert not found.approximate
    assert found.stuck == 0


@pytest.mark.parametrize("deal", [_deal, _deal_types])
def test_clusters_are_dealt_without_replacement(deal: Any) -> None:
    number, sizes = np.array([5, 1, 3]), np.array([2, 4, 3])
    times = deal(number, sizes, 20_000, np.random.default_rng(0))
    assert (times.sum(1) == sizes).all()
    assert (times.sum(2) == number).all()
    share = sizes / 9
    np.testing.assert_allclose(times.mean(0), number[:, None] * share, rtol=0.03)
    variance = number[:, None] * share * (1 - share) * (9 - number[:, None]) / 8
    np.testing.assert_allclose(times.var(0), variance, rtol=0.05)


def test_many_clusters_of_few_types_take_the_other_way() -> None:
    arrays = clustered(1, 3000, models=1)
    arrays = (*arrays[:3], np.full(3000, "", object), *arrays[4:])
    found = permute(as_sample(*arrays), n_resamples=300)
    assert 0.05 < found.p_value("eopp1").item() <= 1
    ratio = found.point["eopp1"].item() / found.null_mean("eopp1").item()
    assert 0.2 < ratio < 3


def test_clusters_of_several_groups_stay() -> None:
    labels, groups = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    names = np.array(["a", "a", "b", "b"], object)
    found = permute(
        as_sample(labels, np.array([[0, 1, 1, 1]]), groups, names, 2, 2), n_resamples=20
    )
    assert found.stuck == 1
    assert (found.null["eopp1"] == found.point["eopp1"]).all()
    assert found.p_value("eopp1") == 1
    assert found.corrected("eopp1") == 0


def test_unique_profiles_are_pooled_and_it_says_so() -> None:
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(60), rng.integers(5, 12, 60))
    labels, groups = rng.integers(0, 4, len(owner)), (owner % 2)
    answers = np.where(rng.random(len(owner)) < 0.7, labels, 0)[None]
    names = np.array([f"p{k}" for k in owner], object)
    found = permute(as_sample(labels, answers, groups, names, 4, 2), n_resamples=200)
    assert found.approximate
    assert found.stuck < 0.2
    assert found.null["eopp1"].std() > 0


def test_summaries_of_what_chance_gives() -> None:
    null = np.array([[0.1], [0.2], [np.nan], [0.3], [0.4]])
    found = Permutation({"gap": np.array([0.3])}, {"gap": null}, False, 0.0)
    assert found.null_mean("gap") == pytest.approx(0.25)
    assert found.null_quantile("gap", 0.5) == pytest.approx(0.25)
    assert found.p_value("gap") == pytest.approx((1 + 2) / (1 + 4))
    assert found.corrected("gap") == pytest.approx(0.05)
    nothing = Permutation({"gap": np.array([np.nan])}, {"gap": null * np.nan}, False, 0.0)
    assert np.isnan(nothing.null_mean("gap"))
    assert np.isnan(nothing.p_value("gap"))


def test_a_real_gap_is_found_and_none_is_not() -> None:
    rng = np.random.default_rng(0)
    labels, groups = rng.integers(0, 3, 900), rng.integers(0, 2, 900)
    names = np.full(900, "", object)
    chance = np.array([0.9, 0.6])
    wrong = (labels + 1) % 3
    unfair = np.where(rng.random(900) < chance[groups], labels, wrong)
    fair = np.where(rng.random(900) < 0.75, labels, wrong)
    found = permute(
        as_sample(labels, np.stack([unfair, fair]), groups, names, 3, 2), n_resamples=999
    )
    unfair_p, fair_p = found.p_value("eopp1")
    assert unfair_p == pytest.approx(1 / 1000)
    assert fair_p > 0.01


@pytest.mark.parametrize("question", ["null_mean", "null_quantile", "p_value", "corrected"])
def test_only_what_was_drawn_can_be_asked_for(question: str) -> None:
    found = permute(as_sample(*clustered(0)), n_resamples=2)
    with pytest.raises(UserError, match=r"'eop1' was not resampled; did you mean 'eopp1'\?"):
        getattr(found, question)("eop1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_resamples": 0}, "n_resamples is 0; it must be at least 1"),
        ({"metrics": ("eop1",)}, r"no metric 'eop1'; did you mean 'eopp1'\?"),
    ],
)
def test_bad_input(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        permute(as_sample(*clustered(0)), **change)
