"""Which class is positive, and which answer an audit leads with."""

import numpy as np
import pytest

from drawn_predictions import QUICK, source
from fairexit.auditing.attribute import audit_attribute
from fairexit.auditing.audit import audit_sources
from fairexit.auditing.positive import positive_classes
from fairexit.report.findings import shown_gaps


@pytest.mark.parametrize(
    ("named", "classes", "counts", "expected"),
    [
        ((), ("benign", "malignant"), (5, 90), (("malignant",), True)),
        ((), ("0", "1"), (5, 90), (("1",), True)),
        ((), ("left", "right"), (5, 90), (("left",), True)),
        ((), ("left", "right"), (90, 5), (("right",), True)),
        ((), ("True", "1"), (90, 5), (("1",), True)),
        (("benign",), ("benign", "malignant"), (5, 90), (("benign",), False)),
        ((), ("a", "b", "melanoma"), (5, 9, 2), ((), False)),
        (("a", "a", "b"), ("a", "b", "c"), (5, 9, 2), (("a", "b"), False)),
    ],
)
def test_the_positive_class(named, classes, counts, expected):
    labels = np.repeat(np.arange(len(classes)), counts)
    assert positive_classes(named, classes, labels) == expected


def test_of_two_classes_only_the_positive_one_is_shown():
    found = source(n=600, gap=0.2, classes=("benign", "malignant"))
    a = audit_sources([found], ["sex"], settings=QUICK).attributes[0]
    assert [(c.name, c.rate) for c in a.classes] == [("malignant", "tpr"), ("malignant", "fpr")]
    assert [h.name for h in a.headlines] == ["malignant"]
    assert [c.positive for c in a.clinical] == ["malignant"]
    gaps = {gap.metric: gap.estimate.value for gap in a.gaps}
    assert gaps["eopp0"] == pytest.approx(gaps["eodd"]) == gaps["eopp1"]
    shown = {gap.metric for gap in shown_gaps(a)}
    assert "eodd" in shown
    assert not {"eopp0", "eopp1"} & shown
    three = audit_sources([source(n=600)], ["sex"], settings=QUICK).attributes[0]
    assert shown_gaps(three) == three.gaps


def test_named_classes_are_a_family_of_tests_of_their_own():
    found = source(n=600, gap=0.1)

    def tests(*positives):
        audit = audit_attribute(found, "sex", seeds=[found], positives=positives, settings=QUICK)
        return {(c.name, c.rate): c for c in audit.classes}

    none, one, two = tests(), tests("mel"), tests("mel", "bcc")
    assert {c.tests for c in none.values()} == {6}
    assert one["mel", "tpr"].tests == 1
    assert one["mel", "tpr"].p_adjusted == pytest.approx(one["mel", "tpr"].p_value)
    assert one["mel", "fpr"].tests == one["nev", "tpr"].tests == 5
    assert two["bcc", "tpr"].tests == 2
    assert two["mel", "tpr"].p_adjusted >= one["mel", "tpr"].p_adjusted


def test_without_a_positive_class_the_largest_gap_beyond_chance_leads():
    found = source(n=1500, gap=0.3)
    a = audit_attribute(found, "sex", seeds=[found], settings=QUICK)
    beyond = [c for c in a.classes if c.verdict == "more than chance"]
    largest = max(beyond, key=lambda c: c.estimate.value)
    assert (a.headlines[0].name, a.headlines[0].rate) == (largest.name, largest.rate)
    worst = largest.lowest if largest.rate == "tpr" else largest.highest
    assert a.headlines[0].worst == worst


def test_a_gap_has_one_verdict():
    """The interval of a gap holds 0 exactly if the gap could be chance."""
    for seed, gap in ((0, 0.0), (1, 0.05), (2, 0.1), (3, 0.2), (4, 0.07)):
        found = source(n=500, seed=seed, gap=gap)
        audit = audit_sources([found], ["sex"], positives=["mel"], settings=QUICK)
        a = audit.attributes[0]
        for gap_ in (*a.gaps, *(c for c in a.classes if c.verdict != "too few samples")):
            if not np.isnan(gap_.estimate.low):
                beyond = gap_.verdict == "more than chance"
                assert (gap_.estimate.low > 0) == beyond
                assert gap_.estimate.high <= 1
        for part in audit.slices.worst:
            assert (part.excess.low > 0) == (part.p_adjusted <= 0.05)
        for gap_ in a.gaps:
            assert not gap_.min_detectable_gap <= gap_.null_mean
