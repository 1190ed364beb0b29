"""The verdict on each claim, from answers to words."""

import math

import numpy as np
import pytest
from fake_runs import EXITS
from networks import by_text, drawn_from, judged, pooled

from fairexit import metrics
from fairexit.metrics.counts import count
from fairexit.stats.multiple import holm
from fairexit.study.chance import chance
from fairexit.study.claims import FORMS
from fairexit.study.comparisons import FINAL, FIRST, Side
from fairexit.study.left_out import rows_left_out
from fairexit.study.paper import printed
from fairexit.study.words import word_of

ISIC = printed("isic2019", "sex")


@pytest.fixture(scope="module")
def study():
    cells = [pooled("ResNet18", s, 3.0) for s in range(3)]
    cells += [pooled("ME-ResNet18", s, 3.0, EXITS, 0.9) for s in range(3)]
    cells += [pooled("FairPrune", s, 3.0) for s in range(3)]
    cells += [pooled("ME-FairPrune", s, 3.5, EXITS, 0.9) for s in range(3)]
    return cells


@pytest.fixture(scope="module")
def drawn(study):
    return drawn_from(study, ISIC)


@pytest.fixture(scope="module")
def results(study, drawn):
    return judged(study, ISIC, total=4500, drawn=drawn)


def value(study, row, metric, seed=None, exit_rule="policy"):
    """A metric of a row by a slow count, mean over seeds or of one."""
    values = []
    for cell in (p for p in study if p.row == row and seed in (None, p.seed)):
        labels, groups = cell.sample.labels, cell.sample.groups
        counts = count(labels, cell.answers(exit_rule), groups, num_classes=3, num_groups=2)
        values.append(float(metrics.compute(counts, (metric,))[metric]))
    return np.mean(values)


def test_the_numbers_are_those_of_the_answers(study, results):
    assert [*results] == [1, 2, 3, 4, 5, 6, 7]
    outcomes = by_text(results)
    for text, metric, a, b in (
        ("f1: ME-FairPrune > FairPrune", "f1", "ME-FairPrune", "FairPrune"),
        ("eodd_paper: ME-FairPrune < ResNet18", "eodd_paper", "ME-FairPrune", "ResNet18"),
        ("eodd_weighted: ME-ResNet18 < ResNet18", "eodd_weighted", "ME-ResNet18", "ResNet18"),
    ):
        outcome = outcomes[text]
        assert (outcome.a, outcome.b) == pytest.approx(
            (value(study, a, metric), value(study, b, metric))
        )
        assert outcome.difference == pytest.approx(outcome.a - outcome.b)
        assert outcome.seeds == 3
    f1 = outcomes["f1: ME-ResNet18 at final exit > ME-ResNet18 at first exit"]
    assert f1.b == pytest.approx(value(study, "ME-ResNet18", "f1", exit_rule="1"))
    assert outcomes["f1: ME-FairPrune > FairPrune"].direction == "for"
    assert outcomes["eopp1: ME-HSIC < HSIC"] is None
    assert results[6].verdict == "not run"
    assert results[7].verdict == "holds", "female images were drawn to be easier"
    assert results[7].forms == ["f1_gap"]


def test_a_mean_over_methods_is_the_mean_of_its_single_comparisons(results):
    singles = by_text(results)
    for form, outcome in zip(FORMS, results[2].primary, strict=True):
        parts = [singles[f"{form}: ME-{name} < {name}"] for name in ("ResNet18", "FairPrune")]
        assert outcome.difference == pytest.approx(np.mean([o.difference for o in parts]))
        assert str(outcome.comparison) == (
            f"{form}: mean of ME-ResNet18, ME-FairPrune < mean of ResNet18, FairPrune"
        )
        best = results[4].primary[FORMS.index(form)]
        parts = [singles[f"{form}: ME-FairPrune < {name}"] for name in ("ResNet18", "FairPrune")]
        assert best.difference == pytest.approx(np.mean([o.difference for o in parts]))


def test_words_levels_and_p_values_follow_the_rule(results):
    for number, result in results.items():
        if number == 6:
            continue
        level = 0.975 if number != 7 else 0.95
        assert [o.level for o in result.primary] == [level] * len(result.claim.primary)
        assert result.condition is None or result.condition.level == 0.95
        directions = [o.direction for o in result.primary]
        condition = result.condition and result.condition.direction
        assert result.verdict == word_of(directions, condition)


