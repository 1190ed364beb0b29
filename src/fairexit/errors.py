"""The one exception that is the user's to mend."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """Bad input: its text is one line that says what is wrong, where, and what to do.

    The command line prints it and exits with status 2; library callers catch a ValueError.
    """


class DivergedError(UserError):
    """A training whose loss is no longer finite; other settings may do better."""


def reason(error: Exception) -> str:
    """The first line of what an error says, or its kind where it says nothing.

    >>> reason(ValueError("no number\\n  at all")), reason(EOFError())
    ('no number', 'EOFError')
    """
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def nearest(name: str, known: Iterable[str]) -> str:
    """The tail of an unknown-name message: the nearest known name, or all of them.

    >>> nearest("resnet81", ["resnet18", "vgg11"])
    "did you mean 'resnet18'?"
    >>> nearest("x", ["resnet18", "vgg11"])
    'there are: resnet18, vgg11'
    """
    known = sorted(known)
    close = get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(known)}"
