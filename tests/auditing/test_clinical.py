"""One class as a disease: against explicit counts and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from drawn_predictions import QUICK, change, draw, source
from fairexit.auditing.clinical import choose_cut, clinical_measures
from fairexit.auditing.samples import take_sample
from fairexit.errors import UserError


def read(found, positive="mel"):
    return clinical_measures(found, take_sample(found, "sex"), positive, QUICK)


def test_numbers_are_those_of_loops():
    found = source(gap=0.2, validation=draw(split="val", seed=5))
    p = found.predictions
    clinical = read(found)
    ill, score = p.labels == 0, found.probabilities[:, 0]
    for g, name in enumerate(("f", "m")):
        of_group = p.attributes["sex"] == g
        values = clinical.groups[name]
        for yes, keys in (
            (found.answers == 0, ("sensitivity", "specificity", "ppv", "npv")),
            (score >= clinical.cut, ("sensitivity_at", "specificity_at")),
        ):
            expected = (
                yes[of_group & ill].mean(),
                (~yes)[of_group & ~ill].mean(),
                ill[of_group & yes].mean(),
                (~ill)[of_group & ~yes].mean(),
            )
            for key, value in zip(keys, expected, strict=False):
                assert values[key].value == pytest.approx(value)
                assert values[key].low <= values[key].value <= values[key].high
        assert values["auroc"].value == pytest.approx(
            roc_auc_score(ill[of_group], score[of_group]), abs=1e-6
        )


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([0.5, 0.9, 0.95, 0.99]), st.integers(1, 3))
def test_the_cut_keeps_the_specificity_on_validation_and_no_more(seed, specificity, digits):
    validation = draw(n=60, split="val", seed=seed)
    coarse = np.round(validation.probabilities, digits)  # ties
    coarse /= coarse.sum(-1, keepdims=True)
    validation = type(validation)(**{**vars(validation), "probabilities": coarse})
    found = source(n=60, validation=validation)
    cut, reason = choose_cut(found, 0, specificity)
    scores = coarse[:, 0, 0][validation.labels != 0]
    assert reason == ""
    assert (scores < cut).mean() >= specificity - 1e-9
    lower = scores[scores < cut].max(initial=-1)
    assert (scores < lower).mean() < specificity


def test_the_cut_is_never_chosen_on_test():
    found = source()
    clinical = read(found)
    assert clinical.cut is None
    assert clinical.reason == "there are no rows of split 'val' to choose the cut on"
    assert "sensitivity_at" not in clinical.groups["f"]
    validation = draw(split="val")
    one = read(source(seed=1, validation=validation))
    two = read(source(seed=2, validation=validation))
    assert one.cut == two.cut


def test_hard_answers_have_no_area_and_no_cut():
    found = source(validation=draw(split="val"))
    clinical = read(change(found, probabilities=None, given=found.answers))
    assert np.isnan(clinical.groups["f"]["auroc"].value)
    assert clinical.reason == "there are answers only, no probabilities"


def test_what_is_no_class_of_the_samples():
    with pytest.raises(
        UserError, match=r"^'positive' is 'mell', which is not a class; did you mean 'mel'\?"
    ):
        read(source(), "mell")
    found = source()
    none = type(found)("x", found.predictions.take(found.predictions.labels != 0), found.policy)
    with pytest.raises(
        UserError, match=r"^'positive' is 'mel', but no measured sample has this class"
    ):
        read(none)


def test_many_samples_get_areas_without_intervals(monkeypatch):
    monkeypatch.setattr("fairexit.auditing.clinical.MAX_SCORED", 100)
    area = read(source()).groups["f"]["auroc"]
    assert area.value > 0.5
    assert np.isnan(area.low)
    assert "no interval" in area.note


def test_shares_of_few_have_exact_intervals_and_areas_a_note():
    found = source(n=300)
    p = found.predictions
    of_few = (p.labels == 0) & (p.attributes["sex"] == 0)
    kept = np.isin(p.clusters, np.unique(p.clusters[of_few])[:6])
    few = change(found, **vars(p.take(~of_few | kept)))
    groups = read(few).groups
    sensitivity = groups["f"]["sensitivity"]
    assert (sensitivity.clusters, sensitivity.note) == (6, "")
    assert sensitivity.high - sensitivity.low > 0.3
    assert "fewer than 10 clusters" in groups["f"]["auroc"].note
    assert groups["m"]["auroc"].note == groups["f"]["specificity"].note == ""


def test_a_rate_of_one_has_an_interval():
    found = source(n=200)
    right = np.eye(3, dtype=np.float32)[found.predictions.labels][:, None]
    for values in read(change(found, probabilities=right)).groups.values():
        for key in ("sensitivity", "specificity", "ppv", "npv"):
            assert values[key].hits == values[key].n > 0
            assert 0.5 < values[key].low < values[key].high == 1
