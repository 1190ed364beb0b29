"""Line one of a report, in words."""

from dataclasses import replace

import pytest
from made_audit import made_audit, portion

from fairexit.auditing.gap_results import COULD_BE_CHANCE, MORE_THAN_CHANCE, Headline
from fairexit.report.answer import headline_lines, headline_text
from fairexit.report.vocabulary import mark, units


def exact(hits, n, clusters=None):
    return type(portion(0.5, 2))(hits / n, 0, 1, "", hits, n, n if clusters is None else clusters)


def headline(**changed):
    values = {
        "name": "Melanoma",
        "rate": "tpr",
        "chosen": "named",
        "worst": "dark",
        "best": "light",
        "rates": {"dark": exact(7, 15), "light": exact(61, 71)},
        "compared": 2,
        "left_out": (),
        "p_adjusted": 0.002,
        "tests": 1,
        "verdict": "more than chance",
    }
    return Headline(**{**values, **changed})


FOUND = "Melanoma by skin: 47 % found in dark (7 of 15), 86 % in light (61 of 71)"


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({}, f"{FOUND}; more than chance (p = 0.002)."),
        (
            {"verdict": "could be chance", "p_adjusted": 0.31},
            f"{FOUND}; this could be chance (p = 0.310), which does not prove that there is no "
            "difference.",
        ),
        ({"tests": 6}, f"{FOUND}; more than chance (p = 0.002, corrected for 6 tests)."),
        (
            {
                "verdict": "too few samples",
                "rates": {"dark": exact(7, 15, 6), "light": exact(61, 71)},
            },
            f"{FOUND}; too few patients to say whether this is more than chance (fewer than 10 in "
            "dark).",
        ),
        (
            {
                "compared": 3,
                "rates": {
                    "dark": exact(7, 15), "mid": exact(30, 40), "light": exact(61, 71),
                    "very dark": exact(0, 4),
                },
                "left_out": ("very dark",),
            },
            f"{FOUND}, the extremes of 3 groups; more than chance (p = 0.002). Too small to be "
            "compared: very dark (0 of 4).",
        ),
        (
            {"rate": "fpr", "worst": "light", "best": "dark"},
            "Melanoma by skin: 86 % of the other samples wrongly answered so in light (61 of 71), "
            "47 % in dark (7 of 15); more than chance (p = 0.002).",
        ),
        (
            {"best": "dark", "verdict": "too few samples"},
            "Melanoma by skin: 47 % found in dark (7 of 15); no other group has a sample, so "
            "nothing can be concluded.",
        ),
        (
            {"worst": "", "best": "", "verdict": "too few samples"},
            "Melanoma by skin: no group has a sample, so nothing can be concluded.",
        ),
    ],
)  # fmt: skip
def test_line_one(changed, text):
    assert headline_text(headline(**changed), "skin", "patients") == text


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("patient", "patients"),
        ("patient_id", "patients"),
        ("PatientID", "patients"),
        ("lesion_id", "lesions"),
        ("person", "people"),
        ("the cluster", "clusters"),
        ("impatience", "clusters"),
        ("", "samples"),
    ],
)
def test_clusters_are_called_what_their_column_is_called(column, words):
    from made_audit import made_audit

    facts = made_audit().facts
    assert units(type(facts)(**{**vars(facts), "cluster_name": column})) == words


def test_small_groups_are_marked():
    assert [mark(n) for n in (0, 9, 10)] == [" *", " *", ""]


def test_what_all_classes_show_together_is_said_in_both_forms():
    audit = made_audit()
    a = audit.attributes[0]
    gaps = tuple(gap for gap in a.gaps if gap.metric != "eodd")
    together = replace(a, headlines=(), gaps=gaps)
    text = " ".join(headline_lines(replace(audit, attributes=(together,))))
    assert "(Eopp1 0.093, p = 0.004; by images 0.032, p = 0.130)" in text
    # Also if only the form that is weighted by images is more than chance.
    turned = tuple(
        replace(
            gap, verdict=MORE_THAN_CHANCE if gap.metric == "eopp1_weighted" else COULD_BE_CHANCE
        )
        for gap in gaps
    )
    together = replace(together, gaps=turned)
    text = " ".join(headline_lines(replace(audit, attributes=(together,))))
    assert "(Eopp1 0.093, p = 0.004; by images 0.032, p = 0.130)" in text
