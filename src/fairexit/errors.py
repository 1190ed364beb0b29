"""Errors that the user can fix, and how their messages show options, choices and long values."""

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from fairexit.terminal import printable

_OPTION = re.compile("\ue000(.*?)\ue001")


def option(name: str) -> str:
    """Mark a parameter in a message, so that each front end can show it as its users know it.

    Args:
        name: the name of the Python parameter.
    Returns:
        The name between two private-use characters, which `UserError.render` replaces.

    >>> str(UserError(f"choose another {option('out')}"))
    "choose another 'out'"
    """
    return f"\ue000{name}\ue001"


class UserError(ValueError):
    """Bad input. The message is one line that says what is wrong, where, and what to do.

    The command line prints it and exits with status 2; library callers catch a ValueError.
    """

    def __str__(self) -> str:
        return self.render("'{}'".format)

    def render(self, write: Callable[[str], str]) -> str:
        """The message, safe for a terminal, with options written as a front end shows them.

        Args:
            write: returns the text for the name of a Python parameter.

        >>> UserError(f"set {option('rule')}").render("policy.{}".format)
        'set policy.rule'
        """
        parts = _OPTION.split(super().__str__())
        return "".join(write(part) if i % 2 else _line(part) for i, part in enumerate(parts))

    @property
    def plain(self) -> str:
        """The message with the marks of its options, to be put into another message."""
        return super().__str__()

    def at(self, where: str) -> "UserError":
        """The same error with "where: " before its message."""
        return type(self)(f"{where}: {self.plain}")


def _line(text: str) -> str:
    """Text on one line, without control characters."""
    return printable(" ".join(text.split("\n")))


class DivergedError(UserError):
    """Training stopped because the loss is no longer finite; other settings may avoid that."""


def reason(error: Exception) -> str:
    """The first line of an error's message, or the error's type if the message is empty.

    >>> reason(ValueError("no number\\n  at all")), reason(EOFError())
    ('no number', 'EOFError')
    """
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


_PLAIN = {
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid boolean": "true or false",
    "a valid string": "a text",
    "a valid list": "a list",
    "a valid tuple": "a list",
    "a valid dictionary": "a section with keys",
}


def problem(error: Mapping[str, Any]) -> str:
    """What is wrong with a value, in plain words, from one of Pydantic's errors.

    >>> problem({"msg": "Input should be a valid integer, unable to parse string as an integer"})
    'it must be a whole number'
    >>> problem({"msg": "Input should be 'all' or 'present'"})
    "it must be 'all' or 'present'"
    """
    text = str(error["msg"]).split(", unable to")[0].split(", got ")[0]
    text = text.removeprefix("Value error, ").replace("Input should be", "it must be")
    for theirs, ours in _PLAIN.items():
        text = text.replace(theirs, ours)
    return short(text[:1].lower() + text[1:], 200)


def short(value: object, limit: int = 80) -> str:
    """A user's value as a message shows it: on one line, and cut off if it is too long.

    >>> short("a name\\nthat goes on and on", limit=17)
    'a name that go...'
    """
    text = " ".join(str(value).split())
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known name, or all known names.

    >>> nearest("resnet81", ["resnet18", "vgg11"])
    "did you mean 'resnet18'?"
    >>> nearest("x", ["resnet18", "vgg11"])
    'available: resnet18, vgg11'
    """
    known = sorted(known)
    close = get_close_matches(name, known, n=1)
    if close:
        return f"did you mean '{short(close[0])}'?"
    return f"available: {short(', '.join(known), limit=300)}" if known else "none is available"
