"""Draws and intervals against explicit loops, scipy and what must hold for any data."""

from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from clustered import as_sample, clustered, index_of, scored_sample
from fairexit.errors import UserError
from fairexit.metrics.counts import count, margins
from fairexit.metrics.rates import tpr
from fairexit.metrics.record import METRICS, compute
from fairexit.metrics.scores import auroc
from fairexit.stats import clusters as clusters_module
from fairexit.stats import intervals
from fairexit.stats.bootstrap import bootstrap, bootstrap_scores
from fairexit.stats.clusters import find_clusters, rarest_class
from fairexit.stats.intervals import Jackknife, quantiles
from fairexit.stats.resampling import chunks, draw_types, resample, sum_margins
from fairexit.stats.sample import Sample
from fairexit.types import UNKNOWN

FEW = settings(deadline=None, max_examples=25)
SEEDS = st.integers(0, 2**32)


@FEW
@given(SEEDS, st.integers(1, 60), st.booleans())
def test_types_spell_out_all_clusters(seed: int, n: int, mixed: bool) -> None:
    labels, answers, groups, names, c, m = clustered(seed, n, mixed=mixed)
    found = find_clusters(as_sample(labels, answers, groups, names, c, m))
    assert found.number.sum() == len(set(index_of(names)))
    whole = sum_margins(found, found.number[None])
    for ours, counted in zip(
        whole, margins(count(labels, answers, groups, num_classes=c, num_groups=m)), strict=True
    ):
        np.testing.assert_array_equal(ours[0], counted)


@FEW
@given(SEEDS, st.booleans())
def test_a_draw_is_its_clusters_written_out(seed: int, mixed: bool) -> None:
    found = find_clusters(as_sample(*clustered(seed, 30, mixed=mixed)))
    rng = np.random.default_rng(seed)
    times = next(resample(found.number, found.group, 3, rng))
    summed = sum_margins(found, times)
    for row in range(3):
        images = [
            i for i, owner in enumerate(found.owner.tolist()) for _ in range(times[row, owner])
        ]
        counted = count(
            found.labels[images],
            found.answers[:, images],
            found.groups[images],
            num_classes=3,
            num_groups=2,
        )
        for ours, slow in zip(summed, margins(counted), strict=True):
            np.testing.assert_array_equal(ours[row], slow)
        for group in range(3):
            of_group = found.group == group
            assert times[row, of_group].sum() == found.number[of_group].sum()


def test_a_cluster_of_several_groups_is_a_stratum_of_its_own() -> None:
    labels, groups = np.zeros(5, int), np.array([0, 0, 1, 1, 0])
    names = np.array(["a", "b", "b", "c", ""], object)
    found = find_clusters(as_sample(labels, labels[None], groups, names, 2, 2))
    assert sorted(zip(found.group.tolist(), found.number.tolist(), strict=True)) == [
        (0, 2),
        (1, 1),
        (2, 1),
    ]


@pytest.mark.parametrize("number", [[5, 3, 2], [400, 300, 300]])
def test_types_are_drawn_as_single_clusters_would_be(number: list[int]) -> None:
    weights = np.array(number)
    n = int(weights.sum())
    times = draw_types(weights, n, 20_000, np.random.default_rng(0))
    share = weights / n
    np.testing.assert_allclose(times.mean(0), weights, rtol=0.02)
    np.testing.assert_allclose(times.var(0), n * share * (1 - share), rtol=0.05)
    assert set(times.sum(1)) == {n}


def test_chunks_make_up_the_draws() -> None:
    assert [*chunks(600, 10)] == [256, 256, 88]
    assert [*chunks(3, 2**40)] == [1, 1, 1]


@FEW
@given(SEEDS)
def test_copies_of_an_image_in_one_cluster_tell_nothing_new(seed: int) -> None:
    labels, answers, groups, _, c, m = clustered(seed, 40)
    names = np.array([f"c{i}" for i in range(40)], object)
    once = bootstrap(
        as_sample(labels, answers, groups, names, c, m), metrics=("accuracy", "f1"), n_resamples=50
    )
    twice = bootstrap(
        as_sample(*(np.repeat(a, 3, axis=-1) for a in (labels, answers, groups, names)), c, m),
        metrics=("accuracy", "f1"),
        n_resamples=50,
    )
    for name in once.point:
        np.testing.assert_allclose(once.interval(name), twice.interval(name), atol=1e-12)


