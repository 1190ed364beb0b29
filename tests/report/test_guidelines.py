"""The items of guidelines and laws: as many as published, and each with what is left of it."""

import re

import pytest
from made_audit import made_audit

from fairexit.report.guidelines import GUIDELINES
from fairexit.report.guidelines.items import DOCUMENTS, evidence

BY_NAME = {guideline.name: guideline for guideline in GUIDELINES}
EVIDENCE = {"dataset", "leaks", "seeds", "clinical", "steps", "cohorts", "baseline"}


def numbers(name):
    return [item.number for item in BY_NAME[name].items]


def test_the_guidelines_have_as_many_items_as_published():
    tripod, claim = numbers("TRIPOD+AI (2024)"), numbers("CLAIM (2024 update)")
    assert len(tripod) == 52
    assert len({re.match(r"\d+", number)[0] for number in tripod}) == 27
    assert tripod == sorted(tripod, key=lambda number: (int(re.match(r"\d+", number)[0]), number))
    assert claim == [str(k) for k in range(1, 45)]


def test_the_principles_of_future_ai_have_their_30_recommendations():
    principles = dict.fromkeys(number.split()[0] for number in numbers("FUTURE-AI (2025)"))
    counts = [sum(n.startswith(p) for n in numbers("FUTURE-AI (2025)")) for p in principles]
    assert "".join(name[0] for name in principles) == "FUTUREG"
    assert counts == [3, 4, 6, 5, 3, 2, 7]


def test_the_points_of_the_ai_act_are_complete():
    points = numbers("EU AI Act, Annex IV (2024)")
    assert points == [
        *(f"1({letter})" for letter in "abcdefgh"),
        *(f"2({letter})" for letter in "abcdefgh"),
        *map(str, range(3, 10)),
    ]
    articles = [re.match(r"\d+", n)[0] for n in numbers("EU AI Act, Articles 9 to 15 (2024)")]
    assert list(dict.fromkeys(articles)) == ["9", "10", "11", "12", "13", "14", "15"]


@pytest.mark.parametrize("guideline", GUIDELINES, ids=lambda guideline: guideline.name)
def test_an_item_says_what_is_left_unless_it_can_be_answered_completely(guideline):
    for item in guideline.items:
        always = any(reply.whole and not reply.needs for reply in item.replies)
        assert bool(item.left) != always, item
        # In a cell, semicolons separate the places of an answer.
        assert not any(";" in reply.content for reply in item.replies), item


def test_replies_name_documents_and_evidence_that_exist():
    replies = [reply for g in GUIDELINES for item in g.items for reply in item.replies]
    assert {reply.document for reply in replies} == set(DOCUMENTS)
    assert {reply.needs for reply in replies} == {"", *EVIDENCE}
    assert evidence(made_audit(cohorts=True)) == EVIDENCE


def test_an_answer_names_its_documents_and_joins_what_one_section_says():
    tripod = BY_NAME["TRIPOD+AI (2024)"]
    answers = {a.item.number: a for a in tripod.answers({"dataset"})}
    words = "Data: samples measured, those left out with the reason"
    assert answers["20a"].where(documents=False) == words
    assert answers["20a"].where(documents=True) == f"README.md, {words}"
    states = {number: answers[number].state for number in ("1", "20a", "23a")}
    assert states == {"1": "no", "20a": "in part", "23a": "yes"}
    assert answers["23a"].left == ""
