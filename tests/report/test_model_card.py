"""The model card: read back by the Hub's own library; what it answers and what it leaves open."""

import re

import pytest
import yaml
from huggingface_hub import ModelCard
from made_audit import made_audit

from fairexit.report.guidelines import CLAIM, OF_THE_CARD, TRIPOD
from fairexit.report.guidelines.items import CARD, evidence
from fairexit.report.model_card import render_card, write_card
from fairexit.tables import markdown


def without_data(audit):
    facts = type(audit.facts)(
        **{**vars(audit.facts), "dataset": {}, "cluster_name": "", "split": "", "hard": True}
    )
    return type(audit)(**{**vars(audit), "facts": facts})


def test_the_hub_reads_the_card(tmp_path):
    audit = made_audit()
    write_card(audit, tmp_path / "README.md")
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.model_name == "me-resnet18"
    assert card.data.pipeline_tag == "image-classification"
    assert {"fairness", "early-exit"} <= set(card.data.tags)
    found = {result.metric_name: result for result in card.data.eval_results}
    assert found["Eopp1 by sex"].metric_value == 0.093
    assert found["Accuracy"].metric_value == 0.721
    assert found["Accuracy"].dataset_name == "synthetic"
    assert found["Accuracy"].dataset_split == "test"


def test_the_body_holds_the_facts_of_the_audit():
    audit = made_audit(attributes={"sex": ("female", "male"), "age": ("young", "old")})
    text = ModelCard(render_card(audit)).text
    titles = re.findall("^## (.*)$", text, re.MULTILINE)
    assert titles == [
        "Summary",
        "Model",
        "Data",
        "Results",
        "Method",
        "What to do next",
        "Limits",
        "Items of TRIPOD+AI (2024)",
        "Items of CLAIM (2024 update)",
    ]
    for words in (*audit.summary, *audit.next_steps, *audit.limits):
        assert f"- {markdown(words)}" in text
    assert "### By sex" in text
    assert "### By age" in text
    assert "0.093 (0.063 to 0.123)" in text
    assert "- Left out when the data were prepared: 12, unknown sex." in text
    assert "| MEL | 0 ! |" in text


def test_what_is_not_known_is_not_made_up():
    audit = without_data(made_audit(exits=("f",)))
    card = ModelCard(render_card(audit))
    assert card.data.pipeline_tag is None
    assert card.data.tags == ["fairness", "fairness-audit"]
    assert card.data.eval_results[0].task_type == "other"
    assert card.data.eval_results[0].dataset_name == "not stated"
    assert "there is only the table of predictions" in card.text
    assert "answers only" in card.text
    assert "license" not in yaml.safe_load(card.content.split("---")[1])


def answered_in_the_card(guideline, audit):
    """Number -> answer, for the items that the card answers."""
    answers = guideline.answers(evidence(audit), [CARD])
    return {a.item.number: a for a in answers if a.replies}


@pytest.mark.parametrize("guideline", OF_THE_CARD, ids=lambda guideline: guideline.name)
def test_each_item_is_either_answered_or_named_as_open(guideline):
    audit = made_audit()
    text = render_card(audit)
    section = text[text.index(f"## Items of {guideline.name}") :].split("\n## ")[0]
    answered = re.findall(r"^\| (\d+[a-g]?) \|", section, re.MULTILINE)
    left = section.split("Not answered here: ")[1].rstrip().rstrip(".").split("; ")
    left = [words.split(" ")[0] for words in left]
    assert answered == list(answered_in_the_card(guideline, audit))
    assert sorted([*answered, *left]) == sorted(item.number for item in guideline.items)


def test_an_item_answered_in_part_says_what_is_left():
    text = render_card(made_audit())
    assert "| yes | Method: intervals, tests and corrections |  |" in text
    assert "| in part | Data: name, source and licence | how the data were collected |" in text


@pytest.mark.parametrize(
    ("guideline", "more"),
    [(TRIPOD, {"5a", "16"}), (CLAIM, {"7", "8", "20", "38"})],
    ids=["TRIPOD", "CLAIM"],
)
def test_items_are_answered_only_where_the_audit_knows(guideline, more):
    known = set(answered_in_the_card(guideline, made_audit()))
    unknown = set(answered_in_the_card(guideline, without_data(made_audit(positive=()))))
    assert known - unknown == more
    assert unknown < known


@pytest.mark.parametrize("bad", ["a: b\n---\n# x", "<script>alert(1)</script>", "a|b *c* [d](e)"])
def test_odd_names_stay_names(bad):
    audit = made_audit(
        name=bad, classes=(bad, "NV"), attributes={bad: (bad, "other")}, positive=(bad,)
    )
    card = ModelCard(render_card(audit))
    assert card.data.model_name == bad
    assert re.findall("^# .*$", card.text, re.MULTILINE) == [
        line for line in card.text.splitlines() if line.startswith("# Model card of ")
    ]
    assert not re.search(r"(?<!\\)<script", card.text)
    for table in re.findall(r"(?:^\|.*\n)+", card.text, re.MULTILINE):
        bars = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(bars) == 1
