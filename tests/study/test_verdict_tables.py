"""Tables of verdicts and comparisons: what a reader sees."""

import math

import numpy as np
import pandas as pd
import pytest

from fairexit.stats.contrasts import Needed
from fairexit.study.claims import FORMS, claims
from fairexit.study.comparisons import Claim, Comparison, Side
from fairexit.study.deciding import Design, decides
from fairexit.study.outcomes import ClaimOutcome, Outcome
from fairexit.study.paper import printed, row_names
from fairexit.study.verdict_tables import claim_table, depth_table, outcome_table, verdict_frame

PAIR = ((Side("ME-FairPrune"), Side("FairPrune")),)
WAY = decides(Needed(4.15, 8.2), Design(1000, 5000, 1), seeds=3, rows=2)


def outcome(metric="eopp1", low=-0.02, high=0.01, **changed):
    values = {
        "comparison": Comparison(metric, PAIR, -1),
        "seeds": 3,
        "a": 0.1,
        "b": 0.105,
        "difference": -0.005,
        "low": low,
        "high": high,
        "level": 0.975,
        "p_value": 0.4,
        "smallest": 0.04,
        "paper": -0.03,
        "power": 0.6,
        "decides": WAY,
    }
    return Outcome(**values | changed)


def result(primary, condition=None, verdict="not decided", secondary=()):
    claim = Claim(
        2,
        "exits lower gaps",
        tuple(o.comparison for o in secondary if o),
        tuple(Comparison(metric, PAIR, -1) for metric in FORMS[: len(primary)]),
        condition and condition.comparison,
    )
    return ClaimOutcome(claim, verdict, tuple(secondary), tuple(primary), condition)


def test_the_first_line_of_a_verdict_is_word_interval_and_power():
    condition = outcome("f1", -0.003, 0.011, difference=0.004, paper=None, power=None, decides=None)
    primary = [
        outcome(),
        outcome("eopp1_weighted", smallest=0.011, paper=None, power=None, decides=None),
    ]
    (row,) = claim_table([result(primary, condition)]).rows
    assert row == [
        "2",
        "exits lower gaps",
        "not decided",
        "Eopp1 ↓ -0.005 (-0.020, +0.010); Eopp1 by images ↓ -0.005 (-0.020, +0.010)",
        "F1 ↑ +0.004 (-0.003, +0.011)",
        "0.040; 0.011",
        "Eopp1 -0.030, shown in 60 of 100 studies, left out by the interval, which holds 0",
        "9 seeds or 5 folds at 3 seeds or 4,200 test images; cheapest: 9 seeds (12 runs more)",
    ]


def test_a_word_names_the_forms_for_which_it_is_true():
    primary = [outcome(), outcome("eopp1_weighted", -0.02, -0.01)]
    (row,) = claim_table([result(primary, verdict="holds")]).rows
    assert row[2] == "holds (Eopp1 by images)"
    condition = outcome("f1", 0.2, 0.3)
    (row,) = claim_table([result([outcome(), outcome()], condition, "contradicted")]).rows
    assert row[2] == "contradicted (F1)"


@pytest.mark.parametrize(
    ("changed", "papers", "would_decide"),
    [
        ({"paper": None, "power": None, "decides": None}, "", ""),
        (
            {"power": 0.9},
            "Eopp1 -0.030, shown in 90 of 100 studies, left out by the interval, which holds 0",
            "this design; ours lies elsewhere",
        ),
        (
            {"paper": 0.005, "power": None, "decides": None},
            "Eopp1 +0.005, not on the claimed side",
            "nothing: the paper's is not on the claimed side",
        ),
        (
            {"low": -0.02, "high": -0.01},
            "Eopp1 -0.030, shown in 60 of 100 studies, left out by the interval",
            "",
        ),
        ({"paper": -0.015}, "Eopp1 -0.015, shown in 60 of 100 studies", str(WAY)),
        (
            {"paper": -0.015, "seeds": 1, "power": 0.9},
            "Eopp1 -0.015, shown in 90 of 100 studies",
            f"{WAY}, for these networks alone",
        ),
    ],
)
def test_the_printed_difference(changed, papers, would_decide):
    (row,) = claim_table([result([outcome(**changed)])]).rows
    assert tuple(row[-2:]) == (papers, would_decide)


