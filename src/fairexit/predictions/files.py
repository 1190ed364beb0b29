"""Read and write files of predictions."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from fairexit.csv_files import with_guards
from fairexit.errors import UserError, nearest, option
from fairexit.files import replacing
from fairexit.predictions.arrays import from_frame
from fairexit.predictions.data import Predictions
from fairexit.predictions.reading import Reading
from fairexit.predictions.table import METADATA, from_table
from fairexit.tabular.files import open_table
from fairexit.types import UNKNOWN

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Predictions", "read_predictions", "write_predictions"]


def read_predictions(
    source: "str | Path | pd.DataFrame",
    groups: Sequence[str] | None = None,
    prob_prefix: str | None = None,
    *,
    only: bool = True,
    reading: Reading | None = None,
    **options: Any,
) -> Predictions:
    """Read predictions from a file, written by fairexit or by another tool, or from a frame.

    fairexit writes `id`, `label`, `cluster`, `split` (optional), one column per attribute, and
    `p/<class>`, or `p1/<class>` ... `pf/<class>` for several exits. Other files need only `label`
    and `p/<class>`, or `label` and `prediction`, or `label` and a score; without `id`, rows are
    numbered. They may be CSV with any usual separator and encoding, Parquet, JSON lines or Excel.
    Forms of a name that differ only in case, blanks or the form of a number are one name, and the
    notes of the result say so. Empty cells, "unknown", "NA" and the like are UNKNOWN.

    Args:
        source: the file, or a data frame.
        groups: attribute columns to keep; None keeps all columns of few values without another
            meaning.
        only: whether no attribute besides `groups` is read, if they are given.
        prob_prefix: prefix of the names of the probability columns, instead of `p/`.
        reading: the names of the columns and what their cells mean; `prob_prefix` takes precedence.
        options: fields of `Reading` that replace those of `reading`.
    Raises:
        UserError: the file is not readable, a column is missing, or a row (named in the message)
            is wrong.
    """
    if prob_prefix is not None:
        options["prob_prefix"] = prob_prefix
    unknown = next((name for name in options if name not in vars(Reading())), None)
    if unknown is not None:
        raise UserError(f"unknown option {option(unknown)}; {nearest(unknown, vars(Reading()))}")
    reading = replace(reading or Reading(), **options)
    if not isinstance(source, str | Path):
        return from_frame(source, reading, groups or (), only=only and groups is not None)
    path = Path(source)
    table = open_table(path)
    try:
        return from_table(table, reading, groups, only=only and groups is not None)
    except UserError as error:
        raise error if str(path) in str(error) else error.at(str(path)) from None


def write_predictions(predictions: Predictions, path: str | Path) -> None:
    """Write a `.parquet` or `.csv` file that `read_predictions` reads, atomically.

    Raises:
        UserError: the suffix is another one, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix not in (".parquet", ".csv"):
        raise UserError(f"cannot write {path}: its name must end in .parquet or .csv")
    columns: dict[str, Any] = {
        "id": predictions.ids,
        "label": np.array(predictions.classes)[predictions.labels],
        "cluster": predictions.clusters,
    }
    if (predictions.split != "").any():
        columns["split"] = predictions.split
    for name, values in predictions.attributes.items():
        names = np.array([*predictions.group_names[name], ""])  # UNKNOWN (-1) selects the last
        columns[name] = pa.array(names[values], mask=values == UNKNOWN)
    if predictions.given is not None and not predictions.hard:
        columns["prediction"] = np.array(predictions.classes)[predictions.given]
    single = len(predictions.exit_names) == 1
    for e, exit_ in enumerate(predictions.exit_names):
        for c, class_ in enumerate(predictions.classes):
            name = f"p/{class_}" if single else f"p{exit_}/{class_}"
            columns[name] = _probabilities(predictions, e, c)
    metadata = json.dumps({"groups": predictions.group_names})
    table = pa.table(columns).replace_schema_metadata({METADATA: metadata})
    try:
        with replacing(path) as temporary:
            if path.suffix == ".csv":
                pyarrow.csv.write_csv(with_guards(table), temporary)
            else:
                pyarrow.parquet.write_table(table, temporary)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def _probabilities(predictions: Predictions, exit_: int, class_: int) -> NDArray[np.float32]:
    """The probabilities of one class at one exit; 0 or 1 if only the answers are known, (N,)."""
    if predictions.probabilities is None:
        return (predictions.answers[:, exit_] == class_).astype(np.float32)
    return predictions.probabilities[:, exit_, class_]
