"""Lines on a terminal. Text from outside is shown as it is: never as markup or control codes."""

import os
import sys
import unicodedata
from typing import TextIO

_HARMFUL = {"Cc", "Cs", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"
"""Format characters that Persian, Indic scripts and emoji need; the others may reorder a line."""


def printable(text: str) -> str:
    r"""Replace the characters that a terminal would execute, or that would reorder a line.

    These are the control characters C0 and C1, bidirectional overrides and other format characters,
    line separators, and the lone surrogates of file names that are not UTF-8.

    >>> printable("a\x1b[31mb"), printable("safe\u202egpj.exe")
    ('a\ufffd[31mb', 'safe\ufffdgpj.exe')
    """
    if text.isprintable():
        return text
    return "".join("\ufffd" if _is_harmful(c) else c for c in text)


def _is_harmful(char: str) -> bool:
    category = unicodedata.category(char)
    return category in _HARMFUL or (category == "Cf" and char not in _JOINERS)


def path_text(path: str | os.PathLike[str]) -> str:
    r"""A path as text that can be written; bytes that are not UTF-8 are escaped.

    >>> path_text(os.fsdecode(b"caf\xe9.png"))
    'caf\\xe9.png'
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def say(text: object, file: TextIO | None = None) -> None:
    """Print text of one or several lines, with its control characters replaced.

    Args:
        text: the text; only its newlines keep their meaning.
        file: the stream; standard output by default.
    """
    for line in str(text).split("\n"):
        print(printable(line), file=file or sys.stdout, flush=True)


def note(text: object) -> None:
    """Print text to standard error, as `say` does to standard output."""
    say(text, sys.stderr)
