"""The rule for the verdict on a claim, and the numbers behind it."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from fake_runs import EXITS, draw
from hypothesis import given
from hypothesis import strategies as st

from fairexit import metrics
from fairexit.evaluation.policy import Policy
from fairexit.metrics.counts import count
from fairexit.runs import Run
from fairexit.stats.seeds import seeds_needed
from fairexit.study.claims import (
    FINAL,
    FIRST,
    MARGINS,
    Bounds,
    Comparison,
    Side,
    claims,
    printed_difference,
    verdict_of,
)
from fairexit.study.collect import Pooled
from fairexit.study.outcomes import bounds, needed
from fairexit.study.paper import printed
from fairexit.study.verdicts import chance, judge

FOR, UNDECIDED, AGAINST = Bounds(0.1, 0.3, 0.4), Bounds(-0.1, 0.2, 0.3), Bounds(-0.3, -0.1, -0.05)
WEAKLY_AGAINST = Bounds(-0.3, -0.1, 0.01)


@pytest.mark.parametrize(
    ("comparisons", "verdict"),
    [
        ([FOR, FOR], "holds"),
        ([FOR, UNDECIDED], "not decided"),
        ([FOR, None], "not decided"),
        ([FOR, AGAINST], "contradicted"),
        ([None, AGAINST], "contradicted"),
        ([FOR, WEAKLY_AGAINST], "not decided"),
        ([None, None], "not run"),
        ([], "not run"),
        ([Bounds(0.0, 0.0, 0.0)], "not decided"),
    ],
)
def test_the_verdict(comparisons, verdict):
    assert verdict_of(comparisons) == verdict


ends = st.tuples(st.floats(-1, 1), st.floats(-1, 1)).map(sorted)


@given(st.lists(ends, min_size=1, max_size=5), st.floats(0, 0.5))
def test_the_verdict_against_a_slow_twin(intervals, more):
    comparisons = [Bounds(low, high, high + more) for low, high in intervals]
    verdict = "not decided"
    if sum(low > 0 for low, _ in intervals) == len(intervals):
        verdict = "holds"
    for _, high in intervals:
        if high + more < 0:
            verdict = "contradicted"
    assert verdict_of(comparisons) == verdict


@given(ends, st.sampled_from([-1, 1]), st.floats(0, 0.1))
def test_bounds_turn_to_the_claimed_side(interval, sign, margin):
    low, high = interval
    comparison = Comparison("f1", Side("a"), Side("b"), sign, margin)
    turned = bounds(comparison, (low, high), (low - 1, high + 1), 2)
    assert turned.low <= turned.high <= turned.strict_high
    if sign == 1:
        assert (turned.low, turned.high) == (low + margin, high + margin)
        assert turned.strict_high == high + 1 + margin
    else:
        assert (turned.low, turned.high) == (margin - high, margin - low)
        assert turned.strict_high == pytest.approx(margin - low + 1)


def test_one_seed_decides_nothing_of_a_method():
    comparison = Comparison("f1", Side("a"), Side("b"), 1)
    for interval in ((0.1, 0.2), (-0.2, -0.1)):
        assert verdict_of([bounds(comparison, interval, interval, 1)]) == "not decided"
        assert verdict_of([bounds(comparison, interval, interval, 2)]) != "not decided"


def test_what_would_decide_the_printed_difference():
    lower = Comparison("eopp1", Side("a"), Side("b"), -1)
    seeds, images = needed(lower, -0.02, seed_variance=0.0004, image_variance=0.0001, images=5000)
    # The images leave half of the variance (0.02 / 2.8)^2 that finds 0.02 in 80 of 100 studies.
    half = (0.02 / 2.8016) ** 2 / 2
    assert images == math.ceil(0.0001 * 5000 / half)
    assert seeds == seeds_needed(0.02, half, 0.0004)
    assert needed(lower, 0.01, seed_variance=0.0004, image_variance=0.0001, images=5000) is None
    margin = Comparison("eopp1", Side("a"), Side("b"), -1, 0.03)
    assert needed(margin, 0.01, seed_variance=0.0004, image_variance=0.0001, images=5000) == (
        seeds,
        images,
    )
    assert needed(lower, -0.02, seed_variance=0.0, image_variance=0.0, images=5000) == (2, 0)
    # With one seed the number of images is known for its networks, the number of seeds is not.
    one_seed = math.ceil(0.0001 * 5000 / (2 * half))
    assert needed(lower, -0.02, seed_variance=math.nan, image_variance=0.0001, images=5000) == (
        None,
        one_seed,
    )


def test_the_claims_are_those_of_the_paper():
    isic, fitz = printed("isic2019", "sex"), printed("fitzpatrick17k", "skin_tone")
    by_number = {c.number: c for c in claims(isic, "isic2019", EXITS)}
    assert list(by_number) == [1, 2, 3, 4, 5, 7]
    assert len(by_number[4].comparisons) == 14
    assert "female is the privileged group" in by_number[7].text
    assert {c.metric for c in by_number[3].comparisons} == {"eopp1", "eodd_paper"}
    assert all(c.margin == MARGINS[c.metric] for c in by_number[3].comparisons)
    assert [str(c.b) for c in by_number[5].comparisons[-5:]] == [
        f"ME-FairPrune at exit {e}" for e in EXITS
    ]
    other = {c.number: c for c in claims(fitz, "fitzpatrick17k", EXITS)}
    for claim in other.values():
        for comparison in claim.comparisons:
            assert "MFD" not in f"{comparison.a} {comparison.b}", "Table 2 repeats AdvRev as MFD"
    assert "dark" in other[7].text
    assert 7 not in {c.number for c in claims(None, "isic2019", EXITS)}


def test_printed_differences():
    isic = printed("isic2019", "sex")
    by_text = {
        str(c): printed_difference(isic, c)
        for claim in claims(isic, "isic2019", EXITS)
        for c in claim.comparisons
    }
    assert by_text["eopp1: ME-ERM < ERM"] == pytest.approx(0.031 - 0.044)
    assert by_text["f1: ME-FairPrune > FairPrune"] == pytest.approx(0.736 - 0.727)
    assert by_text["recall_diff: ME-FairPrune < FairPrune"] == pytest.approx(0.005 - 0.014)
    assert by_text["f1_gap: ERM > 0"] == pytest.approx(0.746 - 0.723)
    assert by_text["eodd_paper: ME-ERM not above FairPrune (margin 0.005)"] == pytest.approx(0.002)
    assert by_text["f1: ME-ERM at final exit > ME-ERM at first exit"] is None
    comparison = Comparison("f1", Side("ERM"), Side("HSIC"), 1)
    assert printed_difference(None, comparison) is None


def pooled(row, seed, skill, exits=("f",), theta=None):
    predictions = draw(f"{row} {seed}", "test", images=900, classes=3, exits=exits, skill=skill)
    order = np.argsort(predictions.ids)
    run = Run(Path(row))
    return Pooled(row, seed, (run,), (predictions,), (Policy(theta),), order, "sex")


def test_a_study_of_clear_differences_is_judged_rightly():
    study = [pooled("ResNet18", s, 3.0) for s in range(3)]
    study += [pooled("ME-ResNet18", s, 3.0, EXITS, 0.9) for s in range(3)]
    study += [pooled("FairPrune", s, 0.5) for s in range(3)]
    study += [pooled("ME-FairPrune", s, 3.5, EXITS, 0.9) for s in range(3)]
    verdicts = {v.claim.number: v for v in judge(study, printed("isic2019", "sex"), "isic2019")}
    assert [*verdicts] == [1, 2, 3, 4, 5, 6, 7]
    outcomes = {
        str(c): o
        for v in verdicts.values()
        for c, o in zip(v.claim.comparisons, v.outcomes, strict=True)
    }
    better = outcomes["f1: ME-FairPrune > FairPrune"]
    assert better.verdict == "holds"
    assert better.seeds == 3
    assert verdicts[7].verdict == "holds", "female images were drawn to be easier"
    assert outcomes["eopp1: ME-HSIC < HSIC"] is None
    assert verdicts[6].verdict == "not run"
    # The numbers are the means over seeds of the metrics of the answers themselves.
    labels, groups = study[0].sample.labels, study[0].sample.groups
    for text, metric in (
        ("f1: ME-FairPrune > FairPrune", "f1"),
        ("eodd_paper: ME-FairPrune < ERM", "eodd_paper"),
    ):
        rows = {"a": "ME-FairPrune", "b": "FairPrune" if metric == "f1" else "ResNet18"}
        for side, row in rows.items():
            values = []
            for cell in (p for p in study if p.row == row):
                counts = count(labels, cell.answers("policy"), groups, num_classes=3, num_groups=2)
                values.append(float(metrics.compute(counts, (metric,))[metric]))
            assert getattr(outcomes[text], side) == pytest.approx(np.mean(values))
    for outcome in outcomes.values():
        if outcome is not None:
            assert -1 <= outcome.low <= outcome.high <= 1
            assert outcome.smallest > (outcome.high - outcome.low) / 2


def test_a_claim_against_the_data_is_contradicted():
    study = [pooled("ME-ResNet18", s, 3.0, EXITS) for s in range(3)]
    for cell in study:
        cell.predictions[0].probabilities[:] = cell.predictions[0].probabilities[:, ::-1]
    # Now the first exit is the most able, so F1 falls with depth.
    verdicts = {v.claim.number: v for v in judge(study, None, "isic2019")}
    f1 = verdicts[1].outcomes[0]
    assert str(f1.comparison) == f"f1: ME-ERM at {FINAL} > ME-ERM at {FIRST}"
    assert f1.verdict == verdicts[1].verdict == "contradicted"


def test_chance_is_what_permuted_groups_give():
    chances = chance([pooled("ResNet18", s, 2.0) for s in range(2)])
    assert [(c.row, c.metric) for c in chances] == [("ResNet18", "eodd"), ("ResNet18", "eopp1")]
    for gap in chances:
        assert 0 < gap.null_mean < gap.null_quantile < 0.3


def entangled(folder, row, changes, error):
    """Runs of one row in which the entanglement of two labels was measured."""
    cells = []
    for seed, change in enumerate(changes):
        run = Run(folder / f"{row}-{seed}")
        run.path.mkdir()
        place = {"temperature": 0.3, "position": "mean", "change": change, "change_se": error}
        columns = ("snnl", "snnl_se", "entropy", "raw_temperature")
        ends = [f"{name}_{end}" for name in ("snnl", "change") for end in ("low", "high")]
        values = dict.fromkeys([*columns, *ends], 0.5)
        rows = [
            {"of": of, **place, **values, "images": 9, "without_partner": 0}
            for of in ("sex", "target")
        ]
        tree = {
            "name": row,
            "settings": {"split": "test", "group": "sex"},
            "interval": "9 clusters",
            "rows": rows,
        }
        (run.path / "entanglement.json").write_text(json.dumps(tree))
        cell = pooled(row, seed, 2.0)
        cells.append(Pooled(row, seed, (run,), cell.predictions, cell.policies, cell.order, "sex"))
    return cells


def as_folds(seeds):
    """The runs of several seeds as the folds of one."""
    first = seeds[0]
    runs = tuple(run for cell in seeds for run in cell.runs)
    return Pooled(
        first.row, first.seed, runs, first.predictions, first.policies, first.order, "sex"
    )


def sixth(study):
    return next(v for v in judge(study, None, "isic2019") if v.claim.number == 6)


def test_entanglement_holds_only_where_both_networks_were_measured(tmp_path):
    plain = entangled(tmp_path, "ResNet18", [-0.10, -0.11, -0.12], 0.001)
    verdict = sixth(plain)
    assert verdict.verdict == "not decided"
    assert [o and o.verdict for o in verdict.outcomes] == ["holds", "holds", None, None]
    both = plain + entangled(tmp_path, "ME-ResNet18", [-0.10, -0.11, -0.12], 0.001)
    assert sixth(both).verdict == "holds"
    assert sixth([pooled("ResNet18", 0, 2.0)]).verdict == "not run"


def test_entanglement_of_another_split_or_attribute_does_not_count(tmp_path):
    plain = entangled(tmp_path, "ResNet18", [-0.10, -0.11, -0.12], 0.001)
    for cell, changed in zip(plain, ({"split": "val"}, {"group": "age"}), strict=False):
        file = cell.runs[0].path / "entanglement.json"
        tree = json.loads(file.read_text())
        file.write_text(json.dumps(tree | {"settings": tree["settings"] | changed}))
    assert sixth(plain).outcomes[0].seeds == 1


def test_entanglement_is_judged_by_students_t_over_seeds(tmp_path):
    # 4.30 standard errors of three seeds reach across zero, 1.96 do not.
    study = entangled(tmp_path, "ResNet18", [-0.02, -0.05, -0.08], 0.0001)
    outcome = sixth(study).outcomes[0]
    assert outcome.difference == pytest.approx(-0.05)
    half = 4.303 * 0.03 / math.sqrt(3)
    assert (outcome.low, outcome.high) == pytest.approx((-0.05 - half, -0.05 + half), abs=0.004)
    assert outcome.verdict == "not decided"
    # The strict end is that of all four comparisons: t at 1 - 0.05 / 4, two degrees of freedom.
    assert outcome.bounds.strict_high == pytest.approx(0.05 + 8.860 * 0.03 / math.sqrt(3), rel=0.01)
    # With one seed the interval covers the images alone, and decides nothing of the method.
    one_seed = sixth(entangled(tmp_path, "ME-ResNet18", [0.06], 0.01)).outcomes[-1]
    assert (one_seed.low, one_seed.high) == pytest.approx((0.06 - 0.0196, 0.06 + 0.0196), abs=1e-3)
    assert one_seed.verdict == "not decided"
    assert one_seed.smallest == pytest.approx(2.8016 * 0.01, rel=1e-3)


def test_folds_of_one_seed_are_one_measurement_of_entanglement(tmp_path):
    folds = as_folds(entangled(tmp_path, "ResNet18", [-0.02, -0.05, -0.08], 0.003))
    outcome = sixth([folds]).outcomes[0]
    assert (outcome.seeds, outcome.difference) == (1, pytest.approx(-0.05))
    half = 1.96 * 0.003 / math.sqrt(3)
    assert (outcome.low, outcome.high) == pytest.approx((-0.05 - half, -0.05 + half), abs=1e-5)
