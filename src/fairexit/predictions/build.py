"""`Predictions` from columns of any origin: here names are reconciled, checked and counted."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError
from fairexit.predictions.classes import check_answers, find_classes
from fairexit.predictions.data import Names, Predictions
from fairexit.predictions.parts import Parts, complete
from fairexit.predictions.reading import MAX_VALUES, Reading
from fairexit.tabular.cells import coded
from fairexit.tabular.clusters import cluster_names
from fairexit.tabular.groupings import Grouping, make_groups, many_numbers
from fairexit.tabular.names import clean, is_unknown, key, unknown_mask

SPLIT_NAMES = {
    "training": "train",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "testing": "test",
}


def build(parts: Parts, reading: Reading, wanted: Sequence[str]) -> Predictions:
    """Reconcile the columns of a table.

    Args:
        parts: the columns.
        reading: what the cells mean.
        wanted: attributes to use, whatever they hold; of others, those that may be groups are used,
            and `left_out` says of the rest why not.
    Raises:
        UserError: labels, answers and classes do not fit each other, a cell is missing or not
            known, or a wanted attribute is no set of groups.
    """
    if not len(parts.labels):
        raise UserError("there are no rows")
    notes = list(parts.notes)
    parts, dropped = complete(parts, reading)
    notes += dropped
    ids = _ids(parts.ids, len(parts.labels))
    classes, labels, given, merged = find_classes(parts, reading, ids)
    notes += merged
    probabilities, exits = parts.probabilities, parts.exits
    if probabilities is not None:
        if given is not None:
            if len(exits) > 1:
                raise UserError(
                    f"the table has the probabilities of {len(exits)} exits and a column of "
                    "answers, which do not say of which exit they are; leave one of them out"
                )
            notes += check_answers(ids, given, probabilities[:, 0], classes)
        if len(exits) == 1 and _one_hot(probabilities):
            given = probabilities[:, 0].argmax(-1) if given is None else given
            probabilities = None
    attributes, group_names, said = _attributes(parts, reading.grouping, wanted)
    notes += said
    clusters, said = _clusters(parts.clusters, len(labels), reading)
    return Predictions(
        ids=ids,
        clusters=clusters,
        split=_splits(parts.splits, len(labels)),
        labels=labels,
        attributes=attributes,
        group_names=group_names,
        classes=classes,
        probabilities=probabilities,
        exit_names=exits,
        given=given,
        notes=tuple(dict.fromkeys([*notes, *said])),
        left_out=parts.left_out,
    )


def _one_hot(probabilities: NDArray[np.float32]) -> bool:
    """Whether probabilities are answers only, each 0 or 1."""
    parts = (probabilities[:100], probabilities)  # the first rows mostly tell
    return all(bool(((part == 0) | (part == 1)).all()) for part in parts)


def _attributes(
    parts: Parts, grouping: Grouping, wanted: Sequence[str]
) -> tuple[dict[str, NDArray[np.int64]], dict[str, tuple[str, ...]], list[str]]:
    attributes, group_names = {}, {}
    notes: list[str] = []
    for name, column in parts.attributes.items():
        is_wanted = name in wanted or name in parts.groups
        codes, cells = coded(column, name)
        if not is_wanted and (reason := _no_groups(cells, grouping)):
            parts.left_out[name] = reason
            continue
        made = make_groups(name, codes, cells, grouping=grouping, fixed=parts.groups.get(name))
        attributes[name], group_names[name] = made.index, made.names
        notes += made.notes
    grouping.check(list(attributes))
    return attributes, group_names, notes


def _no_groups(cells: Sequence[str], grouping: Grouping) -> str:
    """Why the cells of a column that nobody asked for are no groups; "" if they may be."""
    unknown = unknown_mask(cells, grouping.unknown_values)
    known = [cell for cell, skip in zip(cells, unknown, strict=True) if not skip]
    if len(known) > MAX_VALUES:
        return f"more than {MAX_VALUES} values"
    number = many_numbers(known)
    return f"a number with {number} values" if number else ""


def _clusters(column: Any, n: int, reading: Reading) -> tuple[Names, list[str]]:
    """Names of clusters, "" where they are not known, and notes."""
    if column is None:
        return np.full(n, "", object), []
    return cluster_names(reading.cluster, *coded(column, reading.cluster), reading.unknown_values)


def _splits(column: Any, n: int) -> Names:
    """Names of splits; the usual names of train, val and test in their usual form."""
    if column is None:
        return np.full(n, "", object)
    codes, cells = coded(column, "split")
    names = []
    for cell in cells:
        name = key(cell)
        usual = SPLIT_NAMES.get(name, name)
        names.append(
            "" if is_unknown(cell) else usual if usual in ("train", "val", "test") else clean(cell)
        )
    return np.array([*names, ""], object)[codes]


def _ids(column: Any, n: int) -> Names:
    """The ids as texts, (N,); without a column, the rows are numbered from 1."""
    if column is None:
        return np.arange(1, n + 1).astype(np.str_).astype(object)
    codes, cells = coded(column, "id")
    if (codes < 0).any():
        raise UserError(f"row {int((codes < 0).argmax()) + 1} has no id")
    return np.array(cells, object)[codes]
