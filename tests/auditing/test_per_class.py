"""Gaps class by class: the numbers, the correction, and what is too small to say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drawn_predictions import QUICK, change, source
from fairexit.auditing.attribute import audit_attribute
from fairexit.auditing.samples import take_sample
from fairexit.auditing.settings import MIN_CLUSTERS
from fairexit.stats.multiple import max_t


def audited(found, attribute="sex"):
    return audit_attribute(found, attribute, seeds=[found], settings=QUICK)


def slow_max_t(observed, null):
    """Explicit loops; the data are one of the draws."""
    columns = [[o, *column] for o, column in zip(observed, null.T, strict=True)]
    scores = []
    for column in columns:
        mean = sum(column) / len(column)
        spread = (sum((v - mean) ** 2 for v in column) / len(column)) ** 0.5
        scores.append([(v - mean) / spread if spread > 1e-9 else 0.0 for v in column])
    largest = [max(row) for row in zip(*scores, strict=True)]
    alone = [sum(v >= s[0] - 1e-9 for v in s) / len(s) for s in scores]
    adjusted = [sum(v >= s[0] - 1e-9 for v in largest) / len(largest) for s in scores]
    return alone, adjusted


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 5), st.integers(1, 30), st.integers(0, 10**6))
def test_max_t_is_its_slow_twin(tests, draws, seed):
    rng = np.random.default_rng(seed)
    observed, null = rng.integers(0, 4, tests) / 4, rng.integers(0, 4, (draws, tests)) / 4
    alone, adjusted, _ = max_t(observed, null, 0.05)
    expected = slow_max_t(observed, null)
    np.testing.assert_allclose(alone, expected[0])
    np.testing.assert_allclose(adjusted, expected[1])
    assert (adjusted >= alone - 1e-12).all()


def test_the_limit_is_where_the_corrected_test_rejects():
    rng = np.random.default_rng(0)
    null = rng.normal(size=(999, 8))
    _, _, limit = max_t(np.zeros(8), null, 0.05)
    for j in range(8):
        for above, rejects in ((0.2, True), (-0.2, False)):
            observed = np.zeros(8)
            observed[j] = limit[j] + above
            assert (max_t(observed, null, 0.05)[1][j] <= 0.05) == rejects


def test_the_correction_holds_the_chance_of_any_false_alarm():
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(300):
        draws = rng.normal(size=(200, 12))
        alarms += max_t(draws[0], draws[1:], 0.05)[1].min() <= 0.05
    assert 3 <= alarms <= 27  # 15 expected, more than three standard deviations each way


def test_untested_values_stay_nan_and_correct_nothing():
    rng = np.random.default_rng(2)
    null = rng.normal(size=(99, 3))
    with_nan = max_t(np.array([2.0, np.nan, 1.0]), null, 0.05)
    without = max_t(np.array([2.0, 1.0]), null[:, [0, 2]], 0.05)
    for a, b in zip(with_nan, without, strict=True):
        assert np.isnan(a[1])
        np.testing.assert_array_equal(a[[0, 2]], b)
    assert all(np.isnan(v).all() for v in max_t(np.full(2, np.nan), null[:, :2], 0.05))


def test_rates_and_clusters_are_counted():
    found = source(gap=0.2)
    p = found.predictions
    for c in audited(found).classes:
        for g, group in enumerate(p.group_names["sex"]):
            of_class = p.labels == p.classes.index(c.name)
            behind = (p.attributes["sex"] == g) & (of_class if c.rate == "tpr" else ~of_class)
            hit = found.answers[behind] == p.classes.index(c.name)
            rate = c.rates[group]
            assert rate.value == pytest.approx(hit.mean())
            assert (rate.hits, rate.n) == (hit.sum(), behind.sum())
            assert rate.clusters == len(set(p.clusters[behind]))
            assert 0 <= rate.low < rate.value < rate.high <= 1
        assert c.estimate.value == pytest.approx(c.rates[c.highest].value - c.rates[c.lowest].value)
        assert c.estimate.low <= c.estimate.value <= c.estimate.high


def test_clusters_of_several_classes_and_groups_count_where_they_are():
    found = source(n=40)
    p = found.predictions
    rng = np.random.default_rng(0)
    mixed = change(found, clusters=np.array([f"c{k}" for k in rng.integers(0, 9, 40)]))
    behind = take_sample(mixed, "sex").sample.clusters_behind_rates()
    for g in range(2):
        for c in range(3):
            inside = p.attributes["sex"] == g
            for of_class, counted in zip((p.labels == c, p.labels != c), behind, strict=True):
                assert counted[g, c] == len(set(mixed.predictions.clusters[inside & of_class]))


def test_a_planted_gap_is_found_and_no_gap_is_not():
    assert any(c.verdict == "more than chance" for c in audited(source(n=1500, gap=0.3)).classes)
    assert not any(c.verdict == "more than chance" for c in audited(source(n=1500)).classes)


def test_small_cells_are_too_small_and_never_in_a_comparison():
    found = source(n=800, gap=0.3)
    p = found.predictions
    # Group 0 keeps fewer lesions of class 0 than the rule asks for.
    rare = np.flatnonzero((p.labels == 0) & (p.attributes["sex"] == 0))
    few = np.isin(p.clusters, np.unique(p.clusters[rare])[: MIN_CLUSTERS - 1])
    keep = ~np.isin(np.arange(len(p)), rare) | few
    thin = source()
    thin = type(found)("thin", p.take(keep), found.policy)
    classes = {(c.name, c.rate): c for c in audited(thin).classes}
    small = classes["mel", "tpr"]
    assert small.verdict == "too few samples"
    assert small.too_small == ("f",)
    assert small.rates["f"].clusters == MIN_CLUSTERS - 1
    assert np.isnan([small.estimate.value, small.p_value, small.p_adjusted, small.null_mean]).all()
    assert (small.highest, small.lowest) == ("", "")
    assert classes["mel", "fpr"].verdict != "too few samples"


def test_with_three_groups_the_small_one_is_left_out():
    found = source(n=900, groups=("a", "b", "c"))
    p = found.predictions
    last = np.flatnonzero((p.labels == 0) & (p.attributes["sex"] == 2))
    thin = type(found)("thin", p.take(~np.isin(np.arange(len(p)), last[4:])), found.policy)
    mel = next(c for c in audited(thin).classes if (c.name, c.rate) == ("mel", "tpr"))
    assert mel.too_small == ("c",)
    assert {mel.highest, mel.lowest} == {"a", "b"}
    assert mel.estimate.value == pytest.approx(abs(mel.rates["a"].value - mel.rates["b"].value))


def test_a_class_that_does_not_occur_is_not_listed():
    found = source()
    more = change(
        found,
        classes=(*found.predictions.classes, "rare"),
        probabilities=np.pad(found.predictions.probabilities, ((0, 0), (0, 0), (0, 1))),
    )
    assert {c.name for c in audited(more).classes} == {"mel", "nev", "bcc"}