def test_secondary_p_values_are_those_of_holm_in_each_claim(drawn, results):
    listed, drawn = drawn
    for claim in listed:
        alone = []
        for comparison in claim.comparisons:
            if not drawn.usable(comparison.sides):
                alone.append(math.nan)
                continue
            contrast = drawn.contrast(comparison.metric, comparison.weights)
            alone.append(contrast.p_value(-comparison.sign * comparison.margin))
        shown = [math.nan if o is None else o.p_value for o in results[claim.number].outcomes]
        assert shown == pytest.approx(holm(np.array(alone)).tolist(), nan_ok=True)
        tested = sum(not math.isnan(p) for p in alone)
        assert np.nanmin(shown) == pytest.approx(min(1, tested * np.nanmin(alone)))


def test_a_p_value_below_5_percent_goes_with_an_interval_on_one_side(results):
    compared = 0
    for result in results.values():
        for outcome in (*result.primary, result.condition):
            # At the same level, and with the margin as the tested value.
            if outcome is None or abs(outcome.p_value - (1 - outcome.level)) < 1e-3:
                continue
            compared += 1
            decided = outcome.direction != "open"
            assert (outcome.p_value < 1 - outcome.level) == decided, str(outcome.comparison)
    assert compared >= 10


def test_a_margin_moves_the_tested_value(drawn):
    _, drawn = drawn
    weights = {Side("ME-ResNet18"): 1.0, Side("ME-FairPrune"): -1.0}
    contrast = drawn.contrast("f1", weights)
    low = float(contrast.interval(0.95).low)
    # An interval that ends at the margin has the p-value 5 %, on this side of it less.
    assert contrast.p_value(low) == pytest.approx(0.05, abs=2e-3)
    assert contrast.p_value(low - 0.01) < 0.05 < contrast.p_value(low + 0.001)


def test_power_and_what_would_decide_stand_beside_the_printed_difference(results):
    outcome = results[2].primary[0]
    assert outcome.paper == pytest.approx(((0.031 - 0.044) + (0.020 - 0.026)) / 2, abs=0.002)
    assert 0 <= outcome.power < 0.8
    assert not outcome.enough
    assert outcome.smallest > abs(outcome.paper)
    assert outcome.decides is not None
    assert results[2].primary[1].paper is None, "the weighted gap is not printed"
    for result in results.values():
        for o in result.outcomes:
            if o is not None:
                assert -1 <= o.low <= o.high <= 1
                assert o.smallest > 0


def test_a_claim_against_the_data_is_contradicted():
    study = [pooled("ME-ResNet18", s, 3.0, EXITS) for s in range(3)]
    for cell in study:
        cell.predictions[0].probabilities[:] = cell.predictions[0].probabilities[:, ::-1]
    # Now the first exit is the most able, so F1 falls with depth.
    result = judged(study)[1]
    assert (
        str(result.condition.comparison) == f"f1: ME-ResNet18 at {FINAL} > ME-ResNet18 at {FIRST}"
    )
    assert result.condition.direction == "against"
    assert result.verdict == "contradicted"
    assert "f1" in result.forms


def test_one_seed_decides_nothing_of_a_method():
    result = judged([pooled("ME-ResNet18", 0, 3.0, EXITS)])[1]
    assert result.condition.low > 0, "the interval of these networks"
    assert result.condition.direction == "open"
    assert result.verdict == "not decided"
    assert all(math.isnan(o.p_value) for o in result.outcomes)


def test_sides_are_compared_over_the_seeds_that_all_have():
    study = [pooled("ResNet18", s, 3.0) for s in (0, 1, 2)]
    study += [pooled("ME-ResNet18", s, 3.0, EXITS, 0.9) for s in (1, 2, 3)]
    outcome = by_text(judged(study))["f1: ME-ResNet18 not below ResNet18 (margin 0.02)"]
    assert outcome.seeds == 2
    assert outcome.a == pytest.approx(
        np.mean([value(study, "ME-ResNet18", "f1", s) for s in (1, 2)])
    )
    apart = [pooled("ResNet18", 0, 3.0), pooled("ME-ResNet18", 1, 3.0, EXITS, 0.9)]
    assert judged(apart)[2].verdict == "not run"


