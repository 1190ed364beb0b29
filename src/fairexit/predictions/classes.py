"""The classes of a table: its labels and answers as indices into one list of names."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError, nearest, option, short
from fairexit.predictions.data import Names, first_row
from fairexit.predictions.parts import MAX_CLASSES, Parts
from fairexit.predictions.reading import Reading
from fairexit.tabular.cells import Coded, coded
from fairexit.tabular.names import is_number, key, reconcile


def find_classes(
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
