"""At which exit samples leave."""

from dataclasses import replace

import numpy as np
import pytest

from drawn_predictions import QUICK, source
from fairexit.auditing import exits
from fairexit.auditing.exits import measure_exits, theta_curve
from fairexit.auditing.samples import take_sample
from fairexit.evaluation.evaluate import evaluate


def leaving(**options):
    found = source(exits=3, **options)
    return found, measure_exits(found, take_sample(found, "sex"), QUICK)


def test_rows_are_those_of_loops():
    found, seen = leaving(costs=(10.0, 20.0, 40.0))
    p = found.predictions
    assert len(seen.rows) == 6
    for row in seen.rows:
        of_group = p.attributes["sex"] == ("f", "m").index(row.group)
        here = of_group & (found.exits == p.exit_names.index(row.exit))
        assert row.n == here.sum()
        assert row.share.value == pytest.approx(here.sum() / of_group.sum())
        assert row.accuracy.value == pytest.approx((found.answers == p.labels)[here].mean())
        assert row.cost == {"1": 0.25, "2": 0.5, "f": 1.0}[row.exit]
        wrong = here & (found.answers != p.labels)
        label, answer, times = row.confusions[0]
        pair = (p.labels == p.classes.index(label)) & (found.answers == p.classes.index(answer))
        assert times == (wrong & pair).sum() == max(n for _, _, n in row.confusions)
    for g, name in enumerate(("f", "m")):
        costs = np.array([0.25, 0.5, 1.0])[found.exits[p.attributes["sex"] == g]]
        assert seen.mean_cost[name] == pytest.approx(costs.mean())


def test_groups_that_leave_differently_are_told_from_those_that_do_not():
    assert leaving(slow_group=0.3)[1].p_value <= 0.05
    assert leaving()[1].p_value > 0.05


def test_the_statistic_is_that_of_loops():
    found, seen = leaving(slow_group=0.2)
    p = found.predictions
    total = 0.0
    for c in range(3):
        shares = [
            np.bincount(found.exits[(p.labels == c) & (p.attributes["sex"] == g)], minlength=3)
            for g in (0, 1)
        ]
        a, b = (s / s.sum() for s in shares)
        total += (p.labels == c).sum() * np.abs(a - b).sum() / 2
    assert seen.statistic == pytest.approx(total / len(p))
    assert 0 < seen.null_mean < seen.statistic


def test_first_and_last_are_those_of_highest_and_lowest_confidence():
    found, seen = leaving()
    rank = sorted(
        range(len(found.predictions)),
        key=lambda i: (found.exits[i], -found.probabilities[i].max()),
    )
    ids = found.predictions.ids
    assert list(seen.first) == [ids[i] for i in rank[:8]]
    assert list(seen.last) == [ids[i] for i in rank[:-9:-1]]


def test_costs_that_are_not_known_are_said_to_be():
    _, seen = leaving()
    assert seen.mean_cost == {}
    assert "does not say what its exits cost" in seen.cost_reason
    assert all(np.isnan(row.cost) for row in seen.rows)


def test_the_curve_is_the_evaluation_at_each_theta():
    found = source(exits=3, costs=(1.0, 2.0, 4.0))
    curve = theta_curve(found, "sex")
    assert (np.diff(curve.thetas) > 0).all()
    assert curve.used == 0.8
    for t in (0, len(curve.thetas) // 2, -1):
        alone = evaluate(found.predictions, "sex", float(curve.thetas[t]))
        for name, values in curve.metrics.items():
            assert values[t] == pytest.approx(alone.metrics[name])
        exits = np.array([curve.shares[name][t] for name in ("1", "2", "f")])
        assert exits.sum() == pytest.approx(1)
        assert curve.cost[t] == pytest.approx(exits @ [0.25, 0.5, 1.0])


def test_many_groups_are_each_compared_with_all_others(monkeypatch):
    example = source(exits=3, slow_group=0.2)
    sample = take_sample(example, "sex")
    pairwise = measure_exits(example, sample, QUICK)
    monkeypatch.setattr(exits, "MAX_PAIRED", 1)
    together = measure_exits(example, sample, QUICK)
    assert (together.statistic, together.p_value) == (pairwise.statistic, pairwise.p_value)

    p = example.predictions
    three = np.arange(len(p)) % 3
    sample = replace(sample, groups=("a", "b", "c"))
    sample = replace(sample, sample=replace(sample.sample, groups=three, num_groups=3))
    distances = []
    for g in range(3):
        total = weights = 0.0
        for c in range(3):
            parts = [
                np.bincount(example.exits[(p.labels == c) & rows], minlength=3)
                for rows in (three == g, three != g)
            ]
            a, b = (part / part.sum() for part in parts)
            weights += sum(map(np.sum, parts))
            total += sum(map(np.sum, parts)) * np.abs(a - b).sum() / 2
        distances.append(total / weights)
    assert measure_exits(example, sample, QUICK).statistic == pytest.approx(max(distances))