def collapsed(cell, image_share=1.0):
    """The cell, with one class as the answer to a share of the images."""
    probabilities = cell.predictions[0].probabilities
    probabilities[: round(image_share * len(probabilities))] = (1, 0, 0)
    return cell


def test_two_collapsed_models_decide_nothing():
    study = [collapsed(pooled("ResNet18", s, 3.0)) for s in range(3)]
    study += [collapsed(pooled("ME-ResNet18", s, 3.0, EXITS, 0.9)) for s in range(3)]
    results = judged(study, ISIC)
    assert {r.verdict for r in results.values()} == {"not run"}
    assert all(o is None for r in results.values() for o in (*r.outcomes, *r.primary))
    reasons, _ = rows_left_out(study)
    assert reasons == dict.fromkeys(
        ("ResNet18", "ME-ResNet18"), "it answers one class for 100.0 % of the images in seed 0"
    )


@pytest.mark.parametrize(("share", "out"), [(0.98, False), (0.995, True)])
def test_a_row_that_collapses_in_one_seed_takes_no_part(share, out):
    study = [pooled("ResNet18", s, 3.0) for s in range(2)]
    last = pooled("ResNet18", 2, 0.0)
    probabilities = last.predictions[0].probabilities
    probabilities[:] = (0, 1, 0)
    probabilities[: round(share * len(probabilities))] = (1, 0, 0)
    reasons, _ = rows_left_out([*study, last])
    assert ("seed 2" in reasons.get("ResNet18", "")) == out


def test_a_row_that_loses_f1_takes_no_part_and_no_seeds_variance(study):
    worse = [pooled("HSIC", s, 2.0) for s in range(3)]
    better = [pooled("MFD", s, 3.0) for s in range(3)]
    more = [*study, *worse, *better]
    listed, drawn = drawn_from(more, ISIC)
    assert [*drawn.left_out] == ["HSIC"]
    loss = value(more, "ResNet18", "f1") - value(more, "HSIC", "f1")
    assert drawn.left_out["HSIC"] == f"its F1 is {loss:.3f} below that of ResNet18"
    results = judged(more, ISIC, drawn=(listed[3:4], drawn))
    outcomes = by_text(results)
    assert outcomes["eopp1: ME-FairPrune < HSIC"] is None
    assert outcomes["eopp1: ME-FairPrune < MFD"] is not None
    best = results[4].primary[0]
    assert str(best.comparison) == "eopp1: ME-FairPrune < mean of ResNet18, MFD, FairPrune"
    # Its seeds are not among those over which variances are pooled.
    pooled_models = {model for row in drawn._rows() for model in row}
    assert not {m for (side, _), m in drawn.models.items() if side.row == "HSIC"} & pooled_models
    assert len(drawn._rows()) == 5


def test_f1_is_not_compared_without_erm_of_the_same_exits():
    study = [pooled("HSIC", s, 3.0) for s in range(2)]
    assert rows_left_out(study) == ({}, ["HSIC"])
    study.append(pooled("ResNet18", 7, 3.0))
    assert rows_left_out(study) == ({}, ["HSIC"]), "they have no seed in common"


def test_more_seeds_of_identical_networks_do_not_widen():
    def width(seeds):
        study = [pooled("ResNet18", s, 3.0, drawn_as="ResNet18") for s in range(seeds)]
        study += [
            pooled("ME-ResNet18", s, 3.0, EXITS, 0.9, drawn_as="ME-ResNet18") for s in range(seeds)
        ]
        outcome = by_text(judged(study))["f1: ME-ResNet18 not below ResNet18 (margin 0.02)"]
        return outcome.high - outcome.low

    assert width(6) == pytest.approx(width(3)) == pytest.approx(width(1))


def test_chance_is_what_permuted_groups_give():
    chances = chance([pooled("ResNet18", s, 2.0) for s in range(2)])
    assert [(c.row, c.metric) for c in chances] == [
        ("ResNet18", metric) for metric in ("eodd", "eodd_weighted", "eopp1", "eopp1_weighted")
    ]
    for gap in chances:
        assert 0 < gap.null_mean < gap.null_quantile < 0.3
