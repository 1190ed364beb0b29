"""The claims of the paper as comparisons."""

import pytest
from fake_runs import EXITS

from fairexit.study.claims import FORMS, MARGINS, claims, printed_difference
from fairexit.study.comparisons import Comparison, Side
from fairexit.study.paper import printed, row_names

FAIRNESS = {"eopp1", "eopp1_weighted", "eodd", "eodd_weighted", "eodd_paper"}


def numbered(paper, dataset="isic2019"):
    return {claim.number: claim for claim in claims(paper, dataset, EXITS, row_names(()))}


def test_the_primary_comparisons_are_those_that_were_written_down():
    by_number = numbered(printed("isic2019", "sex"))
    assert list(by_number) == [1, 2, 3, 4, 5, 7]
    texts = {n: [str(c) for c in claim.primary] for n, claim in by_number.items()}
    pairs = "mean of ME-ERM, ME-HSIC, ME-MFD, ME-FairPrune < mean of ERM, HSIC, MFD, FairPrune"
    others = "mean of ERM, AdvConf, AdvRev, DomainIndep, HSIC, MFD, FairPrune"
    assert texts == {
        1: [f"{m}: ME-ERM at final exit > ME-ERM at first exit" for m in FORMS],
        2: [f"{m}: {pairs}" for m in FORMS],
        3: [
            "eopp1: ME-ERM not above FairPrune (margin 0.01)",
            "eopp1_weighted: ME-ERM not above FairPrune (margin 0.005)",
        ],
        4: [f"{m}: ME-FairPrune < {others}" for m in FORMS],
        5: [f"{m}: ME-FairPrune at theta 0.999 < ME-FairPrune at theta 0.8" for m in FORMS],
        7: ["f1_gap: ERM > 0"],
    }
    conditions = {n: claim.condition and str(claim.condition) for n, claim in by_number.items()}
    assert conditions == {
        1: "f1: ME-ERM at final exit > ME-ERM at first exit",
        2: f"f1: {pairs.replace('<', 'not below')} (margin 0.02)",
        3: None,
        4: None,
        5: "f1: ME-FairPrune at theta 0.999 > ME-FairPrune at theta 0.8",
        7: None,
    }


def test_the_secondary_comparisons_are_single_ones_in_both_forms():
    by_number = numbered(printed("isic2019", "sex"))
    numbers = {n: len(claim.comparisons) for n, claim in by_number.items()}
    assert numbers == {1: 6, 2: 30, 3: 5, 4: 35, 5: 22, 7: 1}
    for claim in by_number.values():
        assert all(len(comparison.pairs) == 1 for comparison in claim.comparisons)
    for number in (1, 2, 3, 4, 5):
        assert {c.metric for c in by_number[number].comparisons} >= FAIRNESS
    assert all(c.margin == MARGINS[c.metric] for c in by_number[3].comparisons)
    assert [str(c.pairs[0][1]) for c in by_number[5].comparisons[-15::3]] == [
        f"ME-FairPrune at exit {e}" for e in EXITS
    ]
    assert MARGINS["eopp1_weighted"] == MARGINS["eopp1"] / 2
    assert MARGINS["eodd_weighted"] == MARGINS["eodd"] / 2


def test_nothing_is_judged_by_a_printed_row_that_is_a_copy():
    for claim in numbered(printed("fitzpatrick17k", "skin_tone"), "fitzpatrick17k").values():
        for comparison in claim:
            assert "MFD" not in str(comparison), "Table 2 repeats AdvRev as MFD"
    assert "dark" in numbered(printed("fitzpatrick17k", "skin_tone"))[7].text
    assert 7 not in numbered(None)


def test_a_comparison_of_the_rows_that_were_run():
    by_number = numbered(None)

    def among(comparison, *rows):
        return comparison.among(lambda sides: {side.row for side in sides} <= set(rows))

    exits = among(by_number[2].primary[0], "ERM", "ME-ERM", "HSIC", "FairPrune", "ME-FairPrune")
    assert str(exits) == "eopp1: mean of ME-ERM, ME-FairPrune < mean of ERM, FairPrune"
    assert exits.weights == {
        Side("ME-ERM"): 0.5,
        Side("ERM"): -0.5,
        Side("ME-FairPrune"): 0.5,
        Side("FairPrune"): -0.5,
    }
    assert among(by_number[2].primary[0], "ERM", "ME-HSIC") is None
    best = by_number[4].primary[0]
    assert best.weights[Side("ME-FairPrune")] == pytest.approx(1)
    assert best.weights[Side("HSIC")] == pytest.approx(-1 / 7)
    assert among(best, "ME-FairPrune", "HSIC") is None, "better than one is not the best of all"
    two = among(best, "ME-FairPrune", "HSIC", "ERM")
    assert str(two) == "eopp1: ME-FairPrune < mean of ERM, HSIC"
    assert two.weights == {
        Side("ME-FairPrune"): 1.0,
        Side("ERM"): -0.5,
        Side("HSIC"): -0.5,
    }


def test_printed_differences():
    isic = printed("isic2019", "sex")
    by_text = {
        str(c): printed_difference(isic, c) for claim in numbered(isic).values() for c in claim
    }
    assert by_text["eopp1: ME-ERM < ERM"] == pytest.approx(0.031 - 0.044)
    assert by_text["f1: ME-FairPrune > FairPrune"] == pytest.approx(0.736 - 0.727)
    assert by_text["recall_diff: ME-FairPrune < FairPrune"] == pytest.approx(0.005 - 0.014)
    assert by_text["f1_gap: ERM > 0"] == pytest.approx(0.746 - 0.723)
    assert by_text["eodd_paper: ME-ERM not above FairPrune (margin 0.005)"] == pytest.approx(0.002)
    assert by_text["f1: ME-ERM at final exit > ME-ERM at first exit"] is None
    for metric in ("eopp1_weighted", "eodd", "eodd_weighted"):
        assert by_text[f"{metric}: ME-ERM < ERM"] is None, "it is not printed"
    assert printed_difference(None, Comparison("f1", ((Side("ERM"), Side("HSIC")),), 1)) is None
    claim = numbered(isic)[2]
    single = [by_text[f"eopp1: ME-{name} < {name}"] for name in ("ERM", "HSIC", "MFD", "FairPrune")]
    assert printed_difference(isic, claim.primary[0]) == pytest.approx(sum(single) / 4)
