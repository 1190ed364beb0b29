"""Predictions from arrays and pandas frames: any model's answers in memory."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fairexit.errors import UserError, nearest, short
from fairexit.predictions.arrow import MOST_VALUES, Columns
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
        labels: true classes, by name, (N,).
        prediction: predicted classes, by name, (N,); or
        probabilities: (N, C), each row sums to 1, in the order of `classes`.
        classes: class names; by default the labels and predictions that occur, in order.
        groups: attribute -> value of each sample, (N,); None, NaN, "" and "unknown" are unknown.
        clusters: lesion or patient of each sample, None or "" for one of its own.
        ids: unique names; by default the rows are numbered from 1.
        splits: split of each sample.
    Raises:
        UserError: both or neither of prediction and probabilities, lengths that differ, a label
            that is no class, or what `Predictions` refuses.
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
    seen = np.concatenate([true, texts.get("prediction", true)])
    there = np.unique(seen[seen != ""])
    known = tuple(_texts(classes).tolist()) if classes is not None else tuple(there)
    known = tuple(map(str, known))
    indices = _indices(true, known, names, "label")
    if probabilities is None:
        answers = _indices(texts["prediction"], known, names, "prediction")
        rows = np.eye(len(known), dtype=np.float32)[answers]
    else:
        rows = np.asarray(probabilities, np.float32)
        if rows.shape != (n, len(known)):
            raise UserError(
                f"the probabilities have the shape {rows.shape}; {n} labels and {len(known)} "
                f"classes need ({n}, {len(known)})"
            )
    attributes, group_names = {}, {}
    for name in groups or {}:
        values = texts[f"group '{name}'"]
        plain = np.strings.lower(np.strings.strip(values))
        unknown = np.isin(plain, UNKNOWN_NAMES)
        there = np.unique(values[~unknown])
        attributes[name] = np.where(unknown, UNKNOWN, np.searchsorted(there, values))
        group_names[name] = tuple(there.tolist())
    blank = np.full(n, "")
    return Predictions(
        ids=names,
        clusters=texts.get("clusters", blank),
        split=texts.get("splits", blank),
        labels=indices,
        attributes=attributes,
        group_names=group_names,
        classes=known,
        probabilities=rows[:, None],
        exit_names=("f",),
        hard=prediction is not None,
    )


def from_frame(
    frame: "pd.DataFrame",
    columns: Columns | None = None,
    groups: Sequence[str] = (),
    classes: Sequence[Any] | None = None,
) -> tuple[Predictions, dict[str, str]]:
    """Predictions of one exit from a frame.

    Args:
        frame: a row per sample, columns as in a file of predictions.
        columns: what they are called.
        groups: attributes that are kept whatever they hold. Of the other columns those with few
            values are kept too.
        classes: class names, where the answers name none of the rare ones.
    Returns:
        The predictions, and the columns that were left out with the reason.
    Raises:
        UserError: a column is missing, or what `from_arrays` refuses.
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
    chosen = [name for name in names if columns.is_probability(name)]
    if not chosen and columns.prediction not in names:
        raise UserError(
            f"the frame has neither a column '{short(columns.prediction)}' nor columns of "
            "probabilities; name the column of predictions, or the beginning of the names of the "
            "probability columns"
        )
    kept, left_out = {}, {}
    for name in names:
        if name in groups or (columns.is_attribute(name) and frame[name].nunique() <= MOST_VALUES):
            kept[name] = frame[name].to_numpy(object)
        elif columns.is_attribute(name):
            left_out[name] = f"more than {MOST_VALUES} values"
    optional = {
        key: frame[name].to_numpy(object)
        for key, name in (("clusters", columns.cluster), ("ids", columns.id))
        if name in names
    }
    if columns.split in names:
        optional["splits"] = frame[columns.split].to_numpy(object)
    answers: dict[str, Any] = {"prediction": frame.get(columns.prediction), "classes": classes}
    if chosen:
        answers = {
            "probabilities": frame[chosen].to_numpy(np.float32),
            "classes": [_class_of(name, columns) for name in chosen],
        }
    found = from_arrays(frame[columns.label].to_numpy(object), groups=kept, **answers, **optional)
    if chosen and columns.prediction in names:
        given = _texts(frame[columns.prediction].to_numpy(object))
        answered = _indices(given, found.classes, found.ids, "prediction")
        check_answers(found.ids, answered, found.probabilities[:, 0])
    return found, left_out


def _class_of(column: str, columns: Columns) -> str:
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
    """Values as texts: whole numbers without a point, nothing as ""."""
    return np.array([_text(value) for value in np.asarray(values, object).tolist()], np.str_)


def _text(value: Any) -> str:
    text = str(value)
    if value is None or text == "<NA>" or value != value:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else text


def _indices(
    values: NDArray[np.str_], known: Sequence[str], ids: NDArray[np.str_], what: str
) -> NDArray[np.int64]:
    place = {name: index for index, name in enumerate(known)}
    found = np.array([place.get(value, -1) for value in values.tolist()], np.int64)
    if (found < 0).any():
        value = str(values[np.argmax(found < 0)])
        raise UserError(
            f"{first_row(ids, found < 0)}: {what} '{short(value)}' is not a class; "
            f"{nearest(value, known)}"
        )
    return found
