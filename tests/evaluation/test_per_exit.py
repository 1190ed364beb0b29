"""Thetas by exit: the search against explicit loops over samples and against all combinations."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairexit.errors import UserError
from fairexit.evaluation.assess import assess
from fairexit.evaluation.choice import Choice
from fairexit.evaluation.choose import choose_theta
from fairexit.evaluation.evaluate import evaluate
from fairexit.evaluation.per_exit import search_per_exit, standard_errors
from fairexit.evaluation.policy import Policy
from fairexit.evaluation.rules import Z
from fairexit.metrics.counts import count
from fairexit.metrics.record import compute
from fairexit.predictions.files import Predictions
from random_predictions import FEW, make

GRID = (0.6, 0.8, 0.95)


def walk(p: Predictions, thetas: Any) -> tuple[Any, Any]:
    """Answers and depths of known samples, one sample and one exit after the other."""
    answers, depths = [], []
    for sample, group in zip(p.probabilities, p.attributes["sex"], strict=True):
        if group < 0:
            continue
        exit = len(sample) - 1
        for k, theta in enumerate(thetas):
            if theta is not None and sample[k].max() >= np.float32(theta):
                exit = k
                break
        answers.append(int(sample[exit].argmax()))
        depths.append(exit)
    return np.array(answers), np.array(depths)


def slow_values(p: Predictions, thetas: Any) -> dict[str, float]:
    groups = p.attributes["sex"]
    answers, depths = walk(p, thetas)
    counts = count(
        p.labels[groups >= 0],
        answers,
        groups[groups >= 0],
        num_classes=len(p.classes),
        num_groups=len(p.group_names["sex"]),
    )
    values = {name: value.item() for name, value in compute(counts).items()}
    return values | {"cost": depths.mean()}


def cautious(thetas: Any) -> tuple[Any, ...]:
    """Sorts equal candidates: one theta for all before several, larger ones first."""
    never = all(theta is None for theta in thetas)
    kind = 2 if never else int(len(set(thetas)) > 1)
    return kind, [-np.inf if theta is None else -theta for theta in thetas]


def slow_search(p: Predictions, rule: str, tolerance: float) -> tuple[Any, set[Any]]:
    """The best thetas, and all that were tried, by the words of `search_per_exit`."""
    number = len(p.exit_names) - 1
    options = [*GRID, None]
    values: dict[Any, dict[str, float]] = {}

    def best() -> Any:
        tried = sorted(values, key=cautious)
        if rule == "f1":
            highest = max(v["f1"] for v in values.values())
            close = [t for t in tried if values[t]["f1"] >= highest - tolerance - 1e-12]
            return min(close, key=lambda t: round(values[t]["cost"], 12))
        final = (None,) * number
        least = values[final]["f1"] - tolerance - 1e-12
        close = [t for t in tried if t != final and values[t]["f1"] >= least]
        return min(close, key=lambda t: round(values[t][rule], 12), default=final)

    def attempt(thetas: Any) -> None:
        if thetas not in values:
            values[thetas] = slow_values(p, thetas)

    for theta in options:
        attempt((theta,) * number)
    current, before = best(), 0
    while before < len(values):
        before = len(values)
        for k in range(number):
            for theta in options:
                attempt((*current[:k], theta, *current[k + 1 :]))
            current = best()
    return current, set(values)


def spread(theta: Any, number: int) -> Any:
    return theta if isinstance(theta, tuple) else (theta,) * number


@pytest.mark.parametrize("rule", ["f1", "eodd"])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("exits", [2, 4])
def test_the_search_equals_loops_over_samples(rule: str, seed: int, exits: int) -> None:
    p = make(n=120, exits=exits, seed=seed)
    best, tried = slow_search(p, rule, 0.02)
    policy = choose_theta(p, "sex", thetas=GRID, rule=rule, tolerance=0.02, per_exit=True)
    assert {spread(c.theta, exits - 1) for c in policy.candidates} == tried
    if not policy.reason.startswith("Eodd of"):  # nothing is shown to be fairer
        assert spread(policy.theta, exits - 1) == best
    for candidate in policy.candidates:
        values = slow_values(p, spread(candidate.theta, exits - 1))
        assert candidate.f1 == pytest.approx(values["f1"], abs=1e-12)
        assert candidate.eodd == pytest.approx(values["eodd"], abs=1e-12)


def test_some_thetas_differ_and_beat_a_single_one() -> None:
    gains = []
    for seed in range(6):
        p = make(n=120, exits=4, seed=seed)
        several = choose_theta(p, "sex", thetas=GRID, rule="accuracy", per_exit=True)
        single = choose_theta(p, "sex", thetas=GRID, rule="accuracy")
        values = [evaluate(p, "sex", policy).metrics["accuracy"] for policy in (several, single)]
        gains.append(values[0] - values[1])
    assert min(gains) >= 0
    assert max(gains) > 0


def test_two_exits_and_one_theta_are_searched_whole() -> None:
    """With one theta and two exits the search tries every combination from any start."""
    for seed in range(5):
        p = make(n=80, exits=3, seed=seed)
        policy = choose_theta(p, "sex", thetas=[0.8], rule="accuracy", per_exit=True)
        every = {
            thetas: slow_values(p, thetas)["accuracy"]
            for thetas in itertools.product((0.8, None), repeat=2)
        }
        tried = {spread(c.theta, 2) for c in policy.candidates}
        assert len(tried) >= 3
        allowed = {t: v for t, v in every.items() if t in tried and t != (None, None)}
        assert every[spread(policy.theta, 2)] == max(allowed.values())


def test_the_search_is_greedy() -> None:
    """The best combination is missed where each single step makes things worse."""
    worth: dict[Any, int] = {None: 1, (0.9, None): 0, (None, 0.9): 0, 0.9: 0}
    worth[0.5], worth[(0.9, 0.5)], worth[(0.5, 0.9)] = 0, 5, 9

    def choose(candidates: Any) -> int:
        return int(np.argmax([worth.get(theta, 0) for theta in candidates]))

    tried = search_per_exit([0.9, 0.5], 2, choose)
    assert (0.5, 0.9) not in tried
    assert tried[:2] == [0.9, 0.5]
    assert tried[-1] is None
    assert len(set(tried)) == len(tried)


@FEW
@given(
    st.integers(0, 2**16),
    st.floats(0.01, 1),
    st.sampled_from(["final", "most_confident"]),
    st.sampled_from(["max_probability", "margin", "entropy"]),
)
def test_equal_thetas_equal_a_single_one(
    seed: int, theta: float, fallback: Any, measure: Any
) -> None:
    p = make(n=40, exits=4, seed=seed, unknown=False)
    one, three = (
        evaluate(p, "sex", Policy(t, fallback, confidence_measure=measure))
        for t in (theta, (theta,) * 3)
    )
    assert one.exit_share == three.exit_share
    np.testing.assert_equal(one.metrics, three.metrics)
    never = evaluate(p, "sex", Policy((None,) * 3))
    np.testing.assert_equal(never.metrics, evaluate(p, "sex", Policy(None)).metrics)


def test_one_internal_exit_needs_no_search() -> None:
    p = make(n=120, exits=2)
    policies = [choose_theta(p, "sex", thetas=GRID, per_exit=per_exit) for per_exit in (0, 1)]
    assert policies[0] == policies[1]


def test_many_candidates_are_compared_at_5_percent_together() -> None:
    assert standard_errors([0.9, 0.8, None]) == Z
    # Two candidates beside (0.9, None): 2.5 % each.
    assert standard_errors([0.9, (0.9, None), None]) == pytest.approx(1.96, abs=1e-3)


@pytest.mark.parametrize("measure", ["margin", "entropy"])
def test_other_measures_leave_by_their_own_confidence(measure: str) -> None:
    p = make(n=200)
    policy = choose_theta(p, "sex", thetas=(0.2, 0.5, 0.7), rule="eodd", confidence_measure=measure)
    assert policy.confidence_measure == measure
    theta = policy.theta
    early = p.confidence(measure)[:, :-1] >= np.float32(theta or 2)
    share = evaluate(p, "sex", policy).exit_share
    known = p.attributes["sex"] >= 0
    for g, name in enumerate(p.group_names["sex"]):
        leaves = early[p.attributes["sex"] == g].any(1).mean()
        assert 1 - share[name]["f"] == pytest.approx(leaves)
    [chosen] = [c for c in policy.candidates if c.theta == theta]
    assert chosen.early == pytest.approx(early[known].any(1).mean())
    other = choose_theta(p, "sex", thetas=(0.2, 0.5, 0.7), rule="eodd")
    assert [c.early for c in other.candidates] != [c.early for c in policy.candidates]


def test_bad_input() -> None:
    p = make()
    with pytest.raises(UserError, match="'confidence_measure' is 'top2'; available: entropy"):
        choose_theta(p, "sex", confidence_measure="top2")
    with pytest.raises(UserError, match="'per_exit' searches thresholds on validation, so that"):
        Choice(0.9, per_exit=True)
    with pytest.raises(UserError, match="3 thresholds but 2 internal exits; give one for each"):
        assess(p, split="val", group="sex", choice=Choice((0.9, None, 0.8)))
    with pytest.raises(UserError, match=r"threshold 1.2 is out of range"):
        Choice((0.9, None, 1.2))
    with pytest.raises(UserError, match=r"threshold inf is out of range"):
        Choice((0.9, float("inf")))
    stored = replace(Policy(0.9), confidence_measure="margin")
    with pytest.raises(UserError, match="is entropy, but that of the stored policy is margin"):
        Choice("policy", confidence_measure="entropy").check_stored(stored)
    Choice("policy").check_stored(stored)
