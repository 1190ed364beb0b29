"""Choice among operating points: slow twins of its values, and what it must never do."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairexit.errors import UserError
from fairexit.evaluation.chosen_policy import chosen_policy
from fairexit.evaluation.comparable import Answers, Comparable
from fairexit.evaluation.front import front_of, spread_out, thinned
from fairexit.evaluation.goal import COST, Constraint, Goal, parse_goal
from fairexit.evaluation.operating_points import (
    NO_EXIT,
    answers_of,
    draw_points,
    measure_points,
)
from fairexit.evaluation.policy import CHOSEN_POINT, Policy
from fairexit.evaluation.select_point import SAME_COST, select_point
from fairexit.evaluation.theta import exit_thetas
from fairexit.evaluation.thresholds import answering_exits
from fairexit.evaluation.ties import largest_lags, selection_luck
from fairexit.metrics.counts import count
from fairexit.metrics.record import METRICS
from fairexit.predictions.files import Predictions
from fairexit.report.choice_text import choice_sentences, front_table
from fairexit.report.theta_text import choice_lines
from fairexit.runs import Run
from random_predictions import make

GRID = (0.4, 0.6, 0.75, 0.9)
NAMES = ("f1", "eodd")
COSTS = {1: [9.0], 2: [4.0, 10.0], 3: [2.0, 5.0, 8.0]}
FALLBACKS = st.sampled_from(["final", "most_confident"])
SEEDS = st.integers(0, 2**32 - 1)


def tables(seed: int, exits: tuple[int, ...] = (3, 1, 2), n: int = 60) -> list[Predictions]:
    """Predictions of several runs for the same samples, whose groups are all known."""
    first = make(n, seed=seed, unknown=False)
    drawn = [make(n, exits=e, seed=seed + 1 + i, unknown=False) for i, e in enumerate(exits)]
    same = {"labels": first.labels, "attributes": first.attributes}
    return [replace(p, **same) for p in drawn]


def compare(predictions: list[Predictions]) -> Comparable:
    """These tables as those of runs called a, b, c and so on."""
    first = predictions[0]
    models = tuple(
        Answers(
            Run(Path(name)),
            name,
            p.confidence(),
            p.answers.astype(np.int16),
            np.array(COSTS[len(p.exit_names)]),
            p.exit_names,
        )
        for name, p in zip("abcdef", predictions, strict=False)
    )
    groups = first.attributes["sex"]
    size = {"num_classes": len(first.classes), "num_groups": len(first.group_names["sex"])}
    return Comparable(models, first.labels, groups, first.clusters, "sex", **size)


def slow_answers(table: Predictions, theta, fallback):
    """Predicted class and multiply-adds of each sample, one sample after the other."""
    answers, spent = [], []
    confidence, costs = table.confidence(), COSTS[len(table.exit_names)]
    last = len(costs) - 1
    for i in range(len(table)):
        exit = depth = last
        for e, limit in enumerate(exit_thetas(theta, last)):
            if confidence[i, e] >= limit:
                exit = depth = e
                break
        else:
            if fallback == "most_confident" and theta is not None:
                exit = int(confidence[i].argmax())
        answers.append(table.answers[i, exit])
        spent.append(costs[depth])
    return np.array(answers), np.mean(spent)


@settings(deadline=None, max_examples=10)
@given(SEEDS, FALLBACKS)
def test_every_value_and_draw_equals_a_slow_loop(seed, fallback):
    predictions = tables(seed, n=30)
    data = compare(predictions)
    points = measure_points(data, GRID, NAMES, fallback=fallback)
    assert len(points) == 3 + 1 + 2 + 2 * len(GRID)
    weights = np.random.default_rng(seed).integers(0, 4, (data.cluster.max() + 1, 3))
    weights[:, 0] = 1
    everything = np.arange(len(points))
    drawn = draw_points(
        data, points, everything, weights=weights.astype("f"), name="eodd", fallback=fallback
    )
    fast = answers_of(data, points, everything, fallback)
    for k in everything:
        table = predictions[points.model[k]]
        theta = points.policy_theta(k, len(table.exit_names))
        answers, cost = slow_answers(table, theta, fallback)
        np.testing.assert_array_equal(fast[k], answers)
        assert points.values[COST][k] == pytest.approx(cost / 10)
        for name in NAMES:
            counts = count(table.labels, answers, data.groups, num_classes=4, num_groups=2)
            assert points.values[name][k] == METRICS[name](counts)
        for b in range(weights.shape[1]):
            rows = np.repeat(np.arange(len(table)), weights[data.cluster, b])
            counts = count(
                table.labels[rows], answers[rows], data.groups[rows], num_classes=4, num_groups=2
            )
            np.testing.assert_allclose(drawn[k, b], METRICS["eodd"](counts), rtol=1e-5)


@settings(deadline=None, max_examples=5)
@given(SEEDS, st.sampled_from(["margin", "max_probability"]))
def test_the_policy_of_a_point_answers_as_the_point(seed, measure):
    predictions = tables(seed)
    data = compare(predictions)
    data = replace(
        data,
        models=tuple(
            replace(m, confidence=p.confidence(measure))
            for m, p in zip(data.models, predictions, strict=True)
        ),
    )
    selection = select_point(data, parse_goal(minimize="eodd"), grid=GRID)
    for k in range(len(selection.points)):
        policy = chosen_policy(replace(selection, chosen=k), measure)
        table = predictions[selection.points.model[k]]
        answers = table.answers_at(answering_exits(table, policy))
        np.testing.assert_array_equal(answers, answers_of(data, selection.points, [k])[0])
        assert Policy.from_dict(policy.to_dict()) == policy


VALUES = st.lists(
    st.tuples(*[st.integers(0, 5).map(lambda v: v / 5)] * 3, st.booleans()), min_size=1, max_size=40
)


@given(VALUES)
def test_the_front_has_no_candidate_that_another_surpasses_and_lacks_none(rows):
    values = np.array([row[:3] for row in rows])
    usable = np.array([row[3] for row in rows])
    front = set(front_of(values, usable).tolist())
    for k in range(len(values)):
        surpassed = any(
            (values[j] >= values[k]).all() and ((values[j] > values[k]).any() or j < k)
            for j in np.flatnonzero(usable)
            if j != k
        )
        assert (k in front) == (usable[k] and not surpassed)


def test_a_large_front_is_that_of_its_blocks(monkeypatch):
    values = np.random.default_rng(0).random((300, 3))
    values[7, 1] = np.nan
    usable = np.ones(300, bool)
    whole = front_of(values, usable)
    monkeypatch.setattr("fairexit.evaluation.front.BLOCK", 11)
    np.testing.assert_array_equal(front_of(values, usable), whole)
    assert 7 not in whole
    assert thinned(whole, 5).tolist()[::4] == [whole[0], whole[-1]]


def test_points_that_are_shown_cover_the_front_and_begin_with_the_best():
    values = np.array([[0.0, 0.0], [0.1, 1.0], [5.0, 0.0], [5.0, 10.0], [0.1, 0.5]])
    assert spread_out(values, 3) == [2, 1, 3]
    assert sorted(spread_out(values, 9)) == [0, 1, 2, 3, 4]
    assert spread_out(np.ones((1, 2)), 5) == [0]


CONSTRAINTS = [
    Constraint("f1", 0.02, relative=True),
    Constraint("f1", 0.1, relative=True),
    Constraint("eodd", 0.15, relative=True),
    Constraint("accuracy", 0.35),
    Constraint(COST, 0.6),
]


@settings(deadline=None, max_examples=8)
@given(SEEDS, st.permutations(CONSTRAINTS), st.sampled_from(["eodd", "f1", COST]))
def test_a_further_constraint_never_improves_the_objective(seed, constraints, objective):
    data, before = compare(tables(seed)), None
    for number in range(4):
        goal = Goal(objective, tuple(constraints[:number]))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("fairexit.evaluation.select_point.N_RESAMPLES", 20)
            selection = select_point(data, goal, grid=GRID)
        values = goal.better(objective, selection.points.values)
        if selection.best is None:
            assert (selection.misses(selection.nearest) > 0).any()
            return
        assert not selection.misses(selection.best).any()
        assert not selection.misses(selection.chosen).any()
        assert selection.chosen in selection.front
        assert before is None or values[selection.best] <= before + 1e-12
        before = values[selection.best]
        on_front = selection.front[selection.ties.tied[selection.front]]
        cost = selection.points.values[COST]
        assert cost[selection.chosen] <= cost[on_front].min() + SAME_COST


def certain(n=400, wrong=(0.0, 0.3), cost=9.0):
    """Runs of one exit: in each a share of the answers for one group is wrong."""
    rng = np.random.default_rng(0)
    labels, groups = rng.integers(0, 2, n), rng.integers(0, 2, n)
    models = []
    for name, share in zip("abcdef", wrong, strict=False):
        errs = (groups == 1) & (rng.random(n) < share)
        answers = np.where(errs, 1 - labels, labels)[:, None].astype(np.int16)
        models.append(
            Answers(Run(Path(name)), name, np.ones((n, 1), "f"), answers, np.array([cost]), ("f",))
        )
    clusters = np.array([f"c{i}" for i in range(n)], object)
    return Comparable(tuple(models), labels, groups, clusters, "sex", 2, 2)


def with_costs(data, costs):
    models = [replace(m, costs=np.array([c])) for m, c in zip(data.models, costs, strict=True)]
    return replace(data, models=tuple(models))


def test_a_candidate_that_is_shown_to_be_worse_is_not_chosen_however_cheap():
    data = with_costs(certain(wrong=(0.05, 0.06, 0.3)), [9, 5, 1])
    selection = select_point(data, parse_goal(minimize="eodd"))
    assert selection.ties.tied.tolist() == [True, True, False]
    # The second is dearer than the third, but not shown to be worse than the first.
    assert [selection.best, selection.chosen] == [0, 1]
    assert selection.ties.luck > 0
    lines = list(choice_sentences(selection))
    assert any(line.startswith("2 of 3 cannot be told apart from it") for line in lines)
    assert any(line.startswith("Chosen: b, with Eodd 0.0") for line in lines)
    alike = select_point(with_costs(data, [9, 8.95, 1]), parse_goal(minimize="eodd"))
    assert alike.chosen == alike.best == 0


def test_what_a_sure_choice_says():
    data = certain(wrong=(0.02, 0.3))
    selection = select_point(data, parse_goal(minimize="eodd"))
    assert selection.ties.number == 1
    lines = list(choice_sentences(selection))
    assert "Every other one is shown to be worse." in lines
    assert lines[-1] == "It is also the candidate with the highest F1."
    policy = chosen_policy(selection)
    assert (policy.rule, policy.split, policy.group) == (CHOSEN_POINT, "val", "sex")
    assert policy.compared == ("a", "b")
    assert policy.reason.startswith("2 of 2 candidates of 2 runs are usable; a has the lowest Eodd")
    first, second = choice_lines(policy)
    assert first.startswith("The operating point was chosen by rule choose on val for sex: 2 of 2")
    assert second == "The runs that were compared: a, b."


def test_a_gain_is_said_to_be_shown_only_if_it_is():
    def verdict(wrong, second):
        data = certain(n=900, wrong=wrong)
        answers = data.models[1].answers.copy()
        spoilt = np.random.default_rng(1).random(900) < second
        answers[spoilt] = 1 - answers[spoilt]
        models = (data.models[0], replace(data.models[1], answers=answers))
        selection = select_point(replace(data, models=models), parse_goal(minimize="eodd"))
        assert (selection.reference, selection.chosen) == (0, 1)
        return list(choice_sentences(selection))[-1]

    # The second errs as often in both groups, the first in one of them only.
    assert verdict((0.25, 0.0), 0.2).endswith("a gain in Eodd is shown.")
    assert verdict((0.025, 0.0), 0.025).endswith("a gain in Eodd is not shown.")


def test_one_network_that_answers_one_class_is_marked_and_never_chosen():
    data = certain(wrong=(0.05, 0.0))
    silent = replace(data.models[1], answers=np.zeros_like(data.models[1].answers))
    selection = select_point(
        replace(data, models=(data.models[0], silent)), parse_goal(minimize="eodd")
    )
    assert selection.points.values["eodd"][1] == 0
    assert selection.chosen == 0
    assert 1 not in selection.front
    [line] = [line for line in choice_sentences(selection) if "Collapsed" in line]
    assert line.endswith("99 % or more of the answers: b (1 of its 1 candidates).")
    with pytest.raises(UserError, match=r"^every candidate has collapsed: one class has 99 % or"):
        select_point(replace(data, models=(silent,)), parse_goal(minimize="eodd"))


def test_a_constraint_that_nothing_meets_is_named_with_the_nearest_candidate():
    data = with_costs(certain(wrong=(0.05, 0.3)), [9, 5])
    selection = select_point(data, parse_goal(["f1 >= 0.99"], minimize="eodd"))
    assert selection.chosen is None
    assert selection.nearest == 0
    miss = 0.99 - selection.points.values["f1"][0]
    [line] = [line for line in choice_sentences(selection) if line.startswith("No candidate")]
    assert line.startswith(
        f"No candidate meets f1 >= 0.99: the nearest, a, misses f1 >= 0.99 by {miss:.3f} (F1 0.9"
    )
    assert "no candidate meets it" in repr(selection)
    with pytest.raises(ValueError, match="no candidate is allowed"):
        chosen_policy(selection)


def test_constraints_that_nothing_meets_together_are_named_too():
    data = with_costs(certain(wrong=(0.05, 0.3)), [9, 5])
    selection = select_point(data, parse_goal(["f1 >= 0.95"], minimize="eodd", cost=0.6))
    assert selection.closest == {}
    *_, line, last = choice_sentences(selection)
    assert line == "Each constraint is met by some candidate, but no candidate meets all of them."
    assert last.startswith("The nearest to all of them, b, misses f1 >= 0.95 by ")
    both = select_point(data, parse_goal(["f1 >= 0.999"], minimize="eodd", cost=0.1))
    assert both.closest == {0: 0, 1: 1}
    assert "misses cost <= 0.1 by 45.6" in list(choice_sentences(both))[-2]


def test_the_best_value_is_that_of_all_candidates_even_of_dear_ones():
    data = with_costs(certain(wrong=(0.02, 0.3)), [9, 5])
    selection = select_point(data, parse_goal(["f1 >= best - 0.01"], minimize="eodd", cost=0.6))
    assert selection.bounds[0] == selection.points.values["f1"][0] - 0.01
    assert selection.chosen is None


def test_the_table_shows_the_front_with_what_each_misses():
    data = with_costs(certain(wrong=(0.02, 0.3)), [9, 5])
    table = front_table(select_point(data, parse_goal(["f1 >= 0.9"], minimize="eodd")))
    assert list(table.columns) == ["Candidate", "", "Eodd ↓", "F1 ↑", "Cost ↓"]
    assert [row[:2] for row in table.rows] == [
        ["a", "chosen, highest F1"],
        ["b", "misses f1 >= 0.9"],
    ]
    assert table.rows[1][4].startswith("55.6")


def test_luck_is_what_the_best_of_noise_gains_and_none_without_a_choice():
    noise = np.random.default_rng(0).normal(size=(50, 4000))
    # The expected largest of 50 standard normal values.
    values = np.random.default_rng(1).normal(size=50)
    assert selection_luck(noise, values / 10) == pytest.approx(2.249, abs=0.05)
    # Where the values are far apart the winner is sure, and its errors are 0 on average.
    assert selection_luck(noise, 100.0 * np.arange(50)) == pytest.approx(0, abs=0.05)
    assert selection_luck(noise[:1], values[:1]) == pytest.approx(0, abs=1e-12)
    noise[:, 0] = np.nan
    assert np.isfinite(selection_luck(noise, values))
    assert selection_luck(np.full((3, 4), np.nan), values[:3]) == 0


def test_the_lags_that_chance_explains_are_those_of_a_loop():
    drawn = np.random.default_rng(0).normal(size=(4, 99)).astype(np.float32)
    errors = drawn - drawn.mean(1, keepdims=True)
    for k, lag in enumerate(largest_lags(drawn)):
        lags = sorted(max(errors[j, b] for j in range(4)) - errors[k, b] for b in range(99))
        # The 95th of 99: as many draws lie below as of 100 sets would.
        assert lag == pytest.approx(lags[94])
    assert np.isinf(largest_lags(drawn[:, :10])).all()
    assert np.isinf(largest_lags(np.ones((3, 99)))).all()


def test_the_truly_best_of_many_is_kept_in_95_of_100():
    """Forty equal candidates, whose errors are half shared, measured once with 99 draws."""
    rng, kept, repeats = np.random.default_rng(0), 0, 600
    for _ in range(repeats):
        errors = rng.normal(size=(40, 100)) + rng.normal(size=100)
        values = errors[:, 0]
        kept += values.max() - values[0] <= largest_lags(errors[:, 1:])[0]
    # Three standard errors are 0.027.
    assert kept / repeats == pytest.approx(0.95, abs=0.027)


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ({}, "give either 'minimize', such as eodd, or 'maximize', such as f1"),
        (
            {"minimize": "eodd", "maximize": "f1"},
            "give either 'minimize', such as eodd, or 'maximize', such as f1",
        ),
        (
            {"minimize": "eod"},
            "'minimize' is 'eod', but there is no metric 'eod'; did you mean 'eodd'?",
        ),
        (
            {"minimize": "f1"},
            "'minimize' is 'f1', but a higher f1 is better; use 'maximize'",
        ),
        (
            {"maximize": "cost"},
            "'maximize' is 'cost', but a lower cost is better; use 'minimize'",
        ),
        (
            {"minimize": "eodd", "cost": 60},
            "'cost' is 60; it is a share of the full network's multiply-adds and must be above 0 "
            "and at most 1",
        ),
    ],
)
def test_errors_of_the_goal(given_, expected):
    with pytest.raises(UserError) as error:
        parse_goal(**given_)
    assert str(error.value) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "f1 > 0.7",
            "'constraints' is 'f1 > 0.7'; write it as 'f1 >= 0.7', 'f1 >= best - 0.01', "
            "'eodd <= 0.1' or 'eodd <= best + 0.02'",
        ),
        (
            "eood <= 0.1",
            "'constraints' is 'eood <= 0.1', but there is no metric 'eood'; did you mean 'eodd'?",
        ),
        (
            "eodd >= 0.1",
            "'constraints' is 'eodd >= 0.1', but a lower eodd is better; write eodd <= NUMBER",
        ),
        (
            "f1 >= best + 0.01",
            "'constraints' is 'f1 >= best + 0.01', which nothing can meet; write "
            "'f1 >= best - NUMBER'",
        ),
    ],
)
def test_errors_of_a_constraint(text, expected):
    with pytest.raises(UserError) as error:
        parse_goal([text], minimize="eodd")
    assert str(error.value) == expected


def test_constraints_are_read_in_every_form():
    goal = parse_goal(
        ["f1>=best-1e-2", " eopp1 <= best + .02 ", "accuracy >= 0.5", "cost <= 0.8"],
        maximize="recall",
        cost=0.6,
    )
    assert str(goal) == (
        "maximize recall with f1 >= best - 0.01 and eopp1 <= best + 0.02 and accuracy >= 0.5 and "
        "cost <= 0.8 and cost <= 0.6"
    )
    assert goal.quantities == ("recall", "f1", "eopp1", "accuracy", "cost")
    assert parse_goal(minimize="eodd").quantities == ("eodd", "f1", "cost")
    assert parse_goal(maximize="f1").quantities == ("f1", "eodd", "cost")
    assert parse_goal(minimize="cost").quantities == ("f1", "eodd", "cost")


def test_no_exit_is_no_index_of_an_exit():
    points = measure_points(compare(tables(0)), GRID, NAMES)
    assert (np.isnan(points.theta) == (points.exit != NO_EXIT)).all()
    first = points.theta[(points.model == 0) & (points.exit == NO_EXIT)]
    assert first.tolist() == sorted(GRID, reverse=True)
