"""`Predictions` from columns of any origin: here names are reconciled, checked and counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError, nearest, option, short
from fairexit.predictions.data import Names, Predictions, first_row
from fairexit.predictions.reading import MAX_VALUES, Reading
from fairexit.tabular.cells import Coded, coded
from fairexit.tabular.clusters import cluster_names
from fairexit.tabular.groupings import Grouping, make_groups
from fairexit.tabular.names import (
    clean,
    is_number,
    is_unknown,
    key,
    missing_classes,
    reconcile,
)

MAX_CLASSES = 5_000
"""Classes that a table may have."""

MAX_FORMS = 10
"""Forms of each name, in the mean, up to which the names of classes are reconciled."""

SPLIT_NAMES = {
    "training": "train",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "testing": "test",
}


@dataclass
class Parts:
    """The columns of a table, not yet reconciled. Arrow columns have N cells.

    Attributes:
        labels: Arrow column of the true classes.
        answers: Arrow column of the predicted classes, or None.
        probabilities: (N, E, C), or None if not known.
        exits: E names, the final exit "f" last.
        classes: the classes of the probabilities, or those that the caller names, or None.
        attributes: name -> Arrow column.
        clusters, ids, splits: Arrow columns, or None.
        groups: attribute -> its groups, where a file of ours states them.
        exact: whether names are taken as they stand, as in a file of ours.
        notes: what is known already about how the table was read.
        left_out: column that is no attribute -> reason.
    """

    labels: Any
    answers: Any = None
    probabilities: NDArray[np.float32] | None = None
    exits: tuple[str, ...] = ("f",)
    classes: Sequence[str] | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    clusters: Any = None
    ids: Any = None
    splits: Any = None
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    exact: bool = False
    notes: tuple[str, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)


def build(parts: Parts, reading: Reading, wanted: Sequence[str] | None = None) -> Predictions:
    """Reconcile the columns of a table.

    Args:
        parts: the columns.
        reading: what the cells mean.
        wanted: attributes to use, whatever they hold; None uses every column of few values, and
            says of the others why they are left out.
    Raises:
        UserError: labels, answers and classes do not fit each other, a cell is missing or not
            known, or a wanted attribute is no set of groups.
    """
    if not len(parts.labels):
        raise UserError("there are no rows")
    notes = list(parts.notes)
    parts, dropped = _complete(parts, reading)
    notes += dropped
    ids = _ids(parts.ids, len(parts.labels))
    classes, labels, given, merged = _classes(parts, reading, ids)
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


def _complete(parts: Parts, reading: Reading) -> tuple[Parts, list[str]]:
    """Check that no row lacks its label or answer, or leave such rows out."""
    missing = {"a label": _empty(parts, parts.labels, "label")}
    if parts.answers is not None:
        missing["an answer"] = _empty(parts, parts.answers, "prediction")
    if parts.probabilities is not None:
        blank = np.isnan(parts.probabilities.sum((1, 2)))
        missing["an answer"] = blank | missing.get("an answer", np.zeros_like(blank))
    notes = []
    for what, rows in missing.items():
        if not rows.any():
            continue
        n, first = int(rows.sum()), int(rows.argmax()) + 1
        if rows.all():
            raise UserError(f"every row lacks {what}; is it the right column?")
        if not reading.drop_missing:
            raise UserError(
                f"{what} is missing in {n} row{'s' * (n > 1)} (first in row {first}); complete "
                f"the table, or leave such rows out with {option('drop_missing')}"
            )
        notes.append(f"{n} row{'s' * (n > 1)} without {what} {'were' if n > 1 else 'was'} left out")
    if not notes:
        return parts, []
    keep = ~np.any(list(missing.values()), axis=0)
    if not keep.any():
        raise UserError("no row has both a label and an answer")

    def kept(column: Any) -> Any:
        return None if column is None else column.filter(keep)

    return (
        Parts(
            labels=kept(parts.labels),
            answers=kept(parts.answers),
            probabilities=None if parts.probabilities is None else parts.probabilities[keep],
            exits=parts.exits,
            classes=parts.classes,
            attributes={name: kept(column) for name, column in parts.attributes.items()},
            clusters=kept(parts.clusters),
            ids=kept(parts.ids),
            splits=kept(parts.splits),
            groups=parts.groups,
            exact=parts.exact,
            left_out=parts.left_out,
        ),
        notes,
    )


def _empty(parts: Parts, column: Any, name: str) -> NDArray[np.bool_]:
    """Which cells of a column of classes are empty or say that they are, (N,)."""
    codes, cells = coded(column, name)
    _check_few(cells, name)
    classes = set(parts.classes or ())
    says_so = set() if parts.exact else missing_classes(cells) - classes
    blank = np.array([cell in says_so or not clean(cell) for cell in [*cells, ""]])
    missing: NDArray[np.bool_] = blank[codes]
    return missing


def _check_few(cells: Sequence[str], name: str) -> None:
    """Raise a UserError if there are so many cells that they cannot be classes in any form."""
    if len(cells) > MAX_FORMS * MAX_CLASSES:
        raise UserError(
            f"column '{short(name)}' has {len(cells):,} different cells, which are no classes; at "
            f"most {MAX_CLASSES:,} are read. Is it the right column?"
        )


def _classes(
    parts: Parts, reading: Reading, ids: Names
) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64] | None, tuple[str, ...]]:
    """The classes, the labels (N,), the answers (N,) if they are given, and notes."""
    columns = {reading.label: coded(parts.labels, reading.label)}
    if parts.answers is not None:
        columns[reading.prediction] = coded(parts.answers, reading.prediction)
        _check_no_score(reading, columns[reading.prediction].cells, columns[reading.label].cells)
    for name, column in columns.items():
        if name in column.cells and parts.classes is None and len(column.cells) > 2:
            row = int((column.codes == column.cells.index(name)).argmax()) + 1
            raise UserError(f"row {row} repeats the header: '{short(name)}' stands in its column")
    result = reconcile(
        {name: column.cells for name, column in columns.items()},
        parts.classes,
        booleans=True,
        exact=parts.exact,
    )
    if len(result.names) > MAX_CLASSES:
        raise UserError(
            f"column '{short(reading.label)}' has {len(result.names):,} different names, which are "
            f"no classes; at most {MAX_CLASSES:,} are read. Is it the right column?"
        )
    indices = []
    for (name, column), index_of_cell in zip(columns.items(), result.indices, strict=True):
        index = index_of_cell[column.codes]
        if (index < 0).any():
            raise _no_class(name, column, index, names=result.names, ids=ids)
        indices.append(index)
    notes = result.notes
    if parts.classes is None and len(indices) > 1:
        notes += _check_overlap(*indices, reading=reading, names=result.names)
    return result.names, indices[0], indices[1] if len(indices) > 1 else None, notes


def _no_class(
    name: str,
    column: Coded,
    index: NDArray[np.int64],
    *,
    names: Sequence[str],
    ids: Names,
) -> UserError:
    """The error about cells that are no class, where the index (N,) is negative."""
    wrong = index < 0
    if wrong.all():
        return UserError(
            f"column '{short(name)}' and the classes share no name: the column has "
            f"{_some(column.cells)}, the classes are {_some(names)}"
        )
    value = column.cells[int(column.codes[np.argmax(wrong)])]
    return UserError(
        f"{first_row(ids, wrong)}: '{short(value)}' in column '{short(name)}' is not a class; "
        f"{nearest(value, names)}"
    )


def _check_no_score(reading: Reading, answers: Sequence[str], labels: Sequence[str]) -> None:
    """Raise a UserError if answers are numbers with decimals that no label has."""
    known = {key(label) for label in labels}
    scores = [a for a in answers if is_number(a) and "." in key(a) and key(a) not in known]
    if len(scores) > len(answers) / 2:
        raise UserError(
            f"column '{short(reading.prediction)}' holds numbers such as {short(scores[0])}, not "
            f"class names; give it as {option('score')} together with {option('positive')}, the "
            "class whose probability it is"
        )


def _check_overlap(
    labels: NDArray[np.int64],
    answers: NDArray[np.int64],
    *,
    reading: Reading,
    names: Sequence[str],
) -> tuple[str, ...]:
    """Notes about answers that no label has; a UserError if most answers are such."""
    occurs = np.bincount(labels, minlength=len(names)) > 0
    strange = ~occurs[answers]
    if not strange.any():
        return ()
    known = [name for name, ok in zip(names, occurs, strict=True) if ok]
    others = [names[i] for i in np.unique(answers[strange])]
    if strange.mean() <= 0.5:
        return (
            f"{int(strange.sum())} of {len(answers)} answers are names that no label has: "
            f"{_some(others)}; they count as wrong",
        )
    how_many = f"{int(strange.sum())} of {len(answers)} answers are names that no label has"
    raise UserError(
        f"{how_many}: column '{short(reading.label)}' has {_some(known)}, column "
        f"'{short(reading.prediction)}' has {_some(others)}; write both in the same way, or give "
        f"all classes as {option('classes')} if this is right"
    )


def _some(names: Sequence[str]) -> str:
    return short(", ".join(f"'{short(name, 30)}'" for name in names[:5]), 120) + (
        " ..." if len(names) > 5 else ""
    )


def check_answers(
    ids: Names,
    answers: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    classes: Sequence[str],
) -> list[str]:
    """Check that the answers given do not contradict the probabilities.

    An answer is the most probable class or, for two classes, every answer follows one cut-off.

    Args:
        ids: names of the samples, (N,).
        answers: indices of the predicted classes, (N,).
        probabilities: (N, C).
        classes: C names.
    Returns:
        Notes: a cut-off that is not the middle.
    Raises:
        UserError: answers and probabilities contradict each other.
    """
    wrong = probabilities[np.arange(len(answers)), answers] < probabilities.max(1) - 1e-6
    if not wrong.any():
        return []
    if len(classes) == 2:
        scores, positive = probabilities[:, 1], answers == 1
        low = float(scores[positive].min(initial=np.inf))
        high = float(scores[~positive].max(initial=-np.inf))
        if high <= low and positive.any() and not positive.all():
            return [
                f"the answers given are measured; they follow a cut-off of the probability of "
                f"'{short(classes[1])}' between {high:.4g} and {low:.4g}, not the more probable "
                "class"
            ]
    raise UserError(
        f"{first_row(ids, wrong)}: the predicted class does not have the largest probability, in "
        f"{int(wrong.sum())} of {len(wrong)} rows; leave out the column of predictions or the "
        "probabilities"
    )


def _attributes(
    parts: Parts, grouping: Grouping, wanted: Sequence[str] | None
) -> tuple[dict[str, NDArray[np.int64]], dict[str, tuple[str, ...]], list[str]]:
    attributes, group_names = {}, {}
    notes: list[str] = []
    for name, column in parts.attributes.items():
        is_wanted = (wanted is not None and name in wanted) or name in grouping.bins
        try:
            codes, cells = coded(column, name)
            known = np.unique(codes[codes >= 0])
            if not is_wanted and len(known) > MAX_VALUES:
                raise UserError(f"more than {MAX_VALUES} values")
            made = make_groups(name, codes, cells, grouping=grouping, fixed=parts.groups.get(name))
        except UserError as error:
            if is_wanted:
                raise
            parts.left_out[name] = error.plain.split(";")[0].split("which are")[0].strip(" ,")
            continue
        attributes[name], group_names[name] = made.index, made.names
        notes += made.notes
    grouping.check(list(attributes))
    return attributes, group_names, notes


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
