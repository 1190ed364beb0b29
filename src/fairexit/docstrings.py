"""Explanations of arguments and fields, read from the docstrings of their classes."""

import inspect
import re

_SECTION = re.compile(r"^(Args|Attributes):\n((?:    .*\n|\n)*)", re.MULTILINE)
_ENTRY = re.compile(r"^    (\w[\w, ]*): ((?:.*\n)(?:     .*\n|\n)*)", re.MULTILINE)


def explanations(cls: type) -> dict[str, str]:
    """Name -> text of the entries under `Args` and `Attributes`, those of base classes included.

    >>> class Point:
    ...     '''A point.
    ...
    ...     Attributes:
    ...         x, y: the coordinates,
    ...             in pixels.
    ...     '''
    >>> explanations(Point)["y"]
    'the coordinates, in pixels.'
    """
    texts: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        text = inspect.cleandoc(base.__doc__ or "") + "\n"
        for _, section in _SECTION.findall(text):
            for names, entry in _ENTRY.findall(section):
                texts |= dict.fromkeys(names.split(", "), " ".join(entry.split()))
    return texts
