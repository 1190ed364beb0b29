"""Docstrings as mkdocstrings reads them: blank lines before sections, doctests as code."""

import re
from typing import Any

from griffe import Extension, Object

DOCTEST = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)
SECTION = re.compile(r"(?<=\S\n)(?=(?:Args|Attributes|Returns|Yields|Raises):\n)")


def readable(text: str) -> str:
    """A docstring with a blank line before each section, and each doctest in a fence.

    >>> readable("Adds.\\n\\nReturns:\\n    The sum.\\nRaises:\\n    E: text.").splitlines()
    ['Adds.', '', 'Returns:', '    The sum.', '', 'Raises:', '    E: text.']
    >>> readable("Adds.\\n\\n>>> 1 + 1\\n2").splitlines()
    ['Adds.', '', '```pycon', '>>> 1 + 1', '2', '```']
    """
    text = SECTION.sub("\n", text)
    return DOCTEST.sub(lambda match: f"```pycon\n{match[0]}\n```", text)


class Docstrings(Extension):
    """Applies `readable` to every docstring that is read."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Change the docstring of an object."""
        if obj.docstring:
            obj.docstring.value = readable(obj.docstring.value)
