"""Two cohorts: whether the gap is the same, and how much of a difference the mix explains."""

from dataclasses import replace

import numpy as np
import pytest

import fairexit
from drawn_predictions import QUICK, change, draw, source
from fairexit.auditing.audit import audit_sources
from fairexit.auditing.cohorts import compare_cohorts
from fairexit.auditing.settings import AuditSettings
from fairexit.auditing.source import Source
from fairexit.errors import UserError
from fairexit.evaluation.policy import Policy
from fairexit.predictions.arrays import from_arrays
from fairexit.report.cohort_text import cohort_line


def compare(here, there, positives=("mel",), attribute="sex"):
    return compare_cohorts(here, there, attribute, positives=positives, settings=QUICK)


def named(found, name):
    return replace(found, name=name)


def kept(found, mask, name="there"):
    """A source of a selection of its samples."""
    return replace(found, name=name, predictions=found.predictions.take(mask))


def by_loops(found, attribute="sex"):
    """Accuracy of each class and the mix of classes, of each group."""
    p = found.predictions
    right = found.answers == p.labels
    tables = {}
    for g, name in enumerate(p.group_names[attribute]):
        of_group = p.attributes[attribute] == g
        rates = [right[of_group & (p.labels == c)].mean() for c in range(len(p.classes))]
        mix = [(p.labels[of_group] == c).mean() for c in range(len(p.classes))]
        tables[name] = np.array(rates), np.array(mix)
    return tables


def test_the_parts_are_those_of_direct_standardisation():
    here, there = named(source(n=800, gap=0.2), "here"), named(source(n=700, seed=5), "there")
    found = compare(here, there)
    a, b = by_loops(here), by_loops(there)
    shifts = {shift.group: shift for shift in found.shifts}
    assert list(shifts) == ["", "f", "m"]
    for group in ("f", "m"):
        (rates, mix), (other_rates, other_mix) = a[group], b[group]
        shift = shifts[group]
        assert shift.here.value == pytest.approx(rates @ mix)
        assert shift.there.value == pytest.approx(other_rates @ other_mix)
        assert shift.mix.value == pytest.approx(rates @ other_mix - rates @ mix)
        assert shift.performance.value == pytest.approx((other_rates - rates) @ other_mix)
    gap = next(gap for gap in found.gaps if gap.measure == "accuracy")
    assert gap.group == "f"
    assert gap.here.value == pytest.approx(shifts["f"].here.value - shifts["m"].here.value)
    assert gap.difference.value == pytest.approx(gap.there.value - gap.here.value)
    for value in (gap, *found.shifts):
        assert value.mix.value + value.performance.value == pytest.approx(value.difference.value)
        assert value.difference.low < value.difference.value < value.difference.high
    tpr = next(gap for gap in found.gaps if gap.measure == "tpr")
    assert tpr.name == "mel"
    assert tpr.here.value == pytest.approx(a["f"][0][0] - a["m"][0][0])
    assert (tpr.mix.value, tpr.performance) == (0.0, tpr.difference)


def test_a_gap_that_is_smaller_elsewhere_is_more_than_chance():
    found = compare(named(source(n=1500, gap=0.35), "here"), named(source(n=1500, seed=7), "there"))
    assert {gap.verdict for gap in found.gaps} == {"more than chance"}
    accuracy = found.gaps[0]
    assert accuracy.difference.low > 0.1
    assert abs(accuracy.mix.value) < 0.05 < accuracy.performance.value
    line = cohort_line(found)
    assert "these gaps differ by more than chance: accuracy, f minus m (−0." in line
    assert "from performance" in line


def test_a_difference_that_only_the_mix_makes_is_put_down_to_it():
    """Class bcc is always missed; it is rare here and frequent in one group there."""

    def skewed(seed, frequent):
        found = source(n=3000, seed=seed)
        p = found.predictions
        wrong = np.where(p.labels == 2, 0, p.labels)
        answers = np.eye(3, dtype=np.float32)[wrong][:, None]
        rng = np.random.default_rng(seed)
        thinned = (p.labels == 2) & (rng.random(len(p)) < 0.8)
        if frequent:
            thinned &= p.attributes["sex"] == 1
        return kept(change(found, probabilities=answers), ~thinned, name=str(seed))

    found = compare(skewed(1, False), skewed(2, True), positives=())
    gap = found.gaps[0]
    assert gap.verdict == "more than chance"
    assert gap.difference.value < -0.15
    assert gap.performance.value == pytest.approx(0, abs=1e-9)
    assert gap.mix.value == pytest.approx(gap.difference.value)


