"""Prediction sets: what they cover, for whom, and who is referred."""

import numpy as np
import pytest

from fairexit.errors import UserError
from fairexit.evaluation.policy import Policy
from fairexit.evaluation.referral import fit_sets, referrals
from fairexit.evaluation.sets import PredictionSets, referred
from fairexit.predictions.data import Predictions
from fairexit.stats.conformal import cluster_quantile


def world(n, seed, *, cluster_size=1, split="val", spread=(1.0, 2.5)):
    """Answers of two exits to four classes; the second group is harder."""
    rng = np.random.default_rng(seed)
    unit = np.arange(n) // cluster_size
    labels, groups = rng.integers(0, 4, n), rng.integers(0, 2, n)[unit]
    noise = np.asarray(spread)[groups, None] * (
        rng.normal(size=(n, 4)) + rng.normal(size=(n, 4))[unit]
    )
    logits = np.stack([scale * np.eye(4)[labels] + noise for scale in (2.0, 4.0)], 1)
    exp = np.exp(logits - logits.max(-1, keepdims=True))
    return Predictions(
        ids=np.arange(n).astype(str),
        clusters=np.char.add("c", unit.astype(str)),
        split=np.full(n, split),
        labels=labels,
        attributes={"sex": groups},
        group_names={"sex": ("female", "male")},
        classes=tuple("abcd"),
        probabilities=(exp / exp.sum(-1, keepdims=True)).astype(np.float32),
        exit_names=("1", "f"),
    )


def reported(samples, policy):
    return referrals(samples, policy, *samples.group("sex"))


def slow_quantile(scores, clusters, coverage):
    names = sorted(set(clusters))
    total = len(names) + 1
    for value in sorted(scores):
        mass = sum(np.mean(scores[clusters == name] <= value) for name in names) / total
        if mass >= coverage - 1e-12:
            return value
    return np.inf


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("size", [1, 3, 40])
def test_the_quantile_of_clusters_against_its_definition(coverage, size):
    rng = np.random.default_rng(size)
    scores, clusters = rng.random(60).round(2), np.arange(60) // size
    assert cluster_quantile(scores, clusters, coverage) == slow_quantile(scores, clusters, coverage)


def test_without_clusters_it_is_the_quantile_of_split_conformal_prediction():
    scores = np.random.default_rng(0).random(99)
    rank = int(np.ceil(100 * 0.9))
    assert cluster_quantile(scores, np.arange(99), 0.9) == np.sort(scores)[rank - 1]


@pytest.mark.parametrize("size", [1, 4])
def test_every_group_is_covered_as_often_as_promised(size):
    """The mean over validation sets; the harder group has no more than it needs."""
    new = world(20_000, 1, cluster_size=size, split="test")
    policy, shares = Policy(0.7), []
    for seed in range(60):
        validation = world(600, 100 + seed, cluster_size=size)
        sets = fit_sets(validation, "sex", policy, 0.9)
        rows = reported(new, Policy(0.7, sets=sets))
        shares.append([row.covered for row in rows if row.group and not row.exit])
    easy, hard = np.mean(shares, 0)
    assert easy > 0.9
    assert hard == pytest.approx(0.9, abs=0.012)


def test_what_referral_reports_adds_up():
    sets = fit_sets(world(800, 0), "sex", Policy(0.7), 0.6)
    test = world(900, 1, split="test")
    everyone, *parts = reported(test, Policy(0.7, sets=sets))
    for kind in ([p for p in parts if not p.exit], [p for p in parts if p.exit]):
        n = np.array([p.images for p in kind])
        assert n.sum() == everyone.images == 900
        for name in ("covered", "size", "referred", "error"):
            values = np.array([getattr(p, name) for p in kind])
            assert (n * values).sum() / 900 == pytest.approx(getattr(everyone, name))
    assert everyone.kept_error < everyone.error


def test_too_few_clusters_put_every_class_into_the_set(tmp_path):
    sets = fit_sets(world(24, 0, cluster_size=3), "sex", Policy(None), 0.9)
    assert any(group.cut is None for group in sets.groups)
    assert sets.members(np.full((1, 4), 0.25)).all()
    policy = Policy(None, sets=sets)
    policy.save(tmp_path / "policy.json")
    assert Policy.load(tmp_path / "policy.json") == policy


def test_a_set_of_one_class_is_an_answer():
    members = np.array([[True, False], [True, True], [False, False]])
    assert referred(members).tolist() == [False, True, True]


def test_sets_are_fitted_on_validation_only():
    with pytest.raises(UserError, match="only on rows of split 'val'"):
        fit_sets(world(20, 0, split="test"), "sex", Policy(None), 0.9)
    with pytest.raises(UserError, match="between 0 and 1"):
        fit_sets(world(20, 0), "sex", Policy(None), 1.0)


@pytest.mark.parametrize(
    "values",
    [
        {"coverage": 0.9, "attribute": "sex"},
        {"coverage": 0.9, "attribute": "sex", "groups": []},
        {"coverage": 0.9, "attribute": "sex", "groups": [{"name": "f"}]},
        {
            "coverage": "0.9",
            "attribute": "sex",
            "groups": [{"name": "f", "images": 1, "clusters": 1, "cut": None}],
        },
    ],
)
def test_damaged_sets_are_refused(values):
    with pytest.raises(UserError, match="sets of a policy"):
        PredictionSets.from_dict(values)
