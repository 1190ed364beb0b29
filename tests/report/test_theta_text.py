"""How theta was chosen, as sentences: their words, and where they stand."""

from dataclasses import replace

from made_audit import made_audit

from fairexit.evaluation.policy import Candidate, Policy
from fairexit.report.audit_page import render_audit
from fairexit.report.model_card import render_card
from fairexit.report.sections import to_markdown
from fairexit.report.theta_text import choice_lines

REASON = "no theta is shown to be fairer; 0.8 is the cheapest whose F1 is within 0.01 of the best"
CANDIDATES = (
    Candidate(0.9, 0.05, early=0.5, cost=0.7, f1=0.72, eopp1=0.1, eodd=0.08),
    Candidate(0.8, 0.925, early=0.7, cost=0.5, f1=0.70, eopp1=0.2, eodd=0.06),
    Candidate(None, 0.025, early=0.0, cost=1.0, f1=0.71, eopp1=0.0, eodd=0.0),
)
POLICY = Policy(0.8, "final", "f1", 0.01, "val", "sex", REASON, CANDIDATES)

LINES = [
    f"Theta was chosen by rule f1 on val: {REASON}.",
    "How stable the choice is: in 92.5 % of the resamples of val (clusters drawn whole) the same "
    "rule chooses 0.8; 0.9 in 5.0 %, the final exit in 2.5 %.",
    "A theta drawn at random from the grid, mean (lowest to highest) on validation: F1 0.710 "
    "(0.700 to 0.720), Eopp1 0.150 (0.100 to 0.200), Eodd 0.070 (0.060 to 0.080), 60.0 % (50.0 % "
    "to 70.0 %) of the samples leave before the final exit, the mean cost is 60.0 % (50.0 % to "
    "70.0 %) of the full network's.",
]


def plain(text):
    return " ".join(text.split())


def test_the_choice_its_stability_and_a_random_theta():
    assert [plain(line) for line in choice_lines(POLICY)] == LINES


def test_what_is_not_known_is_left_out():
    candidates = tuple(replace(c, cost=None, eopp1=None, eodd=None) for c in CANDIDATES)
    *_, last = choice_lines(replace(POLICY, candidates=candidates))
    assert plain(last) == (
        "A theta drawn at random from the grid, mean (lowest to highest) on validation: F1 0.710 "
        "(0.700 to 0.720), 60.0 % (50.0 % to 70.0 %) of the samples leave before the final exit."
    )
    certain = tuple(replace(c, chosen=float(c.theta == 0.8)) for c in CANDIDATES)
    _, stable, _ = choice_lines(replace(POLICY, candidates=certain))
    assert plain(stable).endswith("in 100.0 % of the resamples of val (clusters drawn whole) the "
                                  "same rule chooses 0.8.")  # fmt: skip


BY_HAND = "Theta was set by hand, not chosen on validation."


def test_a_theta_that_no_rule_chose():
    assert [*choice_lines(Policy(0.8))] == [BY_HAND]
    assert [*choice_lines(Policy(None, rule="single exit"))] == []


def test_page_card_and_markdown_say_it():
    for text in texts_of(POLICY):
        for line in LINES:
            assert line in text


def texts_of(policy):
    """Page, card and Markdown of an audit under a policy."""
    audit = made_audit()
    audit = replace(audit, facts=replace(audit.facts, policy=policy.to_dict()))
    for text in (render_audit(audit), render_card(audit), to_markdown(audit)):
        yield plain(text.replace("&#39;", "'").replace("\\", ""))


def test_page_card_and_markdown_say_that_it_was_set_by_hand():
    for text in texts_of(Policy(0.8)):
        assert BY_HAND in text
    for text in texts_of(POLICY):
        assert "by hand" not in text


def test_a_theta_of_each_exit():
    thetas = (0.8, None, 0.9, 0.9)
    candidates = (*CANDIDATES[:2], replace(CANDIDATES[0], theta=thetas), CANDIDATES[2])
    policy = replace(POLICY, theta=thetas, candidates=candidates, confidence_measure="entropy")
    _, search, stable, random = (plain(line) for line in choice_lines(policy))
    assert search == (
        "Each exit has a theta of its own: a greedy search, one exit after the other, tried 4 "
        "candidates, and may have missed a better one."
    )
    assert "the same rule chooses (0.8, none, 0.9, 0.9); 0.8 in 92.5 %" in stable
    assert random == LINES[2]
    for text in texts_of(policy):
        assert (
            "a sample leaves at the first exit whose confidence (one minus the normalised entropy) "
            "reaches the threshold of that exit (exit 1: 0.8; exit 2: none leaves; exit 3: 0.9; "
            "exit 4: 0.9), chosen by rule f1 on val"
        ) in text
    for text in texts_of(Policy((None, None, None, None))):
        assert "every sample leaves at the final exit" in text.lower()