def test_equal_cohorts_do_not_differ_beyond_chance_more_often_than_promised():
    alarms = 0
    for seed in range(40):
        here = named(source(n=400, gap=0.2, seed=2 * seed), "here")
        there = named(source(n=400, gap=0.2, seed=2 * seed + 1), "there")
        alarms += any(gap.verdict == "more than chance" for gap in compare(here, there).gaps)
    assert alarms <= 6  # 2 expected
    line = cohort_line(compare(here, there))
    assert "could be chance. This does not prove that the gaps are the same" in line


def test_groups_and_classes_that_only_one_cohort_has():
    here = named(source(n=900, groups=("a", "b", "c")), "here")
    there = source(n=900, seed=3, groups=("c", "b", "x"))
    there = kept(there, there.predictions.labels != 2)
    found = compare(here, there)
    assert set(found.n) == {"a", "b", "c", "x"}
    assert found.n["a"][1] == found.n["x"][0] == 0
    assert found.n["c"] == (
        (here.predictions.attributes["sex"] == 2).sum(),
        (there.predictions.attributes["sex"] == 0).sum(),
    )
    assert set(found.left_out) == {"a", "x"}
    assert found.missing == ("bcc",)
    assert {gap.group for gap in found.gaps} == {"b"}
    none = compare(here, named(source(n=400, groups=("y", "z")), "there"))
    assert none.gaps == none.shifts == ()
    assert "fewer than two groups" in cohort_line(none)


def test_what_is_no_other_cohort():
    here = named(source(), "here")
    same = named(here, "there")
    with pytest.raises(UserError, match=r"^there holds the same samples as here; give other"):
        compare(here, same)
    foreign = named(source(seed=1, classes=("x", "y", "z")), "there")
    with pytest.raises(UserError, match=r"^there has none of the classes of here, such as 'mel'"):
        compare(here, foreign)
    other = named(change(source(seed=1), attributes={}, group_names={}), "there")
    with pytest.raises(UserError, match=r"^there: there is no column of an attribute 'sex'"):
        compare(here, other)


def test_every_report_has_the_cohorts():
    report = fairexit.audit(
        draw(n=500, gap=0.2), cohort=draw(n=400, seed=1), groups=["sex"], positive="mel",
        name="here", settings=QUICK,
    )  # fmt: skip
    assert [c.there for c in report.cohorts] == ["the other cohort"]
    assert len(report.to_dict()["cohorts"][0]["gaps"]) == 2
    text = report.to_markdown()
    for words in ("## Two cohorts, by sex", "Gaps by sex here and there", "direct standardisation"):
        assert words in text
    assert "| Accuracy, f minus m |" in text
    crossed = audit_sources(
        [source(n=900)], ["sex", "site"], cohort=source(n=900, seed=1), intersections=True,
        settings=QUICK,
    )  # fmt: skip
    assert [c.attribute for c in crossed.cohorts] == ["sex", "site", "sex x site"]
    with pytest.raises(UserError, match="given as arrays; to compare a cohort, give both as tab"):
        fairexit.audit(label=["a"], prediction=["a"], groups={"s": ["f"]}, cohort=draw(n=20))


def test_a_class_that_one_group_lacks_is_left_out_for_all():
    def cohort(name, cells):
        rows = [(g, y, k < hits) for (g, y), (n, hits) in cells.items() for k in range(n)]
        groups, labels, right = (np.array(column) for column in zip(*rows, strict=True))
        answers = np.where(right, labels, 1 - labels)
        predictions = from_arrays(
            labels, prediction=answers, groups={"site": np.where(groups == 0, "A", "B")}
        )
        return Source(name, predictions, Policy(None, rule="single exit"))

    full = {(g, y): (100, hits) for g in (0, 1) for y, hits in ((0, 90), (1, 50))}
    lacking = full | {(0, 1): (0, 0)}
    found = compare_cohorts(
        cohort("here", full),
        cohort("there", lacking),
        "site",
        positives=(),
        settings=AuditSettings(),
    )
    assert found.missing == ("1",)
    assert found.gaps[0].here.value == pytest.approx(0)


def test_samples_of_both_cohorts_are_said():
    here, there = named(source(n=300), "here"), named(source(n=300, seed=1), "there")
    facts = audit_sources([here], ["sex"], cohort=there, settings=QUICK).facts
    assert any("300 ids are in both here and there" in note for note in facts.notes)
