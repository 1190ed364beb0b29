"""The columns of a table of predictions before their names are reconciled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fairexit.errors import UserError, option, short
from fairexit.predictions.reading import Reading
from fairexit.tabular.cells import Coded, coded
from fairexit.tabular.names import clean, missing_classes

MAX_CLASSES = 5_000
"""Classes that a table may have."""

COLUMN_OF = {"a label": "label", "an answer": "prediction"}

MAX_FORMS = 10
"""Forms of each name, in the mean, up to which the names of classes are reconciled."""


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


def complete(parts: Parts, reading: Reading) -> tuple[Parts, list[str]]:
    """Check that no row lacks its label or answer, or leave such rows out.

    Returns:
        The columns of the rows that are left, and notes on the others.
    Raises:
        UserError: a label or an answer is missing, and rows are not to be left out.
    """
    columns = {"a label": coded(parts.labels, "label")}
    if parts.answers is not None:
        columns["an answer"] = coded(parts.answers, "prediction")
    blank_cells = _blank_cells(parts, columns)
    missing = {what: _rows_of(column, blank_cells) for what, column in columns.items()}
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

    # Rows without ids keep the numbers that they have in the table.
    numbers = pa.chunked_array([pa.array(np.flatnonzero(keep) + 1)])
    return replace(
        parts,
        labels=kept(parts.labels),
        answers=kept(parts.answers),
        probabilities=None if parts.probabilities is None else parts.probabilities[keep],
        attributes={name: kept(column) for name, column in parts.attributes.items()},
        clusters=kept(parts.clusters),
        ids=numbers if parts.ids is None else kept(parts.ids),
        splits=kept(parts.splits),
    ), notes


def _blank_cells(parts: Parts, columns: Mapping[str, Coded]) -> set[str]:
    """The cells that are empty or say that the class is missing."""
    for what, column in columns.items():
        _check_few(column.cells, COLUMN_OF[what])
    cells = [cell for column in columns.values() for cell in column.cells]
    says_so = set() if parts.exact else missing_classes(cells) - set(parts.classes or ())
    return says_so | {cell for cell in cells if not clean(cell)}


def _rows_of(column: Coded, blank_cells: set[str]) -> NDArray[np.bool_]:
    """The rows whose cell is blank, (N,)."""
    blank = np.array([cell in blank_cells for cell in column.cells] + [True])
    rows: NDArray[np.bool_] = blank[column.codes]
    return rows


def _check_few(cells: Sequence[str], name: str) -> None:
    """Raise a UserError if there are so many cells that they cannot be classes in any form."""
    if len(cells) > MAX_FORMS * MAX_CLASSES:
        raise UserError(
            f"column '{short(name)}' has {len(cells):,} different cells, which are no classes; at "
            f"most {MAX_CLASSES:,} are read. Is it the right column?"
        )
