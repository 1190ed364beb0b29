"""Temperatures: fitted rightly, honest in their intervals, and applied the same everywhere."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

import fairexit
from fairexit.errors import UserError
from fairexit.evaluation.calibrate import fit_temperatures
from fairexit.evaluation.choice import Choice
from fairexit.evaluation.evaluate import evaluate
from fairexit.evaluation.policy import Policy
from fairexit.evaluation.temperatures import Temperatures
from fairexit.evaluation.thresholds import answering_exits
from fairexit.inference.early_exit import answer_early, early_exit
from fairexit.inference.inputs import open_data
from fairexit.predictions.data import Predictions
from fairexit.predictions.files import read_predictions, write_predictions
from fairexit.predictions.tempering import temper
from fairexit.runtime.early_exit import Rule
from fairexit.runtime.early_exit import early_exit as numpy_early_exit
from fairexit.runtime.graphs import WholePass
from fairexit.training.checkpoint import load_net


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def drawn(n, seed, *, temperatures=(0.7, 2.5), cluster_size=1, split="val"):
    """Labels drawn from calibrated probabilities, which each exit sharpens by its temperature.

    Images of one cluster have the same logits and label, so that they are one image in truth.
    """
    rng = np.random.default_rng(seed)
    unit = np.arange(n) // cluster_size
    logits = 2 * rng.normal(size=(n, 4))[unit]
    truth = softmax(logits)
    labels = (truth.cumsum(1) > rng.random(n)[unit, None]).argmax(1)
    return Predictions(
        ids=np.char.add(split, np.arange(n).astype(str)),
        clusters=np.char.add(f"{split} cluster ", unit.astype(str)),
        split=np.full(n, split),
        labels=labels,
        attributes={"sex": rng.integers(0, 2, n)},
        group_names={"sex": ("female", "male")},
        classes=tuple("abcd"),
        probabilities=np.stack([softmax(t * logits) for t in temperatures], 1).astype(np.float32),
        exit_names=(*map(str, range(1, len(temperatures))), "f"),
    )


def test_tempering_divides_the_logits():
    logits = np.random.default_rng(0).normal(size=(50, 2, 4)) * 3
    expected = softmax(logits / np.array([0.5, 3.0])[:, None])
    tempered = temper(softmax(logits).astype(np.float32), (0.5, 3.0))
    np.testing.assert_allclose(tempered, expected, atol=1e-6)
    assert (tempered.argmax(-1) == logits.argmax(-1)).all()
    assert tempered.dtype == np.float32


def test_a_probability_of_zero_stays_smallest():
    tempered = temper(np.array([[1.0, 0.0], [0.5, 0.5]], np.float32), 2.0)
    assert tempered[0, 0] > 1 - 1e-6
    np.testing.assert_array_equal(tempered[1], [0.5, 0.5])


def test_the_temperature_minimises_the_likelihood_of_validation():
    val = drawn(400, 1)
    for e, exit in enumerate(fit_temperatures(val).exits):

        def loss(t, e=e):
            p = temper(val.probabilities[:, e], t).astype(float)
            return -np.log(p[np.arange(len(val)), val.labels]).mean()

        best = minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-8})
        assert exit.value == pytest.approx(best.x, rel=1e-4)
        assert exit.loss_after == pytest.approx(best.fun, abs=1e-6)
        assert exit.loss_before == pytest.approx(loss(1.0), abs=1e-6)
        assert exit.low < exit.value < exit.high


@pytest.mark.parametrize("cluster_size", [1, 3])
def test_intervals_hold_the_true_temperature_in_95_of_100(cluster_size):
    inside = np.zeros(2)
    repeats = 400
    for seed in range(repeats):
        exits = fit_temperatures(drawn(600, seed, cluster_size=cluster_size)).exits
        inside += [e.low <= t <= e.high for e, t in zip(exits, (0.7, 2.5), strict=True)]
    # Two standard errors of a share of 0.95 in 400 repeats are 0.022.
    assert (np.abs(inside / repeats - 0.95) < 0.025).all()


def test_what_has_no_best_temperature_is_refused():
    val = drawn(100, 0)
    right = np.full((100, 2, 4), 0.1, np.float32)
    right[np.arange(100), :, val.labels] = 0.7
    with pytest.raises(UserError, match=r"exit '1' answers \(nearly\) every validation image"):
        fit_temperatures(replace(val, probabilities=right))
    wrong = np.full((100, 2, 4), 0.3, np.float32)
    wrong[np.arange(100), :, val.labels] = 0.1
    with pytest.raises(UserError, match="exit '1' answers no better than chance"):
        fit_temperatures(replace(val, probabilities=wrong))
    answers = replace(val, probabilities=None, exit_names=("f",), given=val.labels)
    with pytest.raises(UserError, match="'calibrate' needs class probabilities"):
        fit_temperatures(answers)


def test_a_policy_keeps_its_temperatures(tmp_path):
    temperatures = fit_temperatures(drawn(200, 0))
    policy = Policy(0.9, temperatures=temperatures)
    policy.save(tmp_path / "policy.json")
    assert Policy.load(tmp_path / "policy.json") == policy
    assert not policy.answers_as(Policy(0.9))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("images"), "lack a key"),
        (lambda t: t.update(exits=[]), "must have a list of exits"),
        (lambda t: t["exits"][0].update(value=-1), "not a number above 0"),
        (lambda t: t["exits"][0].update(value=float("inf")), "not a number above 0"),
        (lambda t: t["exits"][0].pop("low"), "lack a key"),
    ],
)
def test_damaged_temperatures_are_refused(change, message):
    values = json.loads(json.dumps(Policy(0.9, temperatures=fitted()).to_dict()))["temperatures"]
    change(values)
    with pytest.raises(UserError, match=message):
        Temperatures.from_dict(values)


def fitted():
    return fit_temperatures(drawn(300, 3))


def test_the_threshold_is_compared_with_tempered_confidence():
    test, policy = drawn(300, 4, split="test"), Policy(0.6, temperatures=fitted())
    tempered = temper(test.probabilities, policy.temperature_values)
    leaves = tempered[:, 0].max(1) >= np.float32(0.6)
    assert (answering_exits(test, policy) == np.where(leaves, 0, 1)).all()
    assert leaves.sum() != (test.probabilities[:, 0].max(1) >= 0.6).sum()
    share = evaluate(test, "sex", policy).exit_share
    assert share["female"]["1"] == pytest.approx(leaves[test.attributes["sex"] == 0].mean())
    assert evaluate(test.tempered(policy.temperature_values), "sex", policy).exit_share == share


def test_tempering_twice_is_a_mistake_and_other_exits_are_refused():
    test, values = drawn(50, 4), fitted().values
    once = test.tempered(values)
    assert once.tempered(values) is once
    with pytest.raises(ValueError, match="already tempered"):
        once.tempered((1.0, 2.0))
    with pytest.raises(UserError, match=r"3 temperatures, but there are probabilities of 2 exits"):
        test.tempered((1.0, 1.0, 1.0))


def test_a_network_and_the_runtime_leave_where_stored_predictions_do(tiny_run):
    stored = read_predictions(tiny_run.predictions("test"))
    temperatures = fit_temperatures(drawn(300, 3, temperatures=(0.4, 1.7, 3.0)))
    tempered = stored.tempered(temperatures.values)
    # The median confidence of the first exit, where an error of the tempering would show.
    theta = float(np.median(tempered.confidence()[:, 0]))
    policy = Policy(theta, temperatures=temperatures)
    exits = answering_exits(stored, policy)
    assert 0 < (exits == 0).sum() < len(exits)
    data = open_data(tiny_run)
    images = torch.from_numpy(np.asarray(data.images[data.rows("test")])).permute(0, 3, 1, 2)
    net = load_net(tiny_run)
    answers = answer_early(net, images.float() / 255, policy)
    assert answers.exit.tolist() == exits.tolist()
    np.testing.assert_allclose(answers.probabilities, tempered.probabilities_at(exits), atol=1e-6)
    with torch.no_grad():
        logits = [exit.logits.numpy() for exit in net(images.float() / 255)]
    at_runtime = numpy_early_exit(WholePass(logits), len(images), Rule.of(policy, 3))
    assert at_runtime.exit.tolist() == exits.tolist()
    np.testing.assert_allclose(at_runtime.probabilities, answers.probabilities, atol=1e-6)


def test_temperatures_must_fit_the_network(tiny_run):
    net, images = load_net(tiny_run), torch.zeros(1, 3, 28, 28)
    with pytest.raises(UserError, match="2 temperatures for a network with 3 exits"):
        early_exit(net, images, 0.5, temperatures=(1.0, 1.0))
    with pytest.raises(UserError, match="2 temperatures for 3 exits"):
        Rule.of(Policy(0.5, temperatures=fitted()), 3)


@pytest.fixture
def table(tmp_path):
    """Validation and test rows in one file."""
    val, test = drawn(400, 1), drawn(400, 2, split="test")
    both = replace(
        val,
        **{
            name: np.concatenate([getattr(val, name), getattr(test, name)])
            for name in ("ids", "clusters", "split", "labels", "probabilities")
        },
        attributes={"sex": np.concatenate([val.attributes["sex"], test.attributes["sex"]])},
    )
    file = tmp_path / "predictions.csv"
    write_predictions(both, file)
    return file


def test_a_table_is_calibrated_on_its_validation_rows(table, command):
    status, out, _ = command("evaluate", table, "--group", "sex", "--calibrate")
    assert status == 0
    assert "The probabilities are calibrated" in out
    assert "fitted to 400 validation images" in out
    policy = fairexit.evaluate(table, group="sex", calibrate=True).evaluation.policy
    assert policy.temperatures == fit_temperatures(read_predictions(table).of_split("val"))
    assert policy.temperature_values[1] > 1.5


def test_stored_policies_are_not_calibrated_again(tiny_run, command):
    status, _, err = command("evaluate", tiny_run.path, "--threshold", "policy", "--calibrate")
    assert (status, "--calibrate makes another policy than the stored one" in err) == (2, True)


def test_a_policy_of_a_run_measures_a_table(table, tmp_path, command):
    policy = fairexit.evaluate(table, group="sex", calibrate=True).evaluation.policy
    policy.save(tmp_path / "policy.json")
    report = fairexit.audit(table, groups="sex", policy=tmp_path / "policy.json")
    assert report.facts.policy == policy.to_dict()
    test = read_predictions(table).of_split("test")
    used = report.attributes[0].reliability[-3]
    assert (used.exit, used.group) == ("", "")
    tempered = test.tempered(policy.temperature_values)
    at = tempered.probabilities_at(answering_exits(test, policy))
    excess = at.max(1).mean() - (at.argmax(1) == test.labels).mean()
    assert used.excess.value == pytest.approx(excess, abs=1e-6)
    words = ("audit", table, "--group", "sex", "--policy", tmp_path / "policy.json")
    status, _, err = command(*words, "--threshold", "0.9")
    assert (status, "--policy has a threshold of its own" in err) == (2, True)
    status, _, err = command(*words[:-1], tmp_path / "none.json")
    assert (status, "there is no file or folder" in err) == (2, True)


def test_a_choice_among_runs_keeps_temperatures(tiny_run, tmp_path):
    run = shutil.copytree(tiny_run.path, tmp_path / "run")
    stored = read_predictions(run / "predictions" / "val.parquet")
    # The tiny network answers one class only.
    logits = np.random.default_rng(0).normal(size=stored.probabilities.shape)
    varied = replace(stored, probabilities=softmax(3 * logits).astype(np.float32))
    write_predictions(varied, run / "predictions" / "val.parquet")
    temperatures = fit_temperatures(drawn(300, 3, temperatures=(0.7, 1.0, 2.5)))
    Policy(0.9, temperatures=temperatures).save(run / "policy.json")
    fairexit.choose([run], minimize="cost")
    chosen = Policy.load(run / "policy.json")
    assert (chosen.rule, chosen.temperatures) == ("choose", temperatures)


def test_a_choice_may_have_a_policy():
    with pytest.raises(UserError, match="'policy' has a threshold of its own"):
        Choice(0.9, policy=Policy(0.5))
    with pytest.raises(UserError, match="'policy' has a fallback of its own"):
        Choice(None, fallback="most_confident", policy=Policy(0.5))
    with pytest.raises(UserError, match="'policy' has a confidence measure of its own"):
        Choice(None, confidence_measure="margin", policy=Policy(0.5))


def test_without_validation_rows_nothing_is_calibrated(tmp_path, command):
    file = tmp_path / "test.csv"
    write_predictions(drawn(50, 2, split="test"), file)
    words = ("evaluate", file, "--group", "sex", "--threshold", "0.9", "--calibrate")
    status, _, err = command(*words)
    assert status == 2
    assert "temperatures are fitted on validation" in err
    assert "leave out --calibrate" in err
