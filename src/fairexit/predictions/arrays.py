"""Predictions of any model from arrays and data frames."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from fairexit.errors import UserError, option, short
from fairexit.predictions.build import build
from fairexit.predictions.data import Predictions
from fairexit.predictions.parts import Parts
from fairexit.predictions.reading import Reading
from fairexit.predictions.table import add_score, from_table
from fairexit.tabular.cells import arrow_column, coded, numbers_of
from fairexit.tabular.files import table_of
from fairexit.tabular.forms import TableFile
from fairexit.tabular.names import match, missing_classes, reconcile

if TYPE_CHECKING:
    import pandas as pd


def from_arrays(
    labels: ArrayLike,
    *,
    prediction: ArrayLike | None = None,
    probabilities: ArrayLike | None = None,
    score: ArrayLike | None = None,
    groups: Mapping[str, ArrayLike] | None = None,
    clusters: ArrayLike | None = None,
    ids: ArrayLike | None = None,
    splits: ArrayLike | None = None,
    reading: Reading | None = None,
) -> Predictions:
    """Predictions of one exit from arrays of N samples.

    Arrays may be lists, generators, NumPy arrays, tensors, or columns of pandas, Polars or Arrow.
    Names are reconciled as in a file of predictions.

    Args:
        labels: names of the true classes, (N,).
        prediction: names of the predicted classes, (N,). With probabilities, these answers are
            what is measured.
        probabilities: (N, C), each row sums to 1, in the order of the classes of `reading`.
        score: probabilities of the positive class of `reading`, (N,), for two classes.
        groups: attribute -> value of each sample, (N,); None, NaN, "" and "unknown" are unknown.
        clusters: lesion or patient of each sample, (N,); None or "" for a cluster of its own.
        ids: unique names, (N,); by default the rows are numbered from 1.
        splits: split of each sample, (N,).
        reading: classes, the positive class, and how groups are made.
    Raises:
        UserError: there are neither answers nor probabilities, lengths differ, or a value is one
            that `build` refuses.
    """
    reading = reading or Reading()
    if prediction is None and probabilities is None and score is None:
        raise UserError("give the predictions, the probabilities, or the score of one class")
    if probabilities is not None and score is not None:
        raise UserError("give the probabilities of all classes or the score of one, not both")
    given = {"labels": labels, "prediction": prediction, "score": score}
    _check_order(
        [labels, prediction, probabilities, score, clusters, ids, splits, *(groups or {}).values()]
    )
    given |= {"clusters": clusters, "ids": ids, "splits": splits}
    columns = {
        name: arrow_column(values, name) for name, values in given.items() if values is not None
    }
    attributes = {
        name: arrow_column(values, f"group '{name}'") for name, values in (groups or {}).items()
    }
    n = len(columns["labels"])
    for name, column in [*columns.items(), *((f"group '{k}'", v) for k, v in attributes.items())]:
        if len(column) != n:
            raise UserError(
                f"there are {len(column)} values of {name} but {n} labels; give one for each sample"
            )
    parts = Parts(
        labels=columns["labels"],
        answers=columns.get("prediction"),
        attributes=attributes,
        clusters=columns.get("clusters"),
        ids=columns.get("ids"),
        splits=columns.get("splits"),
        classes=None if reading.classes is None else [str(name) for name in reading.classes],
    )
    if score is not None:
        scores = numbers_of(columns["score"], "score")
        add_score(parts, scores, reading)
    elif probabilities is not None:
        _add_probabilities(parts, probabilities, reading)
    return build(parts, reading, list(attributes))


def _add_probabilities(parts: Parts, probabilities: Any, reading: Reading) -> None:
    """Add an array of probabilities or logits, (N, C), and its classes."""
    if hasattr(probabilities, "columns") and hasattr(probabilities, "to_numpy"):
        probabilities = _in_order(probabilities, parts)
    if hasattr(probabilities, "detach"):
        probabilities = probabilities.detach().cpu().numpy()
    try:
        rows = np.asarray(probabilities, np.float64)
    except (TypeError, ValueError):
        raise UserError("the probabilities are not an array of numbers (N, C)") from None
    n = len(parts.labels)
    if parts.classes is None:
        parts.classes = _class_names(coded(parts.labels, "labels").cells)
    if rows.shape != (n, len(parts.classes)):
        raise UserError(
            f"the probabilities have the shape {rows.shape}; {n} labels and {len(parts.classes)} "
            f"classes need ({n}, {len(parts.classes)}); name the classes with {option('classes')}, "
            f"or give the probability of one class as {option('score')}"
        )
    values = softmax(rows, axis=1) if reading.logits else rows
    parts.probabilities = values.astype(np.float32)[:, None]


def _in_order(frame: Any, parts: Parts) -> Any:
    """The numbers of a frame of probabilities, whose columns are called like the classes."""
    names = [str(name) for name in frame.columns]
    if parts.classes is None:
        parts.classes = names
        return frame.to_numpy()
    order = [match(name, names) for name in parts.classes]
    if None in order or len(names) != len(order):
        raise UserError(
            f"the columns of the probabilities are {short(', '.join(names))}, the classes are "
            f"{short(', '.join(parts.classes))}; call the columns like the classes"
        )
    return frame.to_numpy()[:, [names.index(str(name)) for name in order]]


def _check_order(values: Sequence[Any]) -> None:
    """Raise a UserError if two pandas objects have the same index in another order."""
    indexes = [value.index for value in values if hasattr(value, "iloc")]
    for index in indexes[1:]:
        first = indexes[0]
        if len(index) == len(first) and not index.equals(first) and set(index) == set(first):
            raise UserError(
                "two of the arrays have the same pandas index in another order, but values are "
                "paired by position; sort them alike first"
            )


def _class_names(cells: Sequence[str]) -> list[str]:
    """The classes of labels whose probabilities have no names: those that occur, in order."""
    missing = missing_classes(cells)
    return list(reconcile({"label": [cell for cell in cells if cell not in missing]}).names)


def from_frame(
    frame: "pd.DataFrame | Any",
    reading: Reading | None = None,
    groups: Sequence[str] = (),
    *,
    only: bool = False,
) -> Predictions:
    """Predictions from a data frame, of any number of exits.

    Args:
        frame: one row per sample, with the columns of a file of predictions: a frame of pandas or
            Polars, an Arrow table, or anything that has `to_pandas`.
        reading: the names of the columns and what their cells mean.
        groups: attributes to use, whatever they hold. Other columns are used if they have few
            values.
        only: whether no other column is an attribute.
    Raises:
        UserError: a column is missing, or a value is wrong.
    """
    return from_table(table_of_frame(frame), reading or Reading(), groups, only=only)


def table_of_frame(frame: "pd.DataFrame | Any", where: str = "the frame") -> TableFile:
    """A data frame, in any form that `from_frame` takes, as an open table.

    Args:
        frame: the frame.
        where: what it is called in messages.
    Raises:
        UserError: two columns have the same name.
    """
    names = [str(name) for name in getattr(frame, "column_names", None) or frame.columns]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"two columns are called '{short(twice)}'; rename one")
    if hasattr(frame, "iloc"):
        columns = {name: frame.iloc[:, i] for i, name in enumerate(names)}
    elif hasattr(frame, "__getitem__"):  # by column, as pandas has no whole numbers with gaps
        columns = {name: frame[name] for name in names}
    else:
        return table_of_frame(frame.to_pandas(), where)
    return table_of(columns, where)
