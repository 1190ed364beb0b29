"""Names as people write them: one name in several forms is one name, and that is said.

`mel`, `MEL` and ` mel` are one class, `0` and `0.0` are one, so are `TRUE` and `1` where both stand
for answers of one question. A table in which they were different would look perfectly fair or
perfectly wrong.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError, short
from fairexit.types import UNKNOWN_NAMES

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?", re.ASCII)
_WHOLE = re.compile(r"([-+]?\d+)\.0*", re.ASCII)
_PLAIN = re.compile(r"[!-~]+")
_BOOLEANS = {"true": "1", "false": "0"}

MAX_SHOWN = 3
"""Names that a note lists."""


MAX_DIGITS = 25
"""Characters up to which a name is compared as a number; Decimal rounds longer ones."""


def clean(text: str) -> str:
    """A name without surrounding blanks and invisible characters, in Unicode's form NFC.

    Whole numbers lose an empty decimal part.

    >>> clean("  mel "), clean("2.0"), clean("007")
    ('mel', '2', '007')
    """
    text = unicodedata.normalize("NFC", text)
    if not text.isascii():
        text = "".join(c for c in text if unicodedata.category(c) != "Cf")
    text = text.strip()
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text


def key(text: str) -> str:
    """What two forms of one name have in common.

    >>> key(" MEL") == key("mel"), key("01") == key("1.0"), key("a  b") == key("A b")
    (True, True, True)
    """
    text = " ".join(clean(text).casefold().split())
    text = unicodedata.normalize("NFKC", text)
    if len(text) <= MAX_DIGITS and _NUMBER.fullmatch(text):
        number = Decimal(text).normalize()
        return "0" if not number else f"{number:f}"
    return text


def code_key(text: str) -> str:
    """What two forms of one code of a person or lesion have in common.

    Codes such as 1.1 and 1.10, or 1e5 and 100000, are not one number; 007 and 7 are one code.

    >>> code_key("P1 ") == code_key("p1"), code_key("007") == code_key("7")
    (True, True)
    >>> code_key("1.1") == code_key("1.10"), code_key("1e5") == code_key("100000")
    (False, False)
    """
    text = unicodedata.normalize("NFKC", " ".join(clean(text).casefold().split()))
    return text.lstrip("0") or "0" if text.isdecimal() else text


MISSING = ("", "nan", "na", "n/a", "<na>", "null", "?", "-", "--", ".", "#n/a")
"""Cells that are no class unless the classes are given; "none" and "unknown" may be classes."""


def missing_classes(cells: Sequence[str]) -> set[str]:
    """Those of the different cells of a column of classes that say that the class is missing."""
    missing = {cell for cell in cells if key(cell) in MISSING}
    signs = {clean(cell) for cell in cells} >= {"+", "-"}  # as of a test for a disease
    return {cell for cell in missing if not (signs and clean(cell) == "-")}


def is_number(text: str) -> bool:
    """Whether a name is a number."""
    return _NUMBER.fullmatch(clean(text)) is not None


def is_unknown(text: str, more: Iterable[str] = ()) -> bool:
    """Whether a cell says that its value is not known: empty, "unknown", "NA", "nan" and so on.

    Args:
        text: the cell.
        more: further names of unknown values.
    """
    return key(text) in UNKNOWN_NAMES or key(text) in {key(name) for name in more}


def unknown_mask(names: Sequence[str], more: Iterable[str] = ()) -> NDArray[np.bool_]:
    """Which names mean that a value is not known, (K,)."""
    unknown = {*UNKNOWN_NAMES, *(key(name) for name in more)}
    longest = max(map(len, unknown))
    # Of plain text without blanks, only case differs from the key, unless it is a number. This
    # saves finding the keys of millions of patients.
    quick = not any(_NUMBER.fullmatch(name) for name in unknown)
    return np.array(
        [
            not (quick and len(name) > longest and _PLAIN.fullmatch(name)) and key(name) in unknown
            for name in names
        ],
        bool,
    )


class Reconciled(NamedTuple):
    """Several lists of written forms as indices into one list of names.

    Attributes:
        names: the names, in order.
        indices: for each list, the index of each of its forms, -1 where it has no name.
        notes: forms that were merged, one sentence for each name.
    """

    names: tuple[str, ...]
    indices: tuple[NDArray[np.int64], ...]
    notes: tuple[str, ...]


def reconcile(
    columns: Mapping[str, Sequence[str]],
    fixed: Sequence[str] | None = None,
    *,
    booleans: bool = False,
    exact: bool = False,
) -> Reconciled:
    """Find the names behind the written forms of one or several columns.

    Forms that differ only in case, blanks, Unicode form or the form of a number are one name, which
    is written as in the first column that has it.

    Args:
        columns: name of the column -> its different cells, (K,).
        fixed: the names, in order, if they are given; by default those that occur, sorted.
        booleans: whether "true" is 1 and "false" is 0 where the columns mix them.
        exact: whether the forms are names as they stand, none of which are merged.
    Raises:
        UserError: two of the given names agree.
    """
    forms = [form for column in columns.values() for form in column]
    known = forms if fixed is None else [*fixed, *forms]
    lowered = {key(form) for form in known}
    as_numbers = booleans and bool(lowered & {*_BOOLEANS}) and bool(lowered & {"0", "1"})

    def key_of(form: str) -> str:
        if exact:
            return form
        name = key(form)
        return _BOOLEANS.get(name, name) if as_numbers else name

    written: dict[str, str] = {}
    for name in fixed if fixed is not None else ():
        other = written.setdefault(key_of(name), name)
        if other != name:
            raise UserError(
                f"'{short(other)}' and '{short(name)}' are one name, written in two ways; "
                "rename or merge them"
            )
    merged: dict[str, list[str]] = {}
    for column in columns.values():
        for form in column:
            name = key_of(form)
            if fixed is None:
                written.setdefault(name, form if exact else clean(form))
            if name in written and form != written[name]:
                merged.setdefault(name, []).append(form)
    names = tuple(fixed) if fixed is not None else tuple(in_order(written.values()))
    index_of = {key_of(name): i for i, name in enumerate(names)}
    indices = tuple(
        np.array([index_of.get(key_of(form), -1) for form in column], np.int64)
        for column in columns.values()
    )
    where = " and ".join(f"'{short(name)}'" for name in columns)
    notes = tuple(
        f"in column {where}, {_listed([repr(f) for f in dict.fromkeys(others)])} "
        f"{'is' if len(set(others)) == 1 else 'are'} read as '{short(written[name])}'"
        for name, others in merged.items()
        if any(_differs(form, written[name]) for form in others)
    )
    return Reconciled(names, indices, notes)


def in_order(names: Iterable[str]) -> list[str]:
    """Names in ascending order, numbers by their value.

    >>> in_order(["10", "9", "b"]), in_order(["10", "9"])
    (['10', '9', 'b'], ['9', '10'])
    """
    names = list(names)
    if all(_NUMBER.fullmatch(name) for name in names):
        return sorted(names, key=lambda name: (Decimal(name), name))
    return sorted(names)


def match(name: str, names: Sequence[str]) -> str | None:
    """The one of several names that a form means; None if there is none."""
    if name in names:
        return name
    wanted = {key(name), _BOOLEANS.get(key(name))}
    return next(
        (
            other
            for other in names
            if not wanted.isdisjoint({key(other), _BOOLEANS.get(key(other))} - {None})
        ),
        None,
    )


def _differs(form: str, name: str) -> bool:
    """Whether two forms differ in more than blanks at the ends."""
    return form.strip() != name


def _listed(names: Sequence[str]) -> str:
    shown = [short(name, 40) for name in names[:MAX_SHOWN]]
    more = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
    return ", ".join(shown) + more