@FEW
@given(SEEDS)
def test_unknown_groups_are_left_out(seed: int) -> None:
    labels, answers, groups, names, c, m = clustered(seed, 40)
    known = index_of(names) % 4 > 0
    hidden = np.where(known, groups, UNKNOWN)
    all_rows = bootstrap(as_sample(labels, answers, hidden, names, c, m), n_resamples=20)
    rows = bootstrap(
        as_sample(labels[known], answers[:, known], groups[known], names[known], c, m),
        n_resamples=20,
    )
    for name in METRICS:
        np.testing.assert_array_equal(all_rows.draws[name], rows.draws[name])


@FEW
@given(SEEDS, st.booleans())
def test_jackknife_equals_leaving_out_each_cluster(seed: int, mixed: bool) -> None:
    labels, answers, groups, names, c, m = clustered(seed, 24, mixed=mixed)
    drawn = bootstrap(
        as_sample(labels, answers, groups, names, c, m), metrics=("f1",), n_resamples=1
    )
    jackknifed = drawn.jackknife["f1"]
    ours = np.sort(np.repeat(jackknifed.values, jackknifed.number.astype(int), axis=0), axis=0)
    index = index_of(names)
    slow = [
        compute(
            count(
                labels[index != k],
                answers[:, index != k],
                groups[index != k],
                num_classes=c,
                num_groups=m,
            ),
            ("f1",),
        )["f1"]
        for k in range(index.max() + 1)
    ]
    np.testing.assert_allclose(ours, np.sort(slow, axis=0), atol=1e-12)


