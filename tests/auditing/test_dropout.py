"""Samples of unknown group: counted by class, and compared with the others."""

import numpy as np
import pytest

from drawn_predictions import QUICK, change, source
from fairexit.auditing.audit import audit_sources
from fairexit.auditing.dropout import compare_unknown
from fairexit.report.audit_report import AuditReport


def hidden(found, mask):
    """A source in which the sex of some samples is unknown."""
    sex = np.where(mask, -1, found.predictions.attributes["sex"])
    return change(found, attributes={**found.predictions.attributes, "sex": sex})


def lesions(found, share, seed=0):
    """A mask of whole lesions, drawn at random."""
    rng = np.random.default_rng(seed)
    names, index = np.unique(found.predictions.clusters, return_inverse=True)
    return (rng.random(len(names)) < share)[index]


def dropout(found):
    known = found.predictions.attributes["sex"] >= 0
    return compare_unknown(found, known, QUICK)


def test_without_unknown_values_there_is_nothing_to_compare():
    assert dropout(source(n=200)) is None


def test_unknown_samples_are_counted_by_class():
    found = source(n=600)
    mask = lesions(found, 0.3) & (found.predictions.labels != 0)
    result = dropout(hidden(found, mask))
    p = found.predictions
    assert result.n == mask.sum()
    for c, name in enumerate(p.classes):
        of_class = p.labels == c
        assert result.by_class[name] == ((mask & of_class).sum(), of_class.sum())
    right = found.answers == p.labels
    assert result.accuracy.value == pytest.approx(right[mask].mean())
    assert result.accuracy_known.value == pytest.approx(right[~mask].mean())
    assert result.p_mix < 0.01
    assert result.informative


def test_values_that_are_missing_where_the_model_errs_are_noticed():
    found = source(n=800)
    wrong = found.answers != found.predictions.labels
    mask = lesions(found, 0.1) | (wrong & lesions(found, 0.5, seed=1))
    result = dropout(hidden(found, mask))
    assert result.p_accuracy < 0.01
    assert result.informative


def test_values_that_are_missing_at_random_give_few_alarms():
    alarms = []
    for seed in range(60):
        found = source(n=240, seed=seed)
        result = dropout(hidden(found, lesions(found, 0.25, seed)))
        alarms.append((result.p_mix <= 0.05, result.p_accuracy <= 0.05))
    assert max(np.sum(alarms, axis=0)) <= 9  # 3 expected of each


def test_the_report_says_it_in_words():
    found = source(n=600)
    mask = lesions(found, 0.5) & (found.predictions.labels == 1)
    report = AuditReport.of(audit_sources([hidden(found, mask)], ["sex"], settings=QUICK))
    k, n = mask.sum(), (found.predictions.labels == 1).sum()
    line = next(line for line in report.summary if "is unknown" in line)
    assert line.startswith(
        f"For {k} of 600 samples sex is unknown, so they are in no group: nev {k} of {n}, "
    )
    assert "differ from the others by more than chance in class mix (p < 0.0" in line.replace(
        "p = 0.00", "p < 0.00"
    )
    assert f"Find out why sex is unknown for {k} samples, and complete it." in report.next_steps
    calm = hidden(found, lesions(found, 0.2, seed=4))
    report = AuditReport.of(audit_sources([calm], ["sex"], settings=QUICK))
    assert not report.attributes[0].dropout.informative
    assert "differ from the others' could be chance, which does not prove" in report.to_markdown()
    assert not [line for line in report.summary if "is unknown" in line]
