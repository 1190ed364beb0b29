"""A document of sections with sentences and tables, as Markdown and as one HTML page."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from fairexit.report.templating import render
from fairexit.tables import Table, markdown


@dataclass(frozen=True)
class Section:
    """A heading with the sentences and tables below it."""

    title: str
    points: Sequence[str] = ()
    tables: Sequence[Table] = ()


def document(title: str, introduction: Sequence[str], sections: Sequence[Section]) -> str:
    """A Markdown document; names that look like markup are escaped.

    Args:
        title: the heading.
        introduction: paragraphs below it.
        sections: the sections in order.
    """
    parts = [f"# {markdown(title)}", *map(markdown, introduction)]
    for section in sections:
        parts.append(f"## {markdown(section.title)}")
        if section.points:
            parts.append("\n".join(f"- {markdown(point)}" for point in section.points))
        for table in section.tables:
            parts += [f"### {markdown(table.title)}", table.to_markdown().strip()]
    return "\n\n".join(parts) + "\n"


def fragment(title: str, sections: Sequence[Section]) -> str:
    """Sections as an HTML fragment for a notebook; every text is escaped."""
    lines = [f"<h2>{escape(title)}</h2>"]
    for section in sections:
        points = "".join(f"<li>{escape(point)}</li>" for point in section.points)
        lines += [f"<h3>{escape(section.title)}</h3>", f"<ul>{points}</ul>" if points else ""]
        lines += [table.to_html() for table in section.tables]
    return f"<div>{''.join(lines)}</div>"


def page(
    title: str,
    introduction: Sequence[str],
    sections: Sequence[Section],
    files: Collection[str] = (),
) -> str:
    """The same document as one self-contained HTML page that loads no external resources.

    Args:
        title: the heading.
        introduction: paragraphs below it.
        sections: the sections in order.
        files: names of files beside the page, which become links wherever they occur.
    """
    names = re.compile("|".join(map(re.escape, files)) or r"(?!)")

    def linked(text: str) -> Markup:
        return Markup(names.sub(r'<a href="\g<0>">\g<0></a>', str(escape(text))))

    values = {"title": title, "introduction": introduction, "sections": sections}
    return render("document.html", {"linked": linked}, **values)
