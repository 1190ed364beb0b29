"""The choice of theta on validation: against explicit loops and exact fractions; its stability."""

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from fairexit.cluster_index import cluster_index
from fairexit.errors import UserError
from fairexit.evaluation import validation
from fairexit.evaluation.assess import assess
from fairexit.evaluation.choice import Choice
from fairexit.evaluation.choose import GRID, choose_theta
from fairexit.evaluation.policy import Policy
from fairexit.evaluation.thresholds import select
from fairexit.evaluation.validation import N_RESAMPLES
from fairexit.metrics.counts import count
from fairexit.metrics.record import compute
from fairexit.predictions.files import Predictions
from random_predictions import make

COARSE = [0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95]


def answers_under(p: Predictions, theta: float | None) -> Any:
    """The answers of the first confident exit, sample by sample."""
    answers = []
    for sample in p.probabilities:
        last = len(sample) - 1
        exits = [e for e in range(last) if theta and sample[e].max() >= np.float32(theta)]
        answers.append(int(sample[exits[0] if exits else last].argmax()))
    return np.array(answers)


def values_of(p: Predictions, theta: float | None, rows: Any = slice(None)) -> dict[str, float]:
    """Metrics of some rows under a theta."""
    groups, names = p.group("sex")
    counts = count(
        p.labels[rows],
        answers_under(p, theta)[rows],
        groups[rows],
        num_classes=len(p.classes),
        num_groups=len(names),
    )
    return {name: value.item() for name, value in compute(counts).items()}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("tolerance", [0.0, 0.02, 0.5])
def test_rules_of_metrics_equal_a_loop_over_the_grid(seed: int, tolerance: float) -> None:
    predictions = make(n=200, seed=seed)
    by_theta = {theta: values_of(predictions, theta) for theta in (*COARSE, None)}
    least = by_theta[None]["f1"] - tolerance
    best: float | None = None
    for theta in COARSE:
        values = by_theta[theta]
        if values["f1"] >= least and (
            best is None or values["eodd"] <= by_theta[best]["eodd"] + 1e-12
        ):
            best = theta
    policy = choose_theta(predictions, "sex", thetas=COARSE, rule="eodd", tolerance=tolerance)
    assert replace(policy, reason="", candidates=()) == Policy(
        best, "final", "eodd", tolerance, "val", "sex"
    )
    highest = max(COARSE, key=lambda theta: (by_theta[theta]["accuracy"], theta))
    assert choose_theta(predictions, "sex", thetas=COARSE, rule="accuracy").theta == highest


def test_rules_of_metrics_say_why() -> None:
    policy = choose_theta(make(n=200), "sex", thetas=COARSE, rule="eodd")
    assert policy.reason == (
        f"{policy.theta:g} has the lowest Eodd of the thetas whose F1 is at most 0.01 below that "
        "of the final exit"
    )
    policy = choose_theta(make(n=200), "sex", thetas=COARSE, rule="accuracy")
    assert policy.reason == f"{policy.theta:g} has the best accuracy of all thetas"


def slow_choice(
    thetas: list[float | None],
    f1: dict[float | None, Any],
    eodd: dict[float | None, Any],
    *,
    draws: dict[float | None, Any],
    tolerance: Any,
) -> float | None:
    """The rule "f1" in words; `thetas` are sorted by cost, the cheapest first."""
    allowed = [theta for theta in thetas if f1[theta] >= max(f1.values()) - tolerance]
    cheapest, fairer = allowed[0], []
    for theta in allowed[1:]:
        error = np.std(draws[cheapest] - draws[theta], ddof=1)
        if error > 1e-12 and eodd[cheapest] - eodd[theta] > 1.64 * error:
            fairer.append(theta)
    if not fairer:
        return cheapest
    lowest = min(eodd[theta] for theta in fairer)
    return max(
        (theta for theta in fairer if eodd[theta] <= lowest), key=lambda t: -1 if t is None else t
    )


