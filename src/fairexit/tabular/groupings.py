"""Groups made from the values of a column: ranges of a number, values that are merged."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError, nearest, option, short
from fairexit.tabular.names import clean, is_number, key, reconcile, unknown_mask
from fairexit.types import UNKNOWN

MAX_NUMBERS = 10
"""Different numbers up to which a column of numbers is taken for groups."""


@dataclass(frozen=True)
class Grouping:
    """How the groups of an attribute are made from the values of its column.

    Attributes:
        bins: attribute -> ascending cuts; (30, 60) makes the groups "<30", "30-59" and "60+" of
            whole numbers, and "<30", "30 to <60" and ">=60" of others.
        merge: attribute -> value -> the group that it belongs to; values that are not named stay.
        min_group: groups with fewer samples are left out of every number, and that is said.
        unknown_values: names of unknown values, besides the usual ones such as "unknown" and "NA".
    Raises:
        UserError: cuts are not ascending, an attribute has both bins and merges, or a number is
            negative.
    """

    bins: Mapping[str, Sequence[float]] = field(default_factory=dict)
    merge: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    min_group: int = 0
    unknown_values: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name, cuts in self.bins.items():
            if not cuts or not np.isfinite(cuts).all() or any(a >= b for a, b in pairwise(cuts)):
                raise UserError(
                    f"{option('bins')} of '{short(name)}' are {short(list(cuts))}; give ascending "
                    "cuts, such as 30,60"
                )
            if len(set(range_names(cuts, whole=False))) <= len(cuts):
                raise UserError(f"{option('bins')} of '{short(name)}' are too close to each other")
            if name in self.merge:
                raise UserError(
                    f"'{short(name)}' is in both {option('bins')} and {option('merge')}; give one"
                )
        if self.min_group < 0:
            raise UserError(f"{option('min_group')} is {self.min_group}; it cannot be negative")

    def check(self, attributes: Sequence[str]) -> None:
        """Raise a UserError if bins or merges are of an attribute that is not used."""
        for which, names in (("bins", self.bins), ("merge", self.merge)):
            for name in names:
                if name not in attributes:
                    raise UserError(
                        f"{option(which)} is for '{short(name)}', which is not an attribute here; "
                        f"{nearest(name, attributes)}"
                    )


@dataclass(frozen=True)
class Grouped:
    """Groups of one attribute.

    Attributes:
        index: group of each sample, (N,), or UNKNOWN.
        names: the groups, in order.
        notes: what was merged or left out.
        small: samples whose group was left out because it is small, (N,).
    """

    index: NDArray[np.int64]
    names: tuple[str, ...]
    notes: tuple[str, ...]
    small: NDArray[np.bool_]


def make_groups(
    attribute: str,
    codes: NDArray[np.int64],
    cells: Sequence[str],
    *,
    grouping: Grouping,
    fixed: Sequence[str] | None = None,
) -> Grouped:
    """The groups of an attribute.

    Args:
        attribute: its name.
        codes: cell of each sample, (N,), -1 where the cell is empty.
        cells: the different cells.
        grouping: ranges, merges, and names of unknown values.
        fixed: the groups in order, if they are given.
    Raises:
        UserError: the column holds more than `MAX_NUMBERS` different numbers and has no bins, a
            cell is not a number where there are bins, or a merge names no value.
    """
    unknown = unknown_mask(cells, grouping.unknown_values)
    if fixed is not None:  # a file of ours may have a group that is called "unknown"
        unknown &= ~np.isin(cells, fixed)
    if attribute in grouping.bins:
        names, of_cell, notes = _ranges(attribute, cells, unknown, grouping.bins[attribute])
    else:
        known = [cell for cell, skip in zip(cells, unknown, strict=True) if not skip]
        if fixed is None and attribute not in grouping.merge:
            check_groups(attribute, known)
        names, of_known, notes = _names(attribute, known, grouping.merge.get(attribute), fixed)
        of_cell = np.full(len(cells), UNKNOWN)
        of_cell[~unknown] = of_known
    index = np.append(of_cell, UNKNOWN)[codes]
    kept, names, small = _without_small(attribute, index, names, grouping.min_group)
    return Grouped(kept, names, (*notes, *small), (index != UNKNOWN) & (kept == UNKNOWN))


def many_numbers(values: Sequence[str]) -> int:
    """How many different numbers the values are, if so many that they are no groups; else 0."""
    numbers = {key(value) for value in values if is_number(value)}
    return len(numbers) if len(numbers) > max(MAX_NUMBERS, len(values) / 2) else 0


def check_groups(attribute: str, values: Sequence[str]) -> None:
    """Raise a UserError if the values are many different numbers, which are no groups."""
    if number := many_numbers(values):
        raise UserError(
            f"attribute '{short(attribute)}' is a number with {number} values, which are not "
            f"groups of people; cut it into ranges with {option('bins')}, such as "
            f"{short(attribute, 30)}=30,60"
        )


def _ranges(
    attribute: str, cells: Sequence[str], unknown: NDArray[np.bool_], cuts: Sequence[float]
) -> tuple[tuple[str, ...], NDArray[np.int64], tuple[str, ...]]:
    values = np.full(len(cells), np.nan)
    for i, cell in enumerate(cells):
        if unknown[i]:
            continue
        text = clean(cell)
        if not is_number(text):
            raise UserError(
                f"attribute '{short(attribute)}' has {option('bins')}, but '{short(cell)}' is not "
                f"a number; if it means that the value is unknown, name it with "
                f"{option('unknown_values')}"
            )
        values[i] = float(text)
    whole = bool((np.mod(values[~np.isnan(values)], 1) == 0).all())
    names = range_names([float(cut) for cut in cuts], whole)
    index = np.searchsorted(np.asarray(cuts, float), values, side="right")
    return names, np.where(np.isnan(values), UNKNOWN, index), ()


def range_names(cuts: Sequence[float], whole: bool) -> tuple[str, ...]:
    """Names of the ranges between cuts; a cut belongs to the range above it.

    >>> range_names([30, 60], True)
    ('<30', '30-59', '60+')
    >>> range_names([0.5], False)
    ('<0.5', '>=0.5')
    """
    whole = whole and all(float(cut).is_integer() for cut in cuts)
    names = [f"<{cuts[0]:.15g}"]
    for low, high in pairwise(cuts):
        if whole:
            names.append(f"{low:.15g}" if high - low == 1 else f"{low:.15g}-{high - 1:.15g}")
        else:
            names.append(f"{low:.15g} to <{high:.15g}")
    names.append(f"{cuts[-1]:.15g}+" if whole else f">={cuts[-1]:.15g}")
    return tuple(names)


def _names(
    attribute: str,
    cells: Sequence[str],
    merge: Mapping[str, str] | None,
    fixed: Sequence[str] | None,
) -> tuple[tuple[str, ...], NDArray[np.int64], tuple[str, ...]]:
    found = reconcile({attribute: cells}, fixed, exact=fixed is not None, booleans=True)
    (index,) = found.indices
    if (index < 0).any():
        value = cells[int((index < 0).argmax())]
        raise UserError(
            f"'{short(value)}' in column '{short(attribute)}' is not a group; "
            f"{nearest(value, found.names)}"
        )
    if merge is None:
        return found.names, index, found.notes
    group_of = {key(value): name for value, name in merge.items()}
    present = {key(name) for name in found.names}
    for value in merge:
        if key(value) not in present:
            raise UserError(
                f"{option('merge')} of '{short(attribute)}' names '{short(value)}', which does not "
                f"occur; {nearest(value, found.names)}"
            )
    targets = [group_of.get(key(name), name) for name in found.names]
    # A target may be written in another form than a value that stays, or than another target.
    result = reconcile({attribute: list(dict.fromkeys([*merge.values(), *targets]))}, booleans=True)
    form = {key(name): name for name in result.names}
    names = tuple(dict.fromkeys(form[key(name)] for name in [*merge.values(), *targets]))
    position = np.array([names.index(form[key(target)]) for target in targets], np.int64)
    return names, np.append(position, UNKNOWN)[index], (*found.notes, *result.notes)


def _without_small(
    attribute: str, index: NDArray[np.int64], names: tuple[str, ...], smallest: int
) -> tuple[NDArray[np.int64], tuple[str, ...], tuple[str, ...]]:
    sizes = np.bincount(index[index != UNKNOWN], minlength=len(names))
    large = sizes >= smallest
    if large.all():
        return index, names, ()
    new_index = np.append(np.where(large, np.cumsum(large) - 1, UNKNOWN), UNKNOWN)
    small = [
        f"{name} ({n})" for name, n, ok in zip(names, sizes.tolist(), large, strict=True) if not ok
    ]
    kept = tuple(name for name, ok in zip(names, large, strict=True) if ok)
    note = (
        f"groups of '{short(attribute)}' with fewer than {smallest} samples are left out: "
        f"{short(', '.join(small), 300)}"
    )
    return new_index[index], kept, (note,)


def parse_bins(texts: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """Bins as the command line takes them: `age=30,60`.

    >>> parse_bins(["age=30,60"])
    {'age': (30.0, 60.0)}
    """
    bins: dict[str, tuple[float, ...]] = {}
    for text in texts:
        name, values = _divide("bins", text, "age=30,60")
        if name in bins:
            raise UserError(
                f"{option('bins')} names '{short(name)}' twice; give all its cuts at once"
            )
        try:
            bins[name] = tuple(float(value) for value in values.split(","))
        except ValueError:
            raise UserError(
                f"{option('bins')} is '{short(text)}'; give cuts, as in age=30,60"
            ) from None
    return bins


def parse_merges(texts: Sequence[str]) -> dict[str, dict[str, str]]:
    """Merges as the command line takes them: `skin=1,2,3:light;4,5,6:dark`.

    >>> parse_merges(["skin=1,2:light;5,6:dark"])
    {'skin': {'1': 'light', '2': 'light', '5': 'dark', '6': 'dark'}}
    """
    example = "skin=1,2,3:light;4,5,6:dark"
    merges: dict[str, dict[str, str]] = {}
    for text in texts:
        name, parts = _divide("merge", text, example)
        for part in filter(None, re.split(r"\s*;\s*", parts)):
            values, colon, target = part.rpartition(":")
            if not colon or not target.strip() or not values.strip():
                raise UserError(f"{option('merge')} is '{short(text)}'; write it as in {example}")
            for value in values.split(","):
                other = merges.setdefault(name, {}).setdefault(clean(value), target.strip())
                if other != target.strip():
                    raise UserError(
                        f"{option('merge')} puts '{short(value)}' into both '{short(other)}' and "
                        f"'{short(target)}'"
                    )
    return merges


def _divide(which: str, text: str, example: str) -> tuple[str, str]:
    name, equals, rest = text.partition("=")
    if not equals or not name.strip() or not rest.strip():
        raise UserError(f"{option(which)} is '{short(text)}'; write it as in {example}")
    return name.strip(), rest.strip()


def parse_pairs(which: str, texts: Sequence[str], example: str) -> dict[str, str]:
    """`NAME=VALUE` texts of an option as a dictionary."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, value = _divide(which, text, example)
        if pairs.setdefault(name, value) != value:
            raise UserError(f"{option(which)} gives '{short(name)}' twice")
    return pairs
