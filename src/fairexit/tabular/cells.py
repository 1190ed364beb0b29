"""The cells of columns: numbers, texts, and the different values of a column."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fairexit.errors import UserError, reason, short

MAX_CELL = 1_000
"""Characters that a name in a cell may have."""


def arrow_column(values: Any, name: str) -> Any:
    """Values in any array-like form as an Arrow array; mixed values become texts.

    Args:
        values: a list, generator, NumPy array, tensor, pandas, Arrow or Polars column, (N,).
        name: the column's name, for messages.
    Raises:
        UserError: the values have more than one dimension, or are a single one.
    """
    if isinstance(values, pa.ChunkedArray):
        return values
    if isinstance(values, pa.Array):
        return pa.chunked_array([values])
    if hasattr(values, "to_arrow"):
        return arrow_column(values.to_arrow(), name)
    if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
        raise UserError(
            f"{name} is the single value {short(repr(values))}; give one for every sample"
        )
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    if getattr(values, "ndim", 1) != 1:
        raise UserError(f"{name} has the shape {tuple(values.shape)}; give one value a sample")
    if isinstance(values, np.ndarray | pd.Series | pd.Index) and values.dtype != object:
        try:
            return pa.chunked_array([pa.array(values, from_pandas=True)])
        except pa.ArrowException:
            pass
    items = [_plain(value) for value in values]
    try:
        return pa.chunked_array([pa.array(items, from_pandas=True)])
    except (pa.ArrowException, OverflowError):
        mixed = [None if _is_missing(item) else str(item) for item in items]
        return pa.chunked_array([pa.array(mixed, pa.string())])


def _plain(value: Any) -> Any:
    """A NumPy or tensor scalar as a plain Python value."""
    return value.item() if getattr(value, "shape", None) == () else value


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and value != value)


def is_scalar(kind: Any) -> bool:
    """Whether cells of an Arrow type are single values, not lists, records or bytes."""
    if pa.types.is_dictionary(kind):
        return is_scalar(kind.value_type)
    return not (
        pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    )


def numbers_of(column: Any, name: str) -> NDArray[np.float64]:
    """An Arrow column as numbers, (N,); NaN where a cell is empty.

    Raises:
        UserError: a cell is not a number.
    """
    try:
        values: NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
    except (pa.ArrowException, ValueError) as error:
        raise UserError(
            f"column '{short(name)}' does not hold numbers: {short(reason(error))}"
        ) from None
    return values


def texts(column: Any, name: str) -> list[str | None]:
    """The cells of an Arrow column as texts, None where a cell is empty."""
    codes, names = coded(column, name)
    lookup: list[str | None] = [*names, None]
    return [lookup[code] or None for code in codes.tolist()]


class Coded(NamedTuple):
    """A column as numbers of its different cells.

    Attributes:
        codes: index of each cell in `cells`, (N,); -1 where the cell is empty.
        cells: the different cells as texts.
    """

    codes: NDArray[np.int64]
    cells: list[str]


def coded(column: Any, name: str) -> Coded:
    """An Arrow column as numbers of its different cells.

    Args:
        column: an Arrow column, (N,).
        name: its name, for messages.
    Raises:
        UserError: the cells are lists or bytes, are not UTF-8, or one is very long.
    """
    if not is_scalar(column.type):
        raise UserError(f"column '{short(name)}' holds {column.type}, not single values")
    try:
        if pa.types.is_string(column.type):
            column = column.cast(pa.large_string())  # one array may hold more than 2 GB
        if pa.types.is_dictionary(column.type):
            whole = column.unify_dictionaries().combine_chunks()
        else:
            # In this order: encoded chunks would each hold the cells of all chunks before them.
            whole = column.combine_chunks().dictionary_encode()
        if isinstance(whole, pa.ChunkedArray):  # an empty column
            return Coded(np.empty(0, np.int64), [])
        codes = whole.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        _check_lengths(whole.dictionary, codes, name)
        cells = whole.dictionary
        names = (
            cells.fill_null("").to_pylist()
            if _is_text(cells.type)
            else [_text(value) for value in cells.to_pylist()]
        )
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise UserError(f"column '{short(name)}' is not readable: {reason(error)}") from None
    occurs = np.bincount(codes + 1, minlength=len(names) + 1)[1:] > 0
    kept = occurs & np.array([text != "" for text in names], bool)
    if kept.all():
        return Coded(codes, names)
    # A column of categories may list some that no row has.
    new = np.append(np.where(kept, np.cumsum(kept) - 1, -1), -1)
    return Coded(new[codes], [text for text, keep in zip(names, kept, strict=True) if keep])


def _check_lengths(cells: Any, codes: NDArray[np.int64], name: str) -> None:
    """Raise a UserError if a text is very long, before all are made Python objects."""
    if not _is_text(cells.type):
        return
    lengths = pc.utf8_length(cells).to_numpy(zero_copy_only=False)
    if len(lengths) and (longest := lengths.max()) > MAX_CELL:
        row = int((codes == lengths.argmax()).argmax()) + 1
        raise UserError(
            f"row {row}: the cell in column '{short(name)}' has {int(longest):,} characters; a "
            f"name may have {MAX_CELL:,}"
        )


def _is_text(kind: Any) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _text(value: Any) -> str:
    """A cell's value as text: whole numbers without a decimal point, missing values as ""."""
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
