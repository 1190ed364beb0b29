"""Calibration and failure prediction by exit and group."""

from dataclasses import replace

import numpy as np
import pytest

from drawn_predictions import QUICK, draw, source
from fairexit.auditing.reliability import MAX_GROUPS, measure_reliability
from fairexit.auditing.samples import take_sample
from fairexit.auditing.source import Source
from fairexit.evaluation.policy import Policy
from fairexit.metrics.scores import ece
from fairexit.report.calibration_text import reliability_table, reliability_text


def reliability(opened):
    return measure_reliability(opened, take_sample(opened, "sex"), QUICK)


def calibrated(n, seed, excess=0.0):
    """A plain model of two classes whose confidence is the share of right answers, plus excess."""
    p = draw(n, seed, classes=("mel", "nev"))
    rng = np.random.default_rng(seed)
    sure = rng.uniform(0.55, 0.95, n)
    answer = rng.integers(0, 2, n)
    labels = np.where(rng.random(n) < sure - excess, answer, 1 - answer)
    probabilities = np.where(answer[:, None] == [0, 1], sure[:, None], 1 - sure[:, None])
    changed = replace(
        p,
        labels=labels,
        clusters=np.arange(n).astype(str),
        probabilities=probabilities[:, None].astype(np.float32),
    )
    return Source("model", changed, Policy(None))


def test_rows_are_those_of_loops():
    opened = source(exits=3)
    p, rows = opened.predictions, reliability(opened)
    assert [(row.exit, row.group) for row in rows] == [
        (exit, group) for exit in ("1", "2", "f", "") for group in ("", "f", "m")
    ]
    for row in rows:
        exits = opened.exits if row.exit == "" else p.exit_names.index(row.exit)
        at = p.probabilities[np.arange(len(p)), exits].astype(float)
        of_group = np.ones(len(p), bool)
        if row.group:
            of_group = p.attributes["sex"] == ("f", "m").index(row.group)
        at, labels = at[of_group], p.labels[of_group]
        right = at.argmax(1) == labels
        assert row.n == len(at)
        assert row.accuracy == pytest.approx(right.mean())
        assert row.excess.value == pytest.approx(at.max(1).mean() - right.mean())
        assert row.ece == pytest.approx(float(ece(at, labels)))
        wins = (at.max(1)[right][:, None] > at.max(1)[~right]).mean()
        assert row.failure.value == pytest.approx(wins)
        assert sum(b.n for b in row.bins) == row.n
        assert row.ece == pytest.approx(
            sum(b.n * abs(b.accuracy - b.confidence) for b in row.bins) / row.n
        )


def test_chance_is_the_mean_calibration_error_of_a_calibrated_model():
    rows = [reliability(calibrated(300, seed))[0] for seed in range(300)]
    errors, chances = np.array([(row.ece, row.chance) for row in rows]).T
    # Its standard error is 0.0008 of about 0.055.
    assert chances.mean() == pytest.approx(errors.mean(), abs=0.003)
    inside = [row.excess.low <= 0 <= row.excess.high for row in rows]
    assert 0.92 <= np.mean(inside) <= 0.98


def test_a_model_that_is_too_sure_is_shown_to_be():
    [everyone, *_] = rows = reliability(calibrated(3000, 0, excess=0.2))
    assert everyone.excess.low < 0.2 < everyone.excess.high
    assert everyone.ece > 4 * everyone.chance
    assert reliability_text(rows).startswith("The answers in use are too sure for all samples")
    sure = reliability_text(reliability(calibrated(3000, 2)))
    assert sure.startswith("No group's answers in use are shown")


def test_answers_alone_have_no_reliability():
    p = draw()
    hard = replace(p, probabilities=None, given=p.answers[:, 0])
    assert reliability(Source("model", hard, Policy(None))) == ()


def test_many_groups_are_measured_together():
    groups = tuple(f"group {k}" for k in range(MAX_GROUPS + 1))
    rows = reliability(Source("model", draw(groups=groups), Policy(None)))
    assert [row.group for row in rows] == [""]


def test_the_table_has_a_row_for_each():
    rows = reliability(source(exits=2))
    table = reliability_table(rows)
    assert [row[:2] for row in table.rows[:2]] == [["exit 1", "all"], ["exit 1", "f"]]
    assert table.rows[-1][0] == "policy"