def test_every_comparison_has_a_role_and_its_numbers():
    condition = outcome("f1", 0.001, 0.02, level=0.95)
    secondary = (outcome("eodd", p_value=0.0004), None)
    claim = result([outcome()], condition, secondary=(outcome("eodd", p_value=0.0004),))
    claim = ClaimOutcome(
        Claim(2, "x", (*claim.claim.comparisons, Comparison("f1", PAIR, 1)), claim.claim.primary,
              condition.comparison),
        "not decided", secondary, claim.primary, condition,
    )  # fmt: skip
    frame = verdict_frame([claim], {"FairPrune": "nothing pruned", "HSIC": "penalty inactive"})
    assert list(frame["role"]) == ["primary", "condition", "secondary", "secondary"]
    assert list(frame["lies"]) == ["open", "against", "open", "not run"]
    assert list(frame["mark"]) == ["nothing pruned"] * 4
    first = frame.iloc[0]
    assert (first["low"], first["high"], first["level"]) == (-0.02, 0.01, 0.975)
    assert (first["seeds_needed"], first["folds_needed"]) == (9, 5)
    assert first["images_needed"] == pytest.approx(4150)
    assert bool(first["leaves_out_paper"])
    assert pd.isna(frame.iloc[3]["low"])
    rows = outcome_table(frame[frame["role"] == "secondary"], "x").rows
    assert rows[0][1] == "Eodd ↓: ME-FairPrune < FairPrune (nothing pruned)"
    assert "< 0.001" in rows[0]
    assert rows[1][2] == "not run"
    assert len({len(row) for row in rows}) == 1
    table = outcome_table(frame[frame["role"] == "primary"], "x")
    (primary,) = table.rows
    assert "-0.020, +0.010 (97.5 %)" in primary
    assert len(primary) == len(rows[1]) == len(table.columns)


def test_a_change_of_entanglement_stands_beside_what_independence_gives():
    pairs = ((Side("ME-ResNet18"), None),)
    metric = "SNNL of sex, change per position in nats, T 0.3"
    numbers = {"difference": -0.0084, "smallest": 0.0011, "paper": -0.0076, "independent": 0.0021}
    comparison = Comparison(metric, pairs, -1)
    fall = outcome(metric, -0.0123, -0.0045, comparison=comparison, b=np.nan, **numbers)
    claim = Claim(6, "x", (fall.comparison, Comparison(metric, ((Side("ResNet18"), None),), -1)))
    frame = verdict_frame([ClaimOutcome(claim, "not decided", (fall, None))], {})
    assert frame["independent"].tolist()[:1] == [0.0021]
    table = depth_table(frame, "Entanglement")
    shown = dict(zip(table.columns, table.rows[0], strict=True))
    assert shown["Comparison"] == f"{metric}: ME-ResNet18 < 0"
    assert (shown["Change"], shown["Change if independent"]) == ("-0.0084", "+0.0021")
    assert shown["Interval"] == "-0.0123, -0.0045 (97.5 %)"
    assert (shown["Smallest shown"], shown["paper"]) == ("0.0011", "-0.0076")
    assert table.rows[1][2] == "not run"
    assert set(table.rows[1][3:]) == {""}


def test_labels_of_all_metrics_of_claims_have_arrows():
    isic = printed("isic2019", "sex")
    listed = claims(isic, "isic2019", ("1", "f"), row_names(()))
    nothing = [
        ClaimOutcome(c, "not run", (None,) * len(c.comparisons), (None,) * len(c.primary))
        for c in listed
    ]
    frame = verdict_frame(nothing, {})
    labels = {row[1].split(":")[0] for row in outcome_table(frame, "x").rows}
    assert {"F1 ↑", "Eopp1 ↓", "Difference in recall ↓", "F1 gap"} <= labels
    assert {label[-1] for label in labels - {"F1 gap"}} == {"↑", "↓"}


def test_a_mark_that_is_true_of_some_runs_is_left_to_the_note():
    marks = {"FairPrune": "nothing pruned in 1 of 3 runs"}
    assert list(verdict_frame([result([outcome()])], marks)["mark"]) == [""]


def test_an_undefined_number_is_blank():
    undefined = outcome(p_value=math.nan, smallest=math.nan, b=np.nan, paper=None, decides=None)
    frame = verdict_frame([result([undefined])], {})
    (row,) = outcome_table(frame, "x").rows
    assert row[5] == row[8] == row[9] == row[10] == ""
