"""Exit selection, the sweep and the choice of theta against explicit loops."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairexit.errors import UserError
from fairexit.evaluation.policy import Fallback, Policy
from fairexit.evaluation.thresholds import GRID, best_option, choose_theta, select, sweep
from fairexit.metrics.counts import count, margins
from fairexit.metrics.record import METRICS, compute
from fairexit.predictions.files import Predictions
from random_predictions import FEW, make

FALLBACKS = st.sampled_from(["final", "most_confident"])
TENTHS = st.lists(st.integers(1, 10).map(lambda t: t / 10), min_size=1, max_size=12)


def coarse(seed: int, n: int = 20, exits: int = 4) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Two-class probabilities in tenths, so that confidences meet thetas exactly."""
    first = np.random.default_rng(seed).integers(0, 11, (n, exits)) / 10
    return np.stack([first, 1 - first], -1).astype(np.float32)


@FEW
@given(st.integers(0, 2**32), TENTHS, FALLBACKS, st.integers(1, 4))
def test_select_equals_a_loop(
    seed: int, thetas: list[float], fallback: Fallback, exits: int
) -> None:
    probabilities = coarse(seed, exits=exits)
    thresholds: list[float | list[float]] = [*thetas]
    if exits > 1:
        thresholds.append([thetas[e % len(thetas)] for e in range(exits - 1)])
    for theta in thresholds:
        each = theta if isinstance(theta, list) else [theta] * (exits - 1)
        for sample, chosen in zip(
            probabilities, select(probabilities.max(-1), theta, fallback), strict=True
        ):
            confidence = sample.max(-1)
            slow = exits - 1 if fallback == "final" else int(np.argmax(confidence))
            for e in reversed(range(exits - 1)):
                if confidence[e] >= np.float32(each[e]):
                    slow = e
            assert chosen == slow


def test_no_theta_means_the_final_exit() -> None:
    assert (select(coarse(0).max(-1), None) == 3).all()
    assert (select(coarse(0).max(-1), 0.1) == 0).all()


@FEW
@given(st.integers(0, 2**32), TENTHS, FALLBACKS)
def test_sweep_equals_select_and_count(seed: int, thetas: list[float], fallback: Fallback) -> None:
    n = 20
    rng = np.random.default_rng(seed)
    probabilities = coarse(seed, n)
    groups = rng.integers(-1, 3, n)
    groups[:2] = 0, 2
    predictions = _predictions(probabilities, rng.integers(0, 2, n), groups)
    counts, share = sweep(predictions, "g", thetas, fallback)
    for t, theta in enumerate(thetas):
        exits = select(probabilities.max(-1), theta, fallback)
        answers = probabilities[np.arange(n), exits].argmax(-1)
        expected = count(predictions.labels, answers, groups, num_classes=2, num_groups=3)
        for ours, counted in zip(counts, margins(expected), strict=True):
            np.testing.assert_array_equal(ours[t], counted)
        for g in range(3):
            if (groups == g).any():
                np.testing.assert_allclose(
                    share[t, g], [(exits[groups == g] == e).mean() for e in range(4)]
                )
            else:
                assert np.isnan(share[t, g]).all()


