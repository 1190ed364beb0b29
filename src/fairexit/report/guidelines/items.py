"""What a guideline is: items, the documents that answer them, and what is left to the authors."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial

from fairexit.auditing.results import AuditResults
from fairexit.report.advice import next_steps

CARD = "README.md"
AUDIT = "audit.html"
DATA = "data_card.md"
CROISSANT = "croissant.json"
SETTINGS = "settings.yaml"
ENVIRONMENT = "environment.json"
SBOM = "sbom.cdx.json"
DOCUMENTS = (CARD, AUDIT, DATA, CROISSANT, SETTINGS, ENVIRONMENT, SBOM)
"""The documents of a documentation pack that answer items. The model card is the first."""


@dataclass(frozen=True)
class Reply:
    """What one section of one document says about an item.

    Attributes:
        document: one of `DOCUMENTS`.
        section: heading of the section in a card or page, key in a JSON or YAML file.
        content: what it says.
        whole: whether this answers the item completely.
        needs: the kind of evidence without which the document does not say it, "" if it always
            does; see `evidence`.
    """

    document: str
    section: str
    content: str
    whole: bool = False
    needs: str = ""


@dataclass(frozen=True)
class Item:
    """An item of a guideline.

    Attributes:
        number: number of the item, article or section, by which it is found in the guideline.
        title: its topic, in few words that are not the guideline's.
        left: what only the authors can say; "" if a reply can answer the item completely.
        replies: what the documents say about it.
    """

    number: str
    title: str
    left: str
    replies: tuple[Reply, ...] = ()


@dataclass(frozen=True)
class Answer:
    """The answer of some documents to an item; without replies it is left to the authors."""

    item: Item
    replies: tuple[Reply, ...]

    @property
    def whole(self) -> bool:
        """Whether the item is answered completely."""
        return any(reply.whole for reply in self.replies)

    @property
    def state(self) -> str:
        """`no`, `in part` or `yes`."""
        return "no" if not self.replies else "yes" if self.whole else "in part"

    @property
    def left(self) -> str:
        """What the authors still have to state, "" if the item is answered completely."""
        return "" if self.whole else self.item.left

    def where(self, *, documents: bool) -> str:
        """The sections that answer the item, each with what it says.

        Args:
            documents: whether to name the documents as well.
        """
        parts: dict[str, list[str]] = {}
        for reply in self.replies:
            place = f"{reply.document}, {reply.section}" if documents else reply.section
            parts.setdefault(place, []).append(reply.content)
        return "; ".join(f"{place}: {', '.join(contents)}" for place, contents in parts.items())


@dataclass(frozen=True)
class Guideline:
    """A guideline or law.

    Attributes:
        name: its short name, with the year.
        source: where it was published.
        items: its items in order.
        note: how its items are numbered here, "" if as in the guideline.
    """

    name: str
    source: str
    items: tuple[Item, ...]
    note: str = ""

    def answers(
        self, known: Collection[str], documents: Collection[str] = DOCUMENTS
    ) -> list[Answer]:
        """The answer to each item, in order.

        Args:
            known: the kinds of evidence that there are; see `evidence`.
            documents: the documents that may answer.
        """
        return [Answer(item, tuple(_replies(item, known, documents))) for item in self.items]


def _replies(item: Item, known: Collection[str], documents: Collection[str]) -> Iterator[Reply]:
    for reply in item.replies:
        if reply.document in documents and (not reply.needs or reply.needs in known):
            yield reply


def evidence(audit: AuditResults) -> set[str]:
    """The kinds of evidence that some replies need and not every audit has.

    `dataset`: the description of the prepared data; `leaks`: what the splits share; `seeds`:
    several training seeds; `clinical`: sensitivity and specificity of a class; `steps`: next steps;
    `cohorts`: a second cohort; `baseline`: a model to compare with.
    """
    facts = audit.facts
    present = {
        "dataset": facts.dataset,
        "leaks": facts.dataset.get("leaks"),
        "seeds": any(a.seeds for a in audit.attributes),
        "clinical": any(a.clinical for a in audit.attributes),
        "steps": next_steps(audit),
        "cohorts": audit.cohorts,
        "baseline": facts.baseline,
    }
    return {name for name, value in present.items() if value}


def item(number: str, title: str, left: str = "", *replies: Reply) -> Item:
    """An item with its replies."""
    return Item(number, title, left, replies)


card = partial(Reply, CARD)
audit_page = partial(Reply, AUDIT)
data_card = partial(Reply, DATA)
croissant = partial(Reply, CROISSANT)
settings = partial(Reply, SETTINGS)
environment = partial(Reply, ENVIRONMENT)
sbom = partial(Reply, SBOM)
