"""Predictions of any model from arrays and pandas data frames."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fairexit.errors import UserError, nearest, short
from fairexit.predictions.arrow import MAX_VALUES, Columns
from fairexit.predictions.data import Predictions, check_answers, first_row
from fairexit.types import PROBABILITY, UNKNOWN, UNKNOWN_NAMES

if TYPE_CHECKING:
    import pandas as pd


def from_arrays(
    labels: ArrayLike,
    *,
    prediction: ArrayLike | None = None,
    probabilities: ArrayLike | None = None,
    classes: Sequence[Any] | None = None,
    groups: Mapping[str, ArrayLike] | None = None,
    clusters: ArrayLike | None = None,
    ids: ArrayLike | None = None,
    splits: ArrayLike | None = None,
) -> Predictions:
    """Predictions of one exit from arrays of N samples.

    Args:
        labels: names of the true classes, (N,).
        prediction: names of the predicted classes, (N,). Give either these or probabilities.
        probabilities: (N, C), each row sums to 1, in the order of `classes`.
        classes: class names; by default the sorted labels and predictions that occur.
        groups: attribute -> value of each sample, (N,); None, NaN, "" and "unknown" are unknown.
        clusters: lesion or patient of each sample, (N,); None or "" for a cluster of its own.
        ids: unique names, (N,); by default the rows are numbered from 1.
        splits: split of each sample, (N,).
    Raises:
        UserError: both or neither of prediction and probabilities, different lengths, a label
            that is not a class, or a value that `Predictions` refuses.
    """
    if (prediction is None) == (probabilities is None):
        raise UserError("give either the predictions or the probabilities, and not both")
    true = _texts(labels)
    n = len(true)
    given = {"prediction": prediction, "clusters": clusters, "ids": ids, "splits": splits}
    given |= {f"group '{name}'": values for name, values in (groups or {}).items()}
    texts = {name: _texts(values) for name, values in given.items() if values is not None}
    for name, values in texts.items():
        if len(values) != n:
            raise UserError(
                f"there are {len(values)} values of {name} but {n} labels; give one for each sample"
            )
    names = texts.get("ids", np.arange(1, n + 1).astype(np.str_))
    if classes is None:
        occurring = np.concatenate([true, texts.get("prediction", true)])
        class_names = tuple(map(str, np.unique(occurring[occurring != ""])))
    else:
        class_names = tuple(_texts(classes).tolist())
    indices = _indices(true, class_names, names, "label")
    if probabilities is None:
        answers = _indices(texts["prediction"], class_names, names, "prediction")
        rows = np.eye(len(class_names), dtype=np.float32)[answers]
    else:
        rows = np.asarray(probabilities, np.float32)
        if rows.shape != (n, len(class_names)):
            raise UserError(
                f"the probabilities have the shape {rows.shape}; {n} labels and "
                f"{len(class_names)} classes need ({n}, {len(class_names)})"
            )
    attributes, group_names = {}, {}
    for name in groups or {}:
        attributes[name], group_names[name] = _group_indices(texts[f"group '{name}'"])
    blank = np.full(n, "")
    return Predictions(
        ids=names,
        clusters=texts.get("clusters", blank),
        split=texts.get("splits", blank),
        labels=indices,
        attributes=attributes,
        group_names=group_names,
        classes=class_names,
        probabilities=rows[:, None],
        exit_names=("f",),
        hard=prediction is not None,
    )


def _group_indices(values: NDArray[np.str_]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Group indices (N,), UNKNOWN where the value says so, and the names of the groups."""
    unknown = np.isin(np.strings.lower(np.strings.strip(values)), UNKNOWN_NAMES)
    names = np.unique(values[~unknown])
    indices = np.where(unknown, UNKNOWN, np.searchsorted(names, values))
    return indices, tuple(names.tolist())


