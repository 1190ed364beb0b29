"""Clusters of equal content, their profiles and shapes, against explicit loops."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustered import as_sample, clustered
from fairexit.stats import clusters as clusters_module
from fairexit.stats import permutation
from fairexit.stats.bootstrap import bootstrap
from fairexit.stats.clusters import find_clusters, rarest_class
from fairexit.stats.contents import find_contents, profiles_of
from fairexit.stats.inversion import _population, invert
from fairexit.stats.resampling import sum_margins, sum_regrouped

FEW = settings(deadline=None, max_examples=40)
SEEDS = st.integers(0, 2**32)


def draw(seed: int, kinds: int = 3) -> tuple[Any, Any]:
    """Clusters of 1 to 4 images in any order, and the kinds of the images."""
    rng = np.random.default_rng(seed)
    index = rng.permutation(np.repeat(np.arange(25), rng.integers(1, 5, 25)))
    return index, rng.integers(0, kinds, len(index))


@FEW
@given(SEEDS, st.sampled_from([1, 3, 40]))
def test_contents_are_those_of_a_dictionary(seed: int, kinds: int) -> None:
    index, kind = draw(seed, kinds)
    slow: dict[tuple[int, ...], int] = {}
    codes = [
        slow.setdefault(tuple(sorted(kind[index == k].tolist())), len(slow)) for k in range(25)
    ]
    contents = find_contents(index, kind)
    assert contents.code.tolist() == codes
    assert [tuple(contents.kinds[contents.owner == c].tolist()) for c in range(len(slow))] == [
        *slow
    ]


def test_clusters_with_equal_sums_of_numbers_are_told_apart(monkeypatch: Any) -> None:
    real, calls = np.random.default_rng, []

    class Colliding:
        def integers(self, low: int, high: int, size: int, dtype: Any) -> Any:
            calls.append(size)
            return np.ones(size, dtype) if len(calls) == 1 else real(0).integers(0, 99, size, dtype)

    monkeypatch.setattr(np.random, "default_rng", lambda seed: Colliding())
    assert find_contents(np.array([0, 1, 2]), np.array([0, 1, 0])).code.tolist() == [0, 1, 0]
    assert len(calls) == 2


@FEW
@given(SEEDS)
def test_profiles_are_those_of_counts_of_classes(seed: int) -> None:
    index, labels = draw(seed)
    counts = np.array([np.bincount(labels[index == k], minlength=3) for k in range(25)])
    expected = np.unique(counts, axis=0, return_inverse=True)[1].ravel()
    assert profiles_of(index, labels).tolist() == expected.tolist()


@FEW
@given(SEEDS, st.booleans())
def test_the_rarest_class_is_that_of_a_loop(seed: int, mixed: bool) -> None:
    clusters = find_clusters(as_sample(*clustered(seed, 40, mixed=mixed)))
    total: Counter[int] = Counter()
    for owner, label in zip(clusters.owner.tolist(), clusters.labels.tolist(), strict=True):
        total[label] += clusters.number[owner]
    rarest = [
        min(set(clusters.labels[clusters.owner == t].tolist()), key=lambda c: (total[c], c))
        for t in range(len(clusters.number))
    ]
    assert rarest_class(clusters).tolist() == rarest


@pytest.mark.parametrize("mixed", [False, True])
def test_sparse_sums_are_the_dense_ones(mixed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = clustered(3, 300, groups=3, mixed=mixed)
    dense = bootstrap(as_sample(*arrays), n_resamples=50)
    gaps = invert(as_sample(*arrays), n_resamples=20)
    monkeypatch.setattr(clusters_module, "DENSE", 0)
    sparse = bootstrap(as_sample(*arrays), n_resamples=50)
    for name, draws in dense.draws.items():
        np.testing.assert_array_equal(sparse.draws[name], draws)
        np.testing.assert_array_equal(sparse.jackknife[name].values, dense.jackknife[name].values)
    for name, draws in invert(as_sample(*arrays), n_resamples=20).draws.items():
        np.testing.assert_allclose(draws, gaps.draws[name], atol=1e-12)


@FEW
@given(SEEDS, st.booleans())
def test_shapes_have_the_margins_of_their_types(seed: int, mixed: bool) -> None:
    """Types that differ in their group only are drawn together, which changes no sum."""
    arrays = clustered(seed, 60, groups=3, models=1, mixed=mixed)
    apart = find_clusters(as_sample(*arrays))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clusters_module, "MAX_REGROUPED", 0)
        together = find_clusters(as_sample(*arrays))
        shapes = together.shape
    assert len(together.examples) <= len(apart.examples) == len(apart.number)
    contents = [
        (
            tuple(sorted(zip(apart.labels[i], apart.answers[0, i], strict=True))),
            tuple(apart.groups[i]) if apart.group[t] == 3 else (),
        )
        for t in range(len(apart.number))
        for i in [np.flatnonzero(apart.owner == t)]
    ]
    for s in range(len(contents)):
        for t in range(s):
            if not contents[s][1] and not contents[t][1]:
                assert (contents[s] == contents[t]) == (shapes[s] == shapes[t])
    for mix in (0.0, 0.4, 1.0):
        for unpooled, pooled in zip(
            sum_regrouped(apart, _population(apart, mix)[None]),
            sum_regrouped(together, _population(together, mix)[None]),
            strict=True,
        ):
            np.testing.assert_allclose(unpooled, pooled, atol=1e-9)


def test_permuted_shapes_give_the_same_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = clustered(5, 400, groups=4, models=1, mixed=False)
    apart = permutation.permute(as_sample(*arrays), n_resamples=2000)
    monkeypatch.setattr(clusters_module, "MAX_REGROUPED", 0)
    clusters = find_clusters(as_sample(*arrays))
    assert len(clusters.examples) < len(clusters.number)
    profiles = permutation.exchangeable(clusters)[0]
    sample = sum_margins(clusters, clusters.number[None])
    for times in permutation.permutations(clusters, profiles, 20, np.random.default_rng(0)):
        drawn = sum_regrouped(clusters, times)
        for ours, whole in zip(drawn, sample, strict=True):
            np.testing.assert_array_equal(ours.sum(2), np.repeat(whole.sum(2), len(ours), 0))
        np.testing.assert_array_equal(drawn.actual, np.repeat(sample.actual, len(times), 0))
    together = permutation.permute(as_sample(*arrays), n_resamples=2000)
    for name in apart.point:
        assert together.point[name] == apart.point[name]
        assert together.null_mean(name) == pytest.approx(apart.null_mean(name), abs=0.01)
        assert together.p_value(name) == pytest.approx(apart.p_value(name), abs=0.05)
