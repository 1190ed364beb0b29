"""Labels and sensitive features in any array-like form, as indices into classes and groups."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairexit.errors import UserError, short
from fairexit.tabular.names import key
from fairexit.types import UNKNOWN

ARRAYS = (np.ndarray, pd.Series, pd.Index, pd.api.extensions.ExtensionArray)


class Encoded(NamedTuple):
    """Samples as indices, the form that `fairexit.metrics.count` takes, and their names."""

    labels: NDArray[np.int64]
    """True classes, (N,)."""
    predicted: NDArray[np.int64]
    """Predicted classes, (N,)."""
    groups: NDArray[np.int64]
    """Groups, (N,), or UNKNOWN where a sensitive feature is missing."""
    class_names: list[Any]
    """Name of each class, C."""
    group_names: list[Any]
    """Name of each group, M."""


def encode(
    y_true: Any, y_pred: Any, sensitive_features: Any, *, labels: Any = None, groups: Any = None
) -> Encoded:
    """Turn array-likes of N samples into indices of classes and groups.

    Values are matched by position, never by a pandas index.

    Args:
        y_true: true classes, (N,).
        y_pred: predicted classes, (N,).
        sensitive_features: (N,), or several features that are crossed: (N, F), a frame or a
            mapping. A sample that lacks one of its features has an unknown group.
        labels: the classes in order; by default the sorted values that occur.
        groups: the groups in order, tuples for crossed features; by default the sorted values
            that occur.
    Raises:
        UserError: the lengths differ, a label is missing, a value is not in `labels` or `groups`,
            or the names cannot be sorted.
    """
    true, predicted = _label_column("y_true", y_true), _label_column("y_pred", y_pred)
    features = _columns("sensitive_features", sensitive_features)
    if not features:
        raise UserError("sensitive_features has no column; give at least one feature")
    for argument, column in [("y_pred", predicted), *(("sensitive_features", f) for f in features)]:
        if len(column) != len(true):
            raise UserError(
                f"y_true has {len(true)} values and {argument} {len(column)}; give one for every "
                "sample"
            )
    both = pd.concat([true, predicted], ignore_index=True)
    class_index, class_names = _indices("labels", both, labels)
    if labels is None:
        _check_classes(class_names)
        _check_shared(true, predicted)
    group_index, group_names = _indices("groups", _crossed(features), groups)
    halves = class_index[: len(true)], class_index[len(true) :]
    return Encoded(*halves, group_index, class_names, group_names)


def sorted_names(argument: str, names: Iterable[Any]) -> list[Any]:
    """Names in ascending order.

    Raises:
        UserError: their types cannot be compared, such as text and numbers.
    """
    names = list(names)
    try:
        return sorted(names)
    except TypeError:
        kinds = {type(name).__name__: name for name in names}
        examples = " and ".join(f"{name!r} ({kind})" for kind, name in sorted(kinds.items()))
        raise UserError(f"{argument} mix {examples}; give all of them in one form") from None


def _label_column(argument: str, values: Any) -> pd.Series:
    columns = _columns(argument, values)
    if len(columns) != 1:
        raise UserError(f"{argument} has {len(columns)} columns; give one label for every sample")
    missing = columns[0].isna().to_numpy()
    if missing.any():
        raise UserError(f"{argument}[{missing.argmax()}] is missing; every sample needs a label")
    return columns[0]


def _columns(argument: str, values: Any) -> list[Any]:
    """The columns of an array-like: a single one, or several if it has two dimensions."""
    if hasattr(values, "to_pandas"):  # Arrow and Polars objects
        values = values.to_pandas()
    is_text = isinstance(values, str | bytes)
    if is_text or not hasattr(values, "__iter__") or getattr(values, "ndim", 1) == 0:
        raise UserError(f"{argument} is the single value {values!r}; give one for every sample")
    if isinstance(values, Mapping):
        return [c for column in values.values() for c in _columns(argument, column)]
    if isinstance(values, pd.DataFrame):
        return [values.iloc[:, column] for column in range(values.shape[1])]
    if isinstance(values, ARRAYS) and values.ndim == 1:
        return [pd.Series(values)]
    items = [_plain(value) for value in _plain(values)]
    if not any(isinstance(item, list | tuple) for item in items):
        return [pd.Series(items, dtype=object)]
    widths = {len(item) if isinstance(item, list | tuple) else 0 for item in items}
    cells = [_plain(cell) for item in items if isinstance(item, list | tuple) for cell in item]
    if len(widths) > 1 or any(isinstance(cell, list | tuple) for cell in cells):
        raise UserError(f"{argument} is neither one column nor a table of equally long rows")
    width = widths.pop()
    return [pd.Series(cells[column::width], dtype=object) for column in range(width)]


def _plain(value: Any) -> Any:
    """An array, a tensor on any device or a NumPy scalar as plain Python values."""
    return value.tolist() if hasattr(value, "tolist") else value


def _crossed(columns: list[Any]) -> pd.Series:
    """Several features crossed into one column of tuples, missing where any feature is."""
    if len(columns) == 1:
        return columns[0]
    rows = zip(*columns, strict=True)
    known = ~np.logical_or.reduce([column.isna().to_numpy() for column in columns])
    tuples = [row if complete else None for row, complete in zip(rows, known, strict=True)]
    return pd.Series(tuples, dtype=object)


def _indices(argument: str, values: pd.Series, fixed: Any) -> tuple[NDArray[np.int64], list[Any]]:
    """Indices of values into names (UNKNOWN where a value is missing), and the names."""
    codes, uniques = pd.factorize(values)
    present = uniques.tolist()
    _check_forms(argument, present if fixed is None else [*_fixed_names(argument, fixed), *present])
    names = sorted_names(argument, present) if fixed is None else _fixed_names(argument, fixed)
    if not names:
        raise UserError(f"{argument}: no sample has a value; check the input or give {argument}")
    index_of = {name: index for index, name in enumerate(names)}
    for name in present:
        if name not in index_of:
            raise UserError(f"the value {name!r} occurs and is not in {argument}={names}")
    # A missing value has the code -1, which selects the last entry.
    index_of_code = np.array([*(index_of[name] for name in present), UNKNOWN], np.int64)
    return index_of_code[codes], names


def _fixed_names(argument: str, fixed: Any) -> list[Any]:
    names = _crossed(_columns(argument, fixed))
    if names.isna().any() or names.duplicated().any():
        raise UserError(f"{argument}={names.tolist()} has a missing or repeated entry; remove it")
    return names.tolist()


def _check_shared(true: pd.Series, predicted: pd.Series) -> None:
    """Raise a UserError if labels of several classes and predictions have no value in common."""
    values, answers = true.unique().tolist(), predicted.unique().tolist()
    forms = {key(str(value)) for value in values}
    shared = set(values) & set(answers) or forms & {key(str(answer)) for answer in answers}
    if len(values) > 1 and not shared:
        raise UserError(
            f"y_true and y_pred share no value: {short(repr(values[0]))} and "
            f"{short(repr(answers[0]))}, for example; give both in one form, or all classes as "
            "'labels' if this is right"
        )


def _check_forms(argument: str, values: Iterable[Any]) -> None:
    """Raise a UserError if two values are one name in two forms, such as "mel" and "MEL"."""
    seen: dict[Any, Any] = {}
    for value in values:
        parts = value if isinstance(value, tuple) else (value,)
        other = seen.setdefault(tuple(key(str(part)) for part in parts), value)
        if other != value:
            raise UserError(
                f"{argument}: {short(repr(other))} and {short(repr(value))} differ only in form; "
                "write one name in one way"
            )


def _check_classes(names: list[Any]) -> None:
    for name in names:
        if isinstance(name, float) and not name.is_integer():
            raise UserError(
                f"y_true and y_pred must hold classes, not scores; {name} is no whole number"
            )
