"""The search for the worst slices."""

import numpy as np
import pytest

from drawn_predictions import QUICK, change, source
from fairexit.auditing.slices import MIN_SLICE_CLUSTERS, _count_rows, _measure, search_slices
from fairexit.cluster_index import cluster_index


def planted(seed=0, share=0.5):
    """Errors crowd where the site is a face and the sex is f."""
    found = source(n=1200, seed=seed)
    p = found.predictions
    rng = np.random.default_rng(seed)
    inside = (p.attributes["site"] == 1) & (p.attributes["sex"] == 0)
    wrong = inside & (rng.random(len(p)) < share)
    rows = p.probabilities.copy()
    rows[wrong, 0] = np.eye(3, dtype=np.float32)[(p.labels[wrong] + 1) % 3]
    return change(found, probabilities=rows), inside


def test_the_planted_slice_is_found():
    found, inside = planted()
    search = search_slices(found, QUICK)
    worst = search.worst[0]
    assert worst.values == {"sex": "f", "site": "face"}
    assert worst.n == inside.sum()
    assert worst.p_adjusted <= 0.05
    assert worst.excess.low > 0
    assert search.searched == 2 + 3 + 6
    assert search.attributes == ("sex", "site")


def test_without_a_slice_the_search_raises_few_false_alarms():
    alarms = sum(
        search_slices(source(n=600, seed=seed), QUICK).worst[0].p_adjusted <= 0.05
        for seed in range(60)
    )
    assert alarms <= 9  # 3 expected


def test_numbers_are_those_of_loops():
    found, _ = planted()
    p = found.predictions
    wrong = found.answers != p.labels
    for s in search_slices(found, QUICK).worst:
        inside = np.ones(len(p), bool)
        for name, value in s.values.items():
            inside &= p.attributes[name] == p.group_names[name].index(value)
        assert s.errors == pytest.approx(wrong[inside].mean())
        rest = sum(
            (inside & (p.labels == c)).sum() * wrong[~inside & (p.labels == c)].mean()
            for c in range(3)
        )
        assert s.rest == pytest.approx(rest / inside.sum())
        assert s.excess.value == pytest.approx(s.errors - s.rest)
        assert s.clusters == len(set(p.clusters[inside]))
        assert s.p_adjusted >= s.p_value


def test_a_hard_class_is_no_bad_slice():
    found = source(n=900)
    p = found.predictions
    rng = np.random.default_rng(0)
    # Class 0 is often wrong whoever it is, and site follows class.
    site = np.where(rng.random(900) < 0.9, p.labels, rng.integers(0, 3, 900))
    rows = p.probabilities.copy()
    hard = (p.labels == 0) & (rng.random(900) < 0.6)
    rows[hard, 0] = [0, 1, 0]
    names = {"site": ("arm", "face", "leg")}
    found = change(found, attributes={"site": site}, group_names=names, probabilities=rows)
    assert all(s.p_adjusted > 0.05 for s in search_slices(found, QUICK).worst)


def test_small_slices_and_twins_take_no_part():
    found = source(n=600)
    p = found.predictions
    rare = np.where(np.isin(p.clusters, np.unique(p.clusters)[: MIN_SLICE_CLUSTERS - 1]), 1, 0)
    attributes = {"sex": p.attributes["sex"], "same": p.attributes["sex"], "rare": rare}
    names = {"sex": ("f", "m"), "same": ("x", "y"), "rare": ("no", "yes")}
    p = type(p)(**{**vars(p), "attributes": attributes, "group_names": names})
    search = search_slices(type(found)("x", p, found.policy), QUICK)
    shown = [s.values for s in search.worst]
    assert {"rare": "yes"} not in shown
    assert not any("same" in values for values in shown)
    assert search.skipped >= 1


def test_nothing_to_search():
    search = search_slices(source(n=40), QUICK)
    assert (search.worst, search.searched) == ((), 0)


def test_a_model_without_errors_has_no_bad_slice():
    found = source(n=400)
    p = found.predictions
    right = np.eye(3, dtype=np.float32)[p.labels][:, None]
    worst = search_slices(change(found, probabilities=right), QUICK).worst
    assert all(s.p_adjusted == 1 and s.excess.value == 0 for s in worst)
    assert worst[0].excess.note == "no interval: no spread"


def test_a_slice_is_measured_as_by_masks_of_its_samples():
    example, inside = planted()
    p = example.predictions
    wrong = (example.answers != p.labels).astype(float)
    rows = _count_rows(example, cluster_index(p.clusters), QUICK)
    candidate = _measure({}, np.flatnonzero(inside), 99, rows)

    def class_means(among):
        return np.array([wrong[among & (p.labels == c)].mean() for c in range(3)])[p.labels]

    n_in, n_out = (np.bincount(p.labels[m], minlength=3) for m in (inside, ~inside))
    weight = np.where(inside, 1 / inside.sum(), -(n_in / n_out / inside.sum())[p.labels])
    null = weight * (wrong - class_means(np.ones(len(p), bool)))
    residuals = weight * (wrong - np.where(inside, class_means(inside), class_means(~inside)))
    order = np.random.default_rng(QUICK.random_state).permutation(
        cluster_index(p.clusters).max() + 1
    )
    bundle = order[cluster_index(p.clusters)]
    assert candidate.n == inside.sum()
    assert candidate.errors == pytest.approx(wrong[inside].mean())
    assert candidate.excess == pytest.approx((weight * wrong).sum())
    assert candidate.standard_error == pytest.approx(
        np.sqrt((np.bincount(bundle, residuals) ** 2).sum())
    )
    np.testing.assert_allclose(candidate.parts, np.bincount(bundle, null), atol=1e-12)
