"""The items of guidelines and laws: what the documents answer, and what is left to the authors."""

from collections.abc import Collection, Sequence

from fairexit.report.document import Section, document
from fairexit.report.guidelines import GUIDELINES
from fairexit.report.guidelines.items import Answer, Guideline
from fairexit.tables import Table

LEFT = "Left to the authors"
TITLE = "Items of guidelines and laws"
CAUTION = (
    "The topics are shortened and in other words than the texts, which alone count. These tables "
    "are a guide to the texts and no legal advice, and an answered item is no proof of compliance."
)
INTRODUCTION = (
    "For each guideline, the items that are left to the authors come first, then those that a "
    "document beside this page answers, wholly or in part.",
    CAUTION,
)
REFERENCE = (
    "What a documentation pack (fairexit document) answers if it is given all of these: a positive "
    "class, a baseline, a second cohort and several training seeds. The items.html of a pack says "
    "what that pack answers.",
    CAUTION,
)


def overview(known: Collection[str]) -> Table:
    """How many items of each guideline are answered, and how many are left.

    Args:
        known: the kinds of evidence; see `fairexit.report.guidelines.items.evidence`.
    """
    rows = []
    for guideline in GUIDELINES:
        states = [answer.state for answer in guideline.answers(known)]
        counts = [str(states.count(state)) for state in ("no", "in part", "yes")]
        rows.append([guideline.name, str(len(states)), *counts])
    columns = ["Guideline", "Items", LEFT, "Answered in part", "Answered"]
    return Table("Items answered and left", columns, rows)


def item_sections(known: Collection[str]) -> list[Section]:
    """The overview and a section for each guideline, its empty items first."""
    sections = [_section(guideline, guideline.answers(known)) for guideline in GUIDELINES]
    return [Section("Overview", (), (overview(known),)), *sections]


def _section(guideline: Guideline, answers: Sequence[Answer]) -> Section:
    empty = [[a.item.number, a.item.title, "EMPTY", a.left] for a in answers if not a.replies]
    answered = [
        [a.item.number, a.item.title, a.state, a.where(documents=True), a.left]
        for a in answers
        if a.replies
    ]
    columns = ["Item", "Topic", "Answered"]
    tables = (
        Table(f"{guideline.name}: left to the authors", [*columns, LEFT], empty, 4),
        Table(f"{guideline.name}: answered", [*columns, "Where", LEFT], answered, 5),
    )
    points = [f"Source: {guideline.source}.", *([guideline.note] if guideline.note else [])]
    return Section(guideline.name, points, tables)


def reference() -> str:
    """The page of the documentation: all items, with all kinds of evidence, in Markdown."""
    needs = {r.needs for g in GUIDELINES for item in g.items for r in item.replies}
    return document(TITLE, REFERENCE, item_sections(needs))
