"""Exit selection and the sweep against explicit loops; the policy and its file."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairexit.errors import UserError
from fairexit.evaluation.candidate import Candidate
from fairexit.evaluation.policy import Policy
from fairexit.evaluation.theta import Fallback
from fairexit.evaluation.thresholds import select, sweep
from fairexit.metrics.counts import count, margins
from fairexit.predictions.confidence import CONFIDENCE_MEASURES
from fairexit.predictions.files import Predictions
from random_predictions import FEW

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
    thresholds: list[float | list[float | None]] = [*thetas]
    if exits > 1:
        thresholds.append([thetas[e % len(thetas)] for e in range(exits - 1)])
        thresholds.append([None if e == seed % 3 else thetas[0] for e in range(exits - 1)])
    for theta in thresholds:
        each = theta if isinstance(theta, list) else [theta] * (exits - 1)
        for sample, chosen in zip(
            probabilities, select(probabilities.max(-1), theta, fallback), strict=True
        ):
            confidence = sample.max(-1)
            slow = exits - 1 if fallback == "final" else int(np.argmax(confidence))
            for e in reversed(range(exits - 1)):
                if each[e] is not None and confidence[e] >= np.float32(each[e]):
                    slow = e
            assert chosen == slow


def test_no_theta_means_the_final_exit() -> None:
    assert (select(coarse(0).max(-1), None) == 3).all()
    assert (select(coarse(0).max(-1), 0.1) == 0).all()


@FEW
@given(st.integers(0, 2**32), TENTHS, FALLBACKS, st.sampled_from([*CONFIDENCE_MEASURES]))
def test_sweep_equals_select_and_count(
    seed: int, thetas: list[float], fallback: Fallback, measure: str
) -> None:
    n = 20
    rng = np.random.default_rng(seed)
    probabilities = coarse(seed, n)
    groups = rng.integers(-1, 3, n)
    groups[:2] = 0, 2
    predictions = _predictions(probabilities, rng.integers(0, 2, n), groups)
    counts, share = sweep(predictions, "g", thetas, fallback=fallback, confidence_measure=measure)
    for t, theta in enumerate(thetas):
        exits = select(predictions.confidence(measure), theta, fallback)
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


def test_wrong_number_of_thetas() -> None:
    with pytest.raises(UserError, match="2 thresholds but 3 internal exits"):
        select(coarse(0).max(-1), [0.5, 0.9])


CANDIDATES = (
    Candidate(0.9, 0.75, 0.5, 0.8, 0.7, 0.1, 0.2),
    Candidate(None, 0.25, 0.0, None, 0.7, None, None),
)


@pytest.mark.parametrize(
    "policy",
    [
        Policy(0.99, "final", "eodd", 0.01, "val", "sex"),
        Policy((0.9, 1.0), "most_confident"),
        Policy((0.9, None), confidence_measure="entropy"),
        Policy((0.9, None), candidates=(*CANDIDATES, replace(CANDIDATES[0], theta=(0.9, None)))),
        Policy(None, rule="single exit"),
        Policy(0.9, reason="it is the cheapest", candidates=CANDIDATES),
    ],
)
def test_policy_survives_its_file(tmp_path: Path, policy: Policy) -> None:
    policy.save(tmp_path / "policy.json")
    assert Policy.load(tmp_path / "policy.json") == policy
    assert Policy.from_dict(json.loads(json.dumps(policy.to_dict()))) == policy
    assert Policy.from_dict(policy.to_dict()) == policy


def candidate(**changes: Any) -> str:
    """A policy's file with one candidate."""
    values = dict.fromkeys(("chosen", "early", "cost", "f1", "eopp1", "eodd"), 0.5)
    return json.dumps({"theta": 0.5, "candidates": [{"theta": 0.5} | values | changes]})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"theta": 1.5}', "policy.json: threshold 1.5 is out of range"),
        ('{"thet": 0.5}', "a policy has no key 'thet'; did you mean 'theta'"),
        ("{}", "the policy lacks the key 'theta'"),
        ("[]", "the file does not hold a policy"),
        ("{", "policy.json is not a policy: Expecting"),
        ('{"theta": 0.5, "fallback": "x"}', "no fallback 'x'"),
        (
            '{"theta": 0.5, "confidence_measure": "entrop"}',
            "'confidence_measure' is 'entrop'; did you mean 'entropy'",
        ),
        ('{"theta": 0.5, "confidence_measure": 1}', "confidence_measure is 1, which is not what"),
        ('{"theta": ["x", 0.5]}', "theta is .*; it must be a number, a list of numbers or null"),
        ('{"theta": []}', "there is no threshold"),
        ('{"theta": 0.5, "reason": null}', "reason is None, which is not what a policy holds"),
        ('{"theta": 0.5, "candidates": 1}', "candidates is 1; it must be a list"),
        (
            '{"theta": 0.5, "candidates": [1]}',
            "each candidate of a policy must have the keys theta",
        ),
        ('{"theta": 0.5, "candidates": [{"theta": 0.5}]}', "must have the keys theta, chosen, ear"),
        (candidate(theta=0.6), "theta is not one of the candidates of the policy"),
        (candidate(chosen=None), "chosen of a candidate is None; it must be a number"),
        (candidate(f1="x"), "f1 of a candidate is 'x'; it must be a number"),
        (candidate(eodd=float("nan")), "eodd of a candidate is nan; it must be a number"),
    ],
)
def test_bad_policy_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "policy.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        Policy.load(path)


def test_a_policy_without_a_confidence_measure_compares_the_largest_probability(
    tmp_path: Path,
) -> None:
    path = tmp_path / "policy.json"
    path.write_text('{"theta": 0.5, "fallback": "final", "rule": "f1", "split": "val"}')
    assert Policy.load(path).confidence_measure == "max_probability"


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
