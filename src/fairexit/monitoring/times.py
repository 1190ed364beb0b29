"""The order of the times in a column."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairexit.errors import UserError, short


def time_order(times: NDArray[Any], column: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The place of each time among all different ones, (N,), and their names in order.

    Args:
        times: texts, (N,): numbers, or dates such as 2026-03-31 or 2026-W13. Of a time of the day
            only the day counts.
        column: the name of the column, for messages.
    Raises:
        UserError: a text is neither.
    """
    cells, index = np.unique(times.astype(str), return_inverse=True)
    for parse in (_as_number, _as_week, _as_date):
        values = parse(pd.Series(cells))
        if not values.isna().any():
            break
    else:
        wrong = cells[int(values.isna().to_numpy().argmax())]
        raise UserError(
            f"column '{short(column)}' has '{short(wrong)}'; write every time as a number, or as a "
            f"date such as 2026-03-31 or 2026-W13"
        )
    place = values.rank(method="dense").astype(int).to_numpy() - 1
    names = np.empty(place.max() + 1, object)
    texts = values.dt.strftime("%Y-%m-%d").to_numpy() if parse is _as_date else cells
    names[place[::-1]] = texts[::-1]  # of several forms, the first
    return place[index.ravel()], tuple(names.tolist())


def _as_number(cells: Any) -> Any:
    return pd.to_numeric(cells, errors="coerce")


def _as_week(cells: Any) -> Any:
    """Weeks as numbers that have the order of time."""
    parts = cells.str.extract(r"^(\d{4})-?W(\d{2})$")
    return pd.to_numeric(parts[0] + parts[1], errors="coerce")


def _as_date(cells: Any) -> Any:
    dates = pd.to_datetime(cells, format="ISO8601", errors="coerce", utc=True)
    return dates.dt.floor("D")