def _predictions(probabilities: Any, labels: Any, groups: Any) -> Predictions:
    n, exits, _ = probabilities.shape
    return Predictions(
        ids=np.arange(n).astype(str),
        clusters=np.full(n, ""),
        split=np.full(n, "val"),
        labels=labels,
        attributes={"g": groups},
        group_names={"g": ("x", "y", "z")},
        classes=("0", "1"),
        probabilities=probabilities,
        exit_names=(*(str(e) for e in range(1, exits)), "f"),
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("tolerance", [0.0, 0.02, 0.5])
def test_choice_equals_a_loop_over_the_grid(seed: int, tolerance: float) -> None:
    predictions = make(n=200, seed=seed)
    grid = [0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95]
    groups, _ = predictions.group("sex")

    def score(theta: float | None) -> tuple[float, float]:
        exits = select(predictions.confidence, theta)
        answers = predictions.probabilities[np.arange(200), exits].argmax(-1)
        values = compute(count(predictions.labels, answers, groups, num_classes=4, num_groups=2))
        return values["f1"].item(), values["eodd"].item()

    least = score(None)[0] - tolerance
    best: float | None = None
    for theta in grid:
        f1, eodd = score(theta)
        if f1 >= least and (best is None or eodd <= score(best)[1]):
            best = theta
    policy = choose_theta(predictions, "sex", thetas=grid, tolerance=tolerance)
    assert policy == Policy(best, "final", "eodd", tolerance, "val", "sex")
    highest = max(grid, key=lambda theta: (score(theta)[0], theta))
    assert choose_theta(predictions, "sex", thetas=grid, rule="f1").theta == highest


def test_of_equals_the_larger_theta() -> None:
    predictions = make()
    same = np.repeat(predictions.probabilities[:, -1:], 3, axis=1)
    alike = replace(predictions, probabilities=same)
    assert choose_theta(alike, "sex").theta == max(GRID)
    assert choose_theta(alike, "sex", rule="f1").theta == max(GRID)


def test_nobody_leaves_early_where_every_theta_costs_too_much() -> None:
    predictions = make(n=100)
    n = np.arange(100)
    probabilities = np.full((100, 3, 4), 0.0, np.float32)
    probabilities[:, :2, 0] = 1  # sure and mostly wrong
    probabilities[n, 2, predictions.labels] = 1
    sure = replace(predictions, probabilities=probabilities)
    assert choose_theta(sure, "sex").theta is None
    assert choose_theta(sure, "sex", tolerance=1.0).theta == max(GRID)


def test_a_plain_network_has_a_single_exit() -> None:
    policy = choose_theta(make(exits=1), "sex")
    assert (policy.theta, policy.rule) == (None, "single exit")


def test_theta_is_never_chosen_on_test() -> None:
    with pytest.raises(UserError, match="only on rows of split 'val', but these rows are of: test"):
        choose_theta(make(split="test"), "sex")
    with pytest.raises(UserError, match="these rows are of: no split"):
        choose_theta(make(split=""), "sex")
    mixed = make()
    mixed.split[0] = "tes"
    with pytest.raises(UserError, match="these rows are of: tes, val"):
        choose_theta(mixed, "sex")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"thetas": [0.9, 1.5]},
            r"threshold 1.5 is out of range; it must be above 0 and at most 1",
        ),
        ({"thetas": [0.0]}, "threshold 0 is out of range"),
        ({"thetas": [float("nan")]}, "threshold nan is out of range"),
        ({"thetas": []}, "there is no threshold"),
        ({"rule": "eod"}, "'rule' is 'eod'; did you mean 'eodd'"),
        ({"fallback": "last"}, "there is no fallback 'last'; available: final, most_confident"),
        ({"group": "sexx"}, "there is no column of an attribute 'sexx'; did you mean 'sex'"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        choose_theta(make(), **{"group": "sex", **options})


def test_eodd_must_be_defined() -> None:
    predictions = make(classes=2, groups=2, unknown=False)
    apart = replace(
        predictions, attributes=predictions.attributes | {"sex": predictions.labels.copy()}
    )
    with pytest.raises(UserError, match="Eodd of attribute 'sex' is not defined"):
        choose_theta(apart, "sex")


def test_values_that_differ_by_rounding_are_equal() -> None:
    values = np.array([0.3, 0.1 + 0.2, 0.25 + 1e-14, 0.25])
    f1 = np.full(4, 0.8)
    assert best_option(METRICS["eodd"], values, f1, 0.7) == 2
    assert best_option(METRICS["f1"], -values, f1, 0.7) == 2
    assert best_option(METRICS["eodd"], values[:2], f1[:2], 0.7) == 0


def test_wrong_number_of_thetas() -> None:
    with pytest.raises(UserError, match="2 thresholds but 3 internal exits"):
        select(coarse(0).max(-1), [0.5, 0.9])


@pytest.mark.parametrize(
    "policy",
    [
        Policy(0.99, "final", "eodd", 0.01, "val", "sex"),
        Policy((0.9, 1.0), "most_confident"),
        Policy(None, rule="single exit"),
    ],
)
def test_policy_survives_its_file(tmp_path: Path, policy: Policy) -> None:
    policy.save(tmp_path / "policy.json")
    assert Policy.load(tmp_path / "policy.json") == policy
    assert Policy.from_dict(json.loads(json.dumps(policy.to_dict()))) == policy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"theta": 1.5}', "policy.json: threshold 1.5 is out of range"),
        ('{"thet": 0.5}', "a policy has no key 'thet'; did you mean 'theta'"),
        ("{}", "the policy lacks the key 'theta'"),
        ("[]", "the file does not hold a policy"),
        ("{", "policy.json is not a policy: Expecting"),
        ('{"theta": 0.5, "fallback": "x"}', "no fallback 'x'"),
    ],
)
def test_bad_policy_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "policy.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        Policy.load(path)


def test_policy_paths(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*policy.json: No such file"):
        Policy.load(tmp_path / "policy.json")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Policy(0.5).save(tmp_path / "file" / "policy.json")
    (tmp_path / "policy.json").write_text('{"theta": {"a": 1}}')
    with pytest.raises(
        UserError, match=r"policy.json: theta is .*; it must be a number, a list of numbers or null"
    ):
        Policy.load(tmp_path / "policy.json")