def drawn_rows(p: Predictions, number: int) -> list[Any]:
    """Rows of resamples in which clusters are drawn whole within their groups."""
    groups, _ = p.group("sex")
    known = np.flatnonzero(groups >= 0)
    index = cluster_index(p.clusters[known])
    members = [known[index == k] for k in range(index.max() + 1)]
    strata: dict[Any, list[Any]] = {}
    for rows in members:
        strata.setdefault(frozenset(groups[rows].tolist()), []).append(rows)
    mixed = [rows for key, part in strata.items() if len(key) > 1 for rows in part]
    pools = [part for key, part in strata.items() if len(key) == 1] + ([mixed] if mixed else [])
    rng = np.random.default_rng(7)
    return [
        np.concatenate([pool[i] for pool in pools for i in rng.integers(0, len(pool), len(pool))])
        for _ in range(number)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_shares_and_choice_equal_a_loop_over_draws_and_thetas(seed: int) -> None:
    """A second bootstrap with draws of its own, row by row, agrees within its noise."""
    predictions, number = make(n=300, seed=seed), 200
    thetas: list[float | None] = [0.4, 0.6, 0.8, 0.95, None]
    policy = choose_theta(predictions, "sex", thetas=[t for t in thetas if t], tolerance=0.02)
    answers = {theta: answers_under(predictions, theta) for theta in thetas}
    groups, _ = predictions.group("sex")

    def measured(rows: Any) -> tuple[dict[float | None, float], dict[float | None, float]]:
        stacked = np.stack([answers[theta][rows] for theta in thetas])
        counts = count(predictions.labels[rows], stacked, groups[rows], num_classes=4, num_groups=2)
        values = compute(counts, ("f1", "eodd"))
        return tuple(dict(zip(thetas, values[k], strict=True)) for k in ("f1", "eodd"))

    parts = [measured(rows) for rows in drawn_rows(predictions, number)]
    draws = {theta: np.array([eodd[theta] for _, eodd in parts]) for theta in thetas}
    f1, eodd = measured(np.arange(300))
    assert policy.theta == slow_choice(thetas, f1, eodd, draws=draws, tolerance=0.02)
    times = Counter(
        slow_choice(thetas, f1, eodd, draws=draws, tolerance=0.02) for f1, eodd in parts
    )
    assert len(times) > 1
    for candidate in policy.candidates:
        share = times[candidate.theta] / number
        noise = np.sqrt(0.25 * (1 / number + 1 / N_RESAMPLES))
        assert candidate.chosen == pytest.approx(share, abs=3.5 * noise)


def exact(p: Predictions, theta: float | None) -> tuple[Fraction, Fraction]:
    """Macro F1 (mean over groups) and Eodd as fractions; every group must have a sample."""
    groups, names = p.group("sex")
    classes = range(len(p.classes))
    cells = [[[0 for _ in classes] for _ in classes] for _ in names]
    answers = p.answers_at(select(p.confidence(), theta))
    for g, label, answer in zip(groups, p.labels, answers, strict=True):
        cells[g][label][answer] += 1
    f1s, rates = [], []
    for cell in cells:
        sizes = [sum(cell[c]) for c in classes]
        said = [sum(row[c] for row in cell) for c in classes]
        both = [(cell[c][c], sizes[c] + said[c]) for c in classes]
        parts = [Fraction(2 * hits, n) for hits, n in both if n]
        f1s.append(sum(parts, Fraction()) / len(parts))
        rest = [sum(sizes) - n for n in sizes]
        known = [c for c in classes if sizes[c] and rest[c]]
        rates.append(
            {
                c: (Fraction(cell[c][c], sizes[c]), Fraction(said[c] - cell[c][c], rest[c]))
                for c in known
            }
        )
    gaps = []
    for c in classes:
        pairs = [rate[c] for rate in rates if c in rate]
        if len(pairs) > 1:
            gaps.append(sum(max(r) - min(r) for r in zip(*pairs, strict=True)) / 2)
    return sum(f1s, Fraction()) / len(f1s), sum(gaps, Fraction()) / len(gaps)


def test_ties_go_to_the_larger_theta_as_in_exact_arithmetic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Small tables have many ties, which sums of floats break."""
    monkeypatch.setattr(validation, "N_RESAMPLES", 10)
    grid, broken = [0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95], 0
    for seed in range(200):
        p = make(n=16, classes=2, exits=3, seed=seed, unknown=False)
        try:
            by_metric = choose_theta(p, "sex", rule="eodd", thetas=grid, tolerance=1)
        except UserError:  # a group without a sample
            continue
        values = {theta: exact(p, theta) for theta in (*grid, None)}
        lowest = min(values[theta][1] for theta in grid)
        equal = [theta for theta in grid if values[theta][1] == lowest]
        assert by_metric.theta == max(equal), seed
        broken += len({c.eodd for c in by_metric.candidates if c.theta in equal}) > 1
        by_f1 = choose_theta(p, "sex", thetas=grid, tolerance=0.3)
        if not by_f1.reason.startswith("Eodd of"):
            best = max(f1 for f1, _ in values.values())
            close = [theta for theta in grid if values[theta][0] >= best - Fraction(3, 10)]
            depth = {theta: select(p.confidence(), theta).sum() for theta in close}
            cheapest = [theta for theta in close if depth[theta] == min(depth.values())]
            assert by_f1.theta == max(cheapest, default=None), seed
    assert broken > 1


def planted(gap: float, n: int = 4000, seed: int = 0) -> Predictions:
    """Two exits, equally accurate for everyone together; the early one is unequal by `gap`."""
    rng = np.random.default_rng(seed)
    labels, groups = rng.integers(0, 2, n), rng.integers(0, 2, n)
    answers = np.empty((n, 2), np.int64)
    for e, unequal in enumerate((gap, 0.0)):
        right = rng.random(n) < 0.8 + unequal / 2 * np.where(groups == 1, 1, -1)
        answers[:, e] = np.where(right, labels, 1 - labels)
    probabilities = np.full((n, 2, 2), 0.1, np.float32)
    probabilities[:, 0] = 0.15
    for e, sure in enumerate((0.85, 0.9)):
        probabilities[np.arange(n), e, answers[:, e]] = sure
    return replace(
        make(n=n, classes=2, exits=2, unknown=False),
        labels=labels,
        attributes={"sex": groups},
        group_names={"sex": ("a", "b")},
        probabilities=probabilities,
        clusters=np.full(n, ""),
    )


def test_a_planted_fairer_theta_is_chosen_and_chance_is_not() -> None:
    fairer = choose_theta(planted(0.1), "sex", thetas=[0.8, 0.9], tolerance=0.05)
    # At 0.9 nobody leaves early.
    assert fairer.theta == 0.9
    assert fairer.reason.startswith("Eodd of 0.9 is 0.0")
    assert "lower than that of 0.8, the cheapest whose F1 is within 0.05 of the best" in (
        fairer.reason
    )
    assert fairer.reason.endswith("of its standard errors")
    equal = choose_theta(planted(0.0), "sex", thetas=[0.8, 0.9], tolerance=0.05)
    assert equal.theta == 0.8
    assert equal.reason == (
        "no theta is shown to be fairer; 0.8 is the cheapest whose F1 is within 0.05 of the best"
    )


def test_a_theta_is_wrongly_shown_to_be_fairer_in_about_one_of_twenty() -> None:
    thetas = [
        choose_theta(planted(0.0, 1000, seed), "sex", thetas=[0.8, 0.9], tolerance=0.1).theta
        for seed in range(100)
    ]
    assert 1 <= thetas.count(0.9) <= 13


def test_whole_clusters_make_the_error() -> None:
    """Each sample ten times is no more evidence than once."""
    once = planted(0.06, 400)
    index = np.repeat(np.arange(400), 10)
    tenfold = replace(
        once,
        ids=np.arange(4000).astype(str),
        clusters=np.array([f"lesion {i}" for i in index]),
        split=once.split[index],
        labels=once.labels[index],
        attributes={"sex": once.attributes["sex"][index]},
        probabilities=once.probabilities[index],
    )
    alone = replace(tenfold, clusters=np.full(4000, ""))
    options: dict[str, Any] = {"thetas": [0.8, 0.9], "tolerance": 0.1}
    assert choose_theta(once, "sex", **options).theta == 0.8
    assert choose_theta(tenfold, "sex", **options).theta == 0.8
    assert choose_theta(alone, "sex", **options).theta == 0.9


def test_the_shares_are_certain_where_one_theta_is_clearly_the_cheapest() -> None:
    p = planted(0.0)
    same = np.repeat(p.probabilities[:, -1:], 2, axis=1)
    policy = choose_theta(replace(p, probabilities=same), "sex")
    assert policy.theta == 0.9  # everyone leaves at the first exit up to here
    assert {c.theta: c.chosen for c in policy.candidates}[policy.theta] == 1
    assert sum(c.chosen for c in policy.candidates) == 1


@pytest.mark.parametrize("rule", ["f1", "eodd", "accuracy"])
def test_shares_sum_to_one_and_the_same_choice_comes_again(rule: str) -> None:
    predictions = make(n=300)
    policy = choose_theta(predictions, "sex", rule=rule)
    assert [c.theta for c in policy.candidates] == [*sorted(GRID, reverse=True), None]
    assert sum(c.chosen for c in policy.candidates) == pytest.approx(1)
    again = choose_theta(make(n=300), "sex", rule=rule, thetas=[*GRID, GRID[0]])
    assert policy == again


def test_candidates_are_what_validation_measures() -> None:
    predictions = make(n=200)
    costs = [1.0, 3.0, 4.0]
    policy = choose_theta(predictions, "sex", costs=costs, fallback="most_confident")
    known = predictions.attributes["sex"] >= 0
    for candidate in policy.candidates:
        exits = select(predictions.confidence()[known], candidate.theta)
        assert candidate.early == pytest.approx((exits < 2).mean())
        assert candidate.cost == pytest.approx(np.take(costs, exits).mean() / 4)
        if candidate.theta is not None:
            measured = assess(
                predictions,
                split="val",
                group="sex",
                choice=Choice(candidate.theta, fallback="most_confident"),
            ).evaluation.metrics
            assert candidate.f1 == pytest.approx(measured["f1"])
            assert candidate.eopp1 == pytest.approx(measured["eopp1"])
            assert candidate.eodd == pytest.approx(measured["eodd"])
    assert policy.candidates[-1].early == 0
    assert policy.candidates[-1].cost == 1
    assert choose_theta(predictions, "sex").candidates[0].cost is None


def test_of_equals_the_larger_theta() -> None:
    predictions = make()
    same = np.repeat(predictions.probabilities[:, -1:], 3, axis=1)
    alike = replace(predictions, probabilities=same)
    assert choose_theta(alike, "sex", rule="eodd").theta == max(GRID)
    assert choose_theta(alike, "sex", rule="accuracy").theta == max(GRID)
    unsure = np.full_like(same, 0.2)
    unsure[:, :, 0] = 0.4
    nobody = replace(predictions, probabilities=unsure)
    assert choose_theta(nobody, "sex").theta == max(GRID)


def test_nobody_leaves_early_where_every_theta_costs_too_much() -> None:
    predictions = make(n=100)
    n = np.arange(100)
    probabilities = np.full((100, 3, 4), 0.0, np.float32)
    probabilities[:, :2, 0] = 1  # sure and mostly wrong
    probabilities[n, 2, predictions.labels] = 1
    sure = replace(predictions, probabilities=probabilities)
    policy = choose_theta(sure, "sex")
    assert policy.theta is None
    left_out = (
        "; left out, because one class has 99 % or more of the answers: 0.999, 0.99, 0.95, 0.9, "
        "0.85, 0.8"
    )
    assert policy.reason == (
        "the final exit is the only candidate whose F1 is within 0.01 of the best" + left_out
    )
    policy = choose_theta(sure, "sex", rule="eodd")
    assert policy.theta is None
    assert policy.reason == (
        "there is no theta whose F1 is at most 0.01 below that of the final exit" + left_out
    )
    for rule in ("eodd", "f1"):
        assert choose_theta(sure, "sex", tolerance=1.0, rule=rule).theta is None, (
            "one class answers"
        )


def test_where_one_class_answers_under_every_candidate_that_is_said() -> None:
    probabilities = np.full((100, 3, 4), 0.1, np.float32)
    probabilities[:, :, 0] = 0.7
    constant = replace(make(n=100), probabilities=probabilities)
    reason = choose_theta(constant, "sex").reason
    assert reason.endswith("; but with every candidate one class has 99 % or more of the answers")


def test_a_plain_network_has_a_single_exit() -> None:
    assert choose_theta(make(exits=1), "sex") == Policy(None, rule="single exit")


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
        ({"costs": [1.0, 2.0]}, "there are 2 exit costs, but 3 exits"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        choose_theta(make(), **{"group": "sex", **options})


@pytest.mark.parametrize("rule", ["f1", "eodd"])
def test_eodd_must_be_defined(rule: str) -> None:
    predictions = make(classes=2, groups=2, unknown=False)
    apart = replace(
        predictions, attributes=predictions.attributes | {"sex": predictions.labels.copy()}
    )
    with pytest.raises(UserError, match="Eodd of attribute 'sex' is not defined"):
        choose_theta(apart, "sex", rule=rule)
    assert choose_theta(apart, "sex", rule="accuracy").candidates[0].eodd is None
