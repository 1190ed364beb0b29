"""Links among the pages lead somewhere as the repository shows them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def anchors(page):
    """The anchors of the headings, as GitHub and the site make them."""
    names = HEADING.findall(page.read_text())
    return {re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-") for name in names}


def problem(page, link):
    """What is wrong with a relative link; None if nothing is."""
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    if not target.exists():
        return f"{link}: no such file"
    if anchor and anchor not in anchors(target):
        return f"{link}: no such heading"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    assert [text for link in links if (text := problem(page, link))] == []


def test_a_broken_link_would_be_seen(tmp_path):
    (tmp_path / "a.md").write_text("# One of `many`: a_b\n")
    page = tmp_path / "b.md"
    page.touch()
    assert problem(page, "a.md#one-of-many-a_b") is None
    assert problem(page, "a.md#one") == "a.md#one: no such heading"
    assert problem(page, "c.md") == "c.md: no such file"