def from_frame(
    frame: "pd.DataFrame",
    columns: Columns | None = None,
    groups: Sequence[str] = (),
    classes: Sequence[Any] | None = None,
) -> tuple[Predictions, dict[str, str]]:
    """Predictions of one exit from a data frame.

    Args:
        frame: one row per sample, with the columns of a file of predictions.
        columns: the names of the columns.
        groups: attributes to keep, however many values they have. Other columns are kept if they
            have at most `MAX_VALUES` values.
        classes: class names for a column of predictions; by default the labels and predictions
            that occur.
    Returns:
        The predictions, and the columns that were left out with the reason.
    Raises:
        UserError: a column is missing, or a value is one that `from_arrays` refuses.
    """
    columns = columns or Columns()
    names = [str(name) for name in frame.columns]
    columns.check(names)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"two columns are called '{short(twice)}'; rename one")
    for name in groups:
        if name not in names:
            raise UserError(f"the frame has no column '{short(name)}'; {nearest(name, names)}")
    probability_columns = [name for name in names if columns.is_probability(name)]
    if not probability_columns and columns.prediction not in names:
        raise UserError(
            f"the frame has neither a column '{short(columns.prediction)}' nor columns of "
            "probabilities; name the column of predictions, or the beginning of the names of the "
            "probability columns"
        )
    attributes, left_out = {}, {}
    for name in names:
        if name in groups or (columns.is_attribute(name) and frame[name].nunique() <= MAX_VALUES):
            attributes[name] = frame[name].to_numpy(object)
        elif columns.is_attribute(name):
            left_out[name] = f"more than {MAX_VALUES} values"
    optional = {
        key: frame[name].to_numpy(object)
        for key, name in (("clusters", columns.cluster), ("ids", columns.id))
        if name in names
    }
    if columns.split in names:
        optional["splits"] = frame[columns.split].to_numpy(object)
    answers: dict[str, Any] = {"prediction": frame.get(columns.prediction), "classes": classes}
    if probability_columns:
        answers = {
            "probabilities": frame[probability_columns].to_numpy(np.float32),
            "classes": [_class_of(name, columns) for name in probability_columns],
        }
    labels = frame[columns.label].to_numpy(object)
    predictions = from_arrays(labels, groups=attributes, **answers, **optional)
    if probability_columns and columns.prediction in names:
        given = _texts(frame[columns.prediction].to_numpy(object))
        answered = _indices(given, predictions.classes, predictions.ids, "prediction")
        check_answers(predictions.ids, answered, predictions.probabilities[:, 0])
    return predictions, left_out


def _class_of(column: str, columns: Columns) -> str:
    """The class whose probabilities a column holds."""
    if columns.prob_prefix:
        return column.removeprefix(columns.prob_prefix)
    match = PROBABILITY.fullmatch(column)
    if match is None or match[1] not in (None, "f"):
        raise UserError(
            f"column '{short(column)}' is of one exit among several, and a frame must hold a "
            "single exit; audit the file instead"
        )
    return match[2]


def _texts(values: Any) -> NDArray[np.str_]:
    """Values as texts: whole numbers without a decimal point, missing values as ""."""
    return np.array([_text(value) for value in np.asarray(values, object).tolist()], np.str_)


def _text(value: Any) -> str:
    text = str(value)
    if value is None or text == "<NA>" or value != value:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else text


def _indices(
    values: NDArray[np.str_], classes: Sequence[str], ids: NDArray[np.str_], column: str
) -> NDArray[np.int64]:
    """Indices of values into the classes, (N,)."""
    index_of = {name: index for index, name in enumerate(classes)}
    indices = np.array([index_of.get(value, -1) for value in values.tolist()], np.int64)
    wrong = indices < 0
    if wrong.any():
        value = str(values[np.argmax(wrong)])
        raise UserError(
            f"{first_row(ids, wrong)}: {column} '{short(value)}' is not a class; "
            f"{nearest(value, classes)}"
        )
    return indices