def test_some_deletions_tell_as_much_as_all(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, answers, groups, names, c, m = clustered(0, 3000, mixed=True)
    few = {}
    for most in (10**6, 30):
        monkeypatch.setattr(intervals, "DELETIONS", most)
        drawn = bootstrap(
            as_sample(labels, answers, groups, names, c, m), metrics=("f1",), n_resamples=1
        )
        few[most] = drawn.jackknife["f1"]
    every, some = few.values()
    assert len(some.number) < len(every.number) / 2
    assert some.number.sum() == pytest.approx(every.number.sum())
    np.testing.assert_allclose(some.tail(0.95), every.tail(0.95), atol=0.005)
    np.testing.assert_allclose(some.acceleration(), every.acceleration(), atol=0.01)


def test_bundles_of_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = clustered(0, 6000, classes=2, mixed=False)
    single, alone = (
        find_clusters(as_sample(*arrays)),
        bootstrap(as_sample(*arrays), metrics=("f1",), n_resamples=2000),
    )
    monkeypatch.setattr(clusters_module, "MAX_TYPES", 50)
    monkeypatch.setattr(clusters_module, "BUNDLES", 100)
    bundles = find_clusters(as_sample(*arrays))
    assert bundles.bundled
    assert not single.bundled
    for pair in zip(*(sum_margins(k, k.number[None]) for k in (single, bundles)), strict=True):
        np.testing.assert_array_equal(*pair)
    assert (bundles.group < bundles.num_groups).all()
    cells = bundles.group * bundles.num_classes + rarest_class(bundles)
    assert (np.bincount(cells, bundles.number) >= 100).all()
    # The draws spread as those of the clusters, not more.
    together = bootstrap(as_sample(*arrays), metrics=("f1",), n_resamples=2000)
    spread = together.draws["f1"].std(0) / alone.draws["f1"].std(0)
    np.testing.assert_allclose(spread, 1, atol=0.15)


def test_acceleration_and_tail_equal_loops() -> None:
    rng = np.random.default_rng(0)
    values, number = rng.normal(size=7), np.array([2, 1, 3, 2, 2, 4, 1])
    strata, cells = np.array([0, 0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 2, 2, 2])
    jackknifed = Jackknife(values, number, strata, cells)
    cubes = squares = extra = doubt = 0.0
    for h in (0, 1):
        left = [
            v for v, n, s in zip(values, number, strata, strict=True) if s == h for _ in range(n)
        ]
        n = len(left)
        influence = [(n - 1) * (sum(left) / n - v) / n for v in left]
        cubes += sum(x**3 for x in influence)
        squares += sum(x**2 for x in influence)
        of_cell = [
            k for k, n, s in zip(cells, number, strata, strict=True) if s == h for _ in range(n)
        ]
        for cell in set(of_cell):
            mine = [x for x, k in zip(influence, of_cell, strict=True) if k == cell]
            variance = sum((x - sum(mine) / len(mine)) ** 2 for x in mine)
            extra += variance / (len(mine) - 1)
            doubt += (variance * len(mine) / (len(mine) - 1)) ** 2 / (len(mine) - 1)
    assert jackknifed.acceleration() == pytest.approx(cubes / 6 / squares**1.5)
    freedom = (squares + extra) ** 2 / doubt
    expected = scipy.stats.t.ppf(0.975, freedom) * np.sqrt(1 + extra / squares)
    assert jackknifed.tail(0.95) == pytest.approx(expected)


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_intervals_equal_scipy(method: Any) -> None:
    rng = np.random.default_rng(1)
    right = rng.random(400) < 0.93
    labels = np.zeros(400, int)
    drawn = bootstrap(
        as_sample(labels, np.where(right, 0, 1)[None], labels, np.full(400, "", object), 2, 1),
        metrics=("accuracy",),
        n_resamples=20_000,
    )
    expected = scipy.stats.bootstrap(
        (right,), np.mean, n_resamples=20_000, method=method, rng=np.random.default_rng(2)
    ).confidence_interval
    _, low, high, undefined = drawn.interval("accuracy", method=method)
    assert (low.item(), high.item()) == pytest.approx(tuple(expected), abs=0.003)
    assert not undefined.any()


@FEW
@given(SEEDS)
def test_quantiles_equal_numpy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    draws = np.where(rng.random((40, 3)) < 0.2, np.nan, rng.normal(size=(40, 3)))
    draws[:2] = 0.0
    levels = rng.random((2, 3))
    for q, v in np.ndindex(2, 3):
        expected = np.nanquantile(draws[:, v], levels[q, v])
        assert quantiles(draws, levels)[q, v] == pytest.approx(expected)


def test_a_value_that_no_draw_has_is_nan() -> None:
    assert np.isnan(quantiles(np.full((5, 1), np.nan), np.full((1, 1), 0.5))).all()


def minus(i: int, j: int) -> list[tuple[float, list[int]]]:
    """The terms of model i minus model j."""
    return [(1.0, [i]), (-1.0, [j])]


@FEW
@given(SEEDS)
def test_differences_are_paired(seed: int) -> None:
    labels, answers, *rest = clustered(seed, 40)
    same = np.concatenate([answers, answers[:1]])
    drawn = bootstrap(as_sample(labels, same, *rest), n_resamples=30)
    for name in METRICS:
        for method in ("percentile", "bca"):
            values = drawn.contrast(name, minus(0, 2), method=method).interval()[:3]
            assert all(v == 0 or np.isnan(v) for v in values)
        there, back = drawn.contrast(name, minus(0, 1)), drawn.contrast(name, minus(1, 0))
        if not np.isnan(there.point):
            one, two = drawn.point[name][:2]
            assert there.point == one - two == -back.point
    _, low, high, _ = drawn.contrast("accuracy", minus(0, 1), method="percentile").interval()
    pairs = drawn.draws["accuracy"][:, 0] - drawn.draws["accuracy"][:, 1]
    assert pairs.min() <= low <= np.median(pairs) <= high <= pairs.max()


def test_functions_of_the_margins_and_cells_that_run_empty() -> None:
    labels = np.array([0] * 30 + [1] * 30 + [2])
    groups = np.arange(61) % 2
    drawn = bootstrap(
        as_sample(labels, labels[None], groups, np.full(61, ""), 3, 2),
        metrics={"tpr": tpr},
        n_resamples=2000,
    )
    assert drawn.draws["tpr"].shape == (2000, 1, 2, 3)
    point, low, high, undefined = drawn.interval("tpr")
    assert point.shape == low.shape == (1, 2, 3)
    # The single image of class 2 is missing in (1 - 1/31)^31 of the draws.
    assert undefined[0, 0, 2] == pytest.approx((30 / 31) ** 31, abs=0.04)
    assert undefined[0, 0, 0] == 0
    assert np.isnan(point[0, 1, 2])
    assert np.isnan(low[0, 1, 2])
    assert (low[0, :, :2] == 1).all()
    assert (high[0, :, :2] == 1).all()


def test_few_clusters_give_wider_intervals() -> None:
    rng = np.random.default_rng(0)
    labels, right = np.zeros(12, int), rng.random(12) < 0.6
    drawn = bootstrap(
        as_sample(labels, np.where(right, 0, 1)[None], labels, np.full(12, ""), 2, 1),
        metrics=("accuracy",),
    )
    _, low, high, _ = drawn.interval("accuracy", method="percentile")
    plain = np.quantile(drawn.draws["accuracy"], [0.025, 0.975])
    assert low < plain[0]
    assert high >= plain[1]


def test_the_same_seed_draws_the_same() -> None:
    arrays = clustered(5)
    one, two, other = (
        bootstrap(as_sample(*arrays), n_resamples=30, random_state=s).draws["f1"] for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


@FEW
@given(SEEDS)
def test_weights_of_scores_are_whole_clusters(seed: int) -> None:
    labels, answers, groups, names, _, m = clustered(seed, 40)
    groups = np.where(np.arange(40) % 7 == 0, UNKNOWN, groups)
    index, seen = index_of(names), []

    def share_right(weights: Any) -> Any:
        seen.append(weights)
        return (weights * (answers[0] == labels)).sum(1) / weights.sum(1)

    drawn = bootstrap_scores(
        {"accuracy": share_right}, scored_sample(groups, names, m), n_resamples=20
    )
    known = groups != UNKNOWN
    for weights in seen:
        assert (weights[:, ~known] == 0).all()
        for k in set(index[known]):
            members = weights[:, known & (index == k)]
            assert (members == members[:, :1]).all()
    assert drawn.point["accuracy"] == (answers[0] == labels)[known].mean()
    assert drawn.draws["accuracy"].shape == (20,)


def test_scores_agree_with_counts() -> None:
    labels, answers, groups, names, c, m = clustered(2, 400)
    right = answers[0] == labels
    counted = bootstrap(
        as_sample(labels, answers[:1], groups, names, c, m), metrics=("accuracy",), n_resamples=4000
    )
    scored = bootstrap_scores(
        {"accuracy": lambda w: (w * right).sum(1) / w.sum(1)},
        scored_sample(groups, names, m),
        n_resamples=4000,
    )
    one, two = counted.interval("accuracy"), scored.interval("accuracy")
    np.testing.assert_allclose([v.item() for v in one], [v.item() for v in two], atol=0.005)


def test_auroc_has_an_interval() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    score = np.clip(labels * 0.2 + rng.random(300) * 0.8, 0, 1)
    probabilities = np.stack([1 - score, score], 1)
    drawn = bootstrap_scores(
        {"auroc": lambda w: auroc(probabilities, labels, w)},
        scored_sample(rng.integers(0, 2, 300), np.full(300, "", object), 2),
        n_resamples=200,
    )
    point, low, high, _ = drawn.interval("auroc")
    assert 0.5 < low < point < high < 1


ARRAYS = {
    "labels": np.array([0, 1, 1]),
    "answers": np.array([[0, 1, 0]]),
    "groups": np.array([0, 1, 0]),
    "clusters": np.array(["", "", ""]),
    "num_classes": 2,
    "num_groups": 2,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answers": np.array([0, 1, 0])}, r"answers \(3,\) and clusters \(3,\) do not fit 3"),
        ({"clusters": np.array([""])}, r"answers \(1, 3\) and clusters \(1,\) do not fit 3"),
        ({"groups": np.full(3, UNKNOWN)}, "no sample has a known group, so there is nothing to"),
        ({"labels": np.array([0, 1, 2])}, "label 2 is out of range; it must be from 0 to 1"),
        ({"metrics": ("acuracy",)}, r"no metric 'acuracy'; did you mean 'accuracy'\?"),
        ({"n_resamples": 0}, "n_resamples is 0; it must be at least 1"),
    ],
)
def test_bad_input(change: dict[str, Any], message: str) -> None:
    arrays = {key: change.get(key, value) for key, value in ARRAYS.items()}
    others = {key: value for key, value in change.items() if key not in ARRAYS}
    with pytest.raises(UserError, match=message):
        bootstrap(Sample(**arrays), **others)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b: b.interval("f1_dif"), r"'f1_dif' was not resampled; did you mean 'f1_diff'\?"),
        (lambda b: b.interval("f1", method="bcs"), r"no interval method 'bcs'; did you mean 'bca'"),
        (
            lambda b: b.interval("f1", confidence_level=95),
            "confidence_level is 95; it must be between 0 and 1",
        ),
        (
            lambda b: b.interval("f1", 0),
            "confidence_level is 0; it must be between 0 and 1",
        ),
        (lambda b: b.contrast("f1", [(1, [0]), (-1, [0, 0])]), "give one model for each seed"),
        (lambda b: b.contrast("f1", []), "give one model for each seed"),
    ],
)
def test_bad_questions(call: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        call(bootstrap(Sample(**ARRAYS), n_resamples=5))


def test_scores_need_a_known_group() -> None:
    with pytest.raises(UserError, match="no sample has a known group"):
        bootstrap_scores({}, scored_sample(np.full(2, UNKNOWN), np.array(["", ""]), 2))
