"""The rule "risk": what it promises, to whom, and what it cannot promise."""

import dataclasses
import json

import numpy as np
import pytest

from fairexit.errors import UserError
from fairexit.evaluation.certificate import Certificate
from fairexit.evaluation.choose_risk import choose_by_risk
from fairexit.evaluation.policy import Policy
from fairexit.evaluation.risk import Risk, try_thresholds
from fairexit.evaluation.thresholds import select
from fairexit.predictions.data import Predictions
from fairexit.report.theta_text import choice_lines
from fairexit.stats.risk_control import binomial_p


def world(n, seed=0, *, cluster_size=1, calibrated=True):
    """Answers of two exits to two classes; the first exit errs in proportion to its confidence."""
    rng = np.random.default_rng(seed)
    labels, groups = rng.integers(0, 2, (2, n))
    unit = np.arange(n) // cluster_size
    # Images of one cluster have one confidence and are right or wrong together.
    confidence = rng.uniform(0.5, 1, n)[unit] if cluster_size > 1 else rng.uniform(0.5, 1, n)
    wrong = (rng.random(n)[unit] if cluster_size > 1 else rng.random(n)) > confidence
    groups = groups[unit] if cluster_size > 1 else groups
    first = np.where(wrong, 1 - labels, labels)
    final = np.where(rng.random(n) < 0.05, 1 - labels, labels)
    probabilities = np.empty((n, 2, 2), np.float32)
    rows = np.arange(n)
    probabilities[rows, 0, first], probabilities[rows, 0, 1 - first] = confidence, 1 - confidence
    probabilities[rows, 1, final], probabilities[rows, 1, 1 - final] = 0.9, 0.1
    return Predictions(
        ids=rows.astype(str),
        clusters=np.char.add("c", unit.astype(str)),
        split=np.full(n, "val"),
        labels=labels,
        attributes={"sex": groups},
        group_names={"sex": ("female", "male")},
        classes=("a", "b"),
        probabilities=probabilities,
        exit_names=("1", "f"),
    )


def slow_choice(samples, risk, thetas):
    """The rule, image by image and group by group."""
    chosen = None
    for theta in sorted(thetas, reverse=True):
        exits = select(samples.confidence(), theta)
        p = []
        for g in range(len(samples.group_names["sex"])):
            clusters = {}
            for i in range(len(samples)):
                if samples.attributes["sex"][i] == g:
                    answer, final = samples.answers[i, exits[i]], samples.answers[i, -1]
                    bad = answer != final and (
                        risk.loss == "disagreement" or final == samples.labels[i]
                    )
                    clusters.setdefault(samples.clusters[i], []).append(bad)
            p.append(binomial_p(sum(map(any, clusters.values())), len(clusters), risk.epsilon))
        if max(p) > risk.delta:
            break
        chosen = theta
    return chosen


THETAS = (0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


@pytest.mark.parametrize("loss", ["error", "disagreement"])
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("epsilon", [0.01, 0.05, 0.1])
def test_the_rule_is_the_slow_rule(loss, size, epsilon):
    samples, risk = world(1200, cluster_size=size), Risk(loss, epsilon)
    policy = choose_by_risk(samples, "sex", risk, thetas=THETAS)
    assert policy.theta == slow_choice(samples, risk, THETAS)
    assert (policy.certificate is None) == (policy.theta is None)


def test_a_promise_is_kept_as_often_as_it_says():
    """Many validation sets of one world; the true risk is known from a very large sample."""
    population = world(200_000, seed=1)
    truth = {}
    for theta in THETAS:
        exits = select(population.confidence(), theta)
        answers = population.answers_at(exits)
        bad = (answers != population.answers[:, -1]) & (
            population.answers[:, -1] == population.labels
        )
        truth[theta] = max(bad[population.attributes["sex"] == g].mean() for g in (0, 1))
    # A risk that lies just above epsilon at one threshold: the hardest case.
    risk = Risk(epsilon=truth[0.9] * 0.999)
    broken = 0
    for seed in range(400):
        samples = world(3000, seed=10 + seed)
        theta = choose_by_risk(samples, "sex", risk, thetas=THETAS).theta
        broken += theta is not None and truth[theta] > risk.epsilon
    # 5 % of 400 are 20; 32 are exceeded once in 200 times.
    assert broken <= 32


def test_a_group_that_is_harmed_counts_alone():
    samples = world(4000)
    women = samples.attributes["sex"] == 0
    spoiled = samples.probabilities.copy()
    # Exit 1 is sure and wrong for a twentieth of the women.
    rows = np.flatnonzero(women)[::20]
    spoiled[rows, 0] = np.where(samples.labels[rows, None] == [0, 1], 0.001, 0.999)
    spoiled[rows, 1] = spoiled[rows, 0][:, ::-1]
    harmed = dataclasses.replace(samples, probabilities=spoiled)
    everyone = choose_by_risk(harmed, "sex", Risk(epsilon=0.04, every_group=False), thetas=THETAS)
    groups = choose_by_risk(harmed, "sex", Risk(epsilon=0.04), thetas=THETAS)
    assert everyone.theta is not None
    assert groups.theta is None
    assert "'female'" in groups.reason


def test_too_few_images_are_told_in_numbers():
    policy = choose_by_risk(world(150), "sex", Risk(epsilon=0.01), thetas=(0.99,))
    assert policy.theta is None
    assert policy.certificate is None
    assert "fewer than 299 clusters can never promise 0.01" in policy.reason


@pytest.mark.parametrize("bound", ["hoeffding-bentkus", "conformal"])
def test_the_smallest_promise_is_the_end_of_what_passes(bound):
    samples = world(2000)
    exits = select(samples.confidence(), 0.9)
    answers = samples.answers_at(exits)[None]
    tested = try_thresholds(Risk(epsilon=0.2, bound=bound), samples, "sex", answers, resamples=2)
    worst = max(promise.bound for promise in tested.promises)
    for factor, kept in ((1.001, True), (0.999, False)):
        risk = Risk(epsilon=worst * factor, bound=bound)
        again = try_thresholds(risk, samples, "sex", answers, resamples=2)
        assert (again.chosen is not None) == kept


def test_a_certificate_survives_its_file(tmp_path):
    policy = choose_by_risk(world(3000), "sex", Risk(epsilon=0.1), thetas=THETAS)
    policy.save(tmp_path / "policy.json")
    assert Policy.load(tmp_path / "policy.json") == policy
    lines = list(choice_lines(policy))
    assert any("Promised with probability 95.0" in line for line in lines)
    assert sum(line.startswith(("female:", "male:")) for line in lines) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": "regret"}, "unknown loss"),
        ({"delta": "0.05"}, "delta of a certificate"),
        ({"promises": [{"name": "female"}]}, "a promise of a policy must have the keys"),
        ({"tested": None}, "tested of a certificate"),
    ],
)
def test_a_damaged_certificate_is_refused(tmp_path, change, message):
    policy = choose_by_risk(world(3000), "sex", Risk(epsilon=0.1), thetas=THETAS)
    values = json.loads(json.dumps(policy.to_dict()))
    values["certificate"] |= change
    (tmp_path / "policy.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match=message):
        Policy.load(tmp_path / "policy.json")
    assert isinstance(policy.certificate, Certificate)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "eror"}, "did you mean 'error'"),
        ({"epsilon": 0}, "must be between 0 and 1"),
        ({"delta": 1.5}, "must be between 0 and 1"),
        ({"bound": "normal"}, "did you mean"),
    ],
)
def test_settings_that_promise_nothing_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        Risk(**settings)
