"""Read and write files of predictions."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from fairexit.errors import UserError, nearest, option, reason, short
from fairexit.files import replacing
from fairexit.predictions.arrow import Columns, read_table
from fairexit.predictions.data import Predictions, check_answers, first_row
from fairexit.types import PROBABILITY, UNKNOWN, UNKNOWN_NAMES

__all__ = ["Predictions", "read_predictions", "write_predictions"]

_METADATA = b"fairexit"


def read_predictions(
    path: str | Path,
    groups: Sequence[str] | None = None,
    prob_prefix: str | None = None,
    *,
    columns: Columns | None = None,
) -> Predictions:
    """Read predictions from a CSV or Parquet file, written by fairexit or by another tool.

    fairexit writes `id`, `label`, `cluster`, `split` (optional), one column per attribute, and
    `p/<class>`, or `p1/<class>` ... `pf/<class>` for several exits. Other files need only `label`
    and `p/<class>`, or `label` and `prediction`, which becomes one-hot probabilities; without `id`,
    rows are numbered. Parquet also keeps the names of groups that no row belongs to. In an
    attribute, an empty value, "unknown" and "nan" are UNKNOWN.

    Args:
        path: the file.
        groups: attribute columns to keep; None keeps all columns without another meaning.
        prob_prefix: prefix of the names of the probability columns, instead of `p/`.
        columns: other names of the columns; `prob_prefix` takes precedence over theirs.
    Raises:
        UserError: the file is not readable, a column is missing, or a row (named in the message)
            is wrong.
    """
    path = Path(path)
    columns = columns or Columns()
    if prob_prefix is not None:
        columns = replace(columns, prob_prefix=prob_prefix)
    table = read_table(path, columns, groups)
    try:
        return _Reader(table, columns).predictions(groups)
    except UserError as error:
        raise error.at(str(path)) from None


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
    single = len(predictions.exit_names) == 1
    for e, exit_ in enumerate(predictions.exit_names):
        for c, class_ in enumerate(predictions.classes):
            name = f"p/{class_}" if single else f"p{exit_}/{class_}"
            columns[name] = predictions.probabilities[:, e, c]
    metadata = json.dumps({"groups": predictions.group_names, "hard": predictions.hard})
    table = pa.table(columns).replace_schema_metadata({_METADATA: metadata})
    try:
        with replacing(path) as temporary:
            if path.suffix == ".csv":
                pyarrow.csv.write_csv(table, temporary)
            else:
                pyarrow.parquet.write_table(table, temporary)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def _normalised(values: NDArray[np.str_]) -> NDArray[np.str_]:
    """Values in lower case without surrounding blanks."""
    return np.strings.lower(np.strings.strip(values))


class _Reader:
    """Turns an Arrow table into `Predictions`."""

    def __init__(self, table: Any, columns: Columns) -> None:
        self.table = table
        self.columns = columns
        self.prefix = columns.prob_prefix
        self.names: list[str] = table.column_names
        columns.check(self.names)
        if not table.num_rows:
            raise UserError("there are no rows")
        digits = len(str(table.num_rows))
        numbered = np.arange(1, table.num_rows + 1).astype(f"U{digits}")
        self.ids = self.strings(columns.id) if columns.id in self.names else numbered

    def predictions(self, groups: Sequence[str] | None) -> Predictions:
        metadata = json.loads((self.table.schema.metadata or {}).get(_METADATA, b"{}"))
        exits, classes, probabilities = self.probabilities()
        attributes, group_names = self.attributes(groups, metadata.get("groups"))
        one_hot = bool(((probabilities == 0) | (probabilities == 1)).all())
        return Predictions(
            ids=self.ids,
            clusters=self.strings(self.columns.cluster),
            split=self.strings(self.columns.split),
            labels=self.indices(self.columns.label, classes),
            attributes=attributes,
            group_names=group_names,
            classes=classes,
            probabilities=probabilities,
            exit_names=exits,
            hard=metadata.get("hard", one_hot),
        )

    def strings(self, name: str) -> NDArray[np.str_]:
        """A column as strings; blank strings if there is no such column."""
        if name not in self.names:
            return np.full(self.table.num_rows, "")
        column = self.table[name].cast(pa.string()).fill_null("")
        # By chunks, because the Python strings of a large file may not fit into memory at once.
        return np.concatenate([np.array(c.to_pylist(), dtype=np.str_) for c in column.chunks])

    def indices(
        self, column: str, names: Sequence[str], unknown: Sequence[str] = ()
    ) -> NDArray[np.int64]:
        """A column as indices into `names`; UNKNOWN where the value is one of `unknown`."""
        values = self.strings(column)
        index_of = {name: index for index, name in enumerate(names)}
        indices = np.array([index_of.get(v, UNKNOWN) for v in values.tolist()], dtype=np.int64)
        wrong = (indices == UNKNOWN) & ~np.isin(_normalised(values), unknown)
        if wrong.any():
            value = str(values[np.argmax(wrong)])
            raise UserError(
                f"{first_row(self.ids, wrong)}: '{short(value)}' in column '{short(column)}' is "
                f"not known; {nearest(value, names)}"
            )
        return indices

    def attributes(
        self, wanted: Sequence[str] | None, stored_names: dict[str, list[str]] | None
    ) -> tuple[dict[str, NDArray[np.int64]], dict[str, tuple[str, ...]]]:
        """Group indices and group names by attribute; stored names take precedence."""
        present = [name for name in self.names if self.columns.is_attribute(name)]
        attributes, group_names = {}, {}
        for name in present if wanted is None else wanted:
            values = np.unique(self.strings(name))
            known = values[~np.isin(_normalised(values), UNKNOWN_NAMES)].tolist()
            group_names[name] = tuple((stored_names or {}).get(name, known))
            attributes[name] = self.indices(name, group_names[name], UNKNOWN_NAMES)
        return attributes, group_names

    def probabilities(self) -> tuple[tuple[str, ...], tuple[str, ...], NDArray[np.float32]]:
        """Exit names, classes, and the probabilities (N, E, C)."""
        columns: dict[str, dict[str, str]] = {}  # exit -> class -> column
        for name in self.names:
            if self.prefix and name.startswith(self.prefix):
                columns.setdefault("f", {})[name.removeprefix(self.prefix)] = name
            elif not self.prefix and (match := PROBABILITY.fullmatch(name)):
                columns.setdefault(match[1] or "f", {})[match[2]] = name
        if not columns:
            return self.one_hot()
        exits = tuple(sorted(columns, key=lambda name: (name == "f", name.zfill(9))))
        if exits[-1] != "f":
            raise UserError("there are no columns 'pf/<class>' of the final exit")
        classes = tuple(columns["f"])
        for name in exits:
            if columns[name].keys() != columns["f"].keys():
                raise UserError(f"columns 'p{name}/' and 'pf/' have different classes")
        probabilities = np.empty((self.table.num_rows, len(exits), len(classes)), np.float32)
        for e, name in enumerate(exits):
            for c, class_ in enumerate(classes):
                probabilities[:, e, c] = self.numbers(columns[name][class_])
        if self.columns.prediction in self.names and len(exits) == 1:
            answers = self.indices(self.columns.prediction, classes)
            check_answers(self.ids, answers, probabilities[:, 0])
        return exits, classes, probabilities

    def numbers(self, column: str) -> NDArray[np.float32]:
        """A column as numbers, (N,)."""
        try:
            values: NDArray[np.float32] = self.table[column].cast(pa.float32()).to_numpy()
        except pa.ArrowException as error:
            raise UserError(
                f"column '{short(column)}' does not hold numbers: {reason(error)}"
            ) from None
        return values

    def one_hot(self) -> tuple[tuple[str, ...], tuple[str, ...], NDArray[np.float32]]:
        """The exit's name, the classes, and the column of predictions as one-hot probabilities."""
        if self.prefix:
            raise UserError(
                f"no column begins with '{short(self.prefix)}'; available: "
                f"{short(', '.join(self.names), 300)}"
            )
        label, answer = self.columns.label, self.columns.prediction
        if answer not in self.names:
            raise UserError(
                f"there are no columns 'p/<class>' and no column '{short(answer)}'; if the columns "
                f"of probabilities have other names, give their beginning as "
                f"{option('prob_prefix')}"
            )
        occurring = np.concatenate([self.strings(label), self.strings(answer)])
        classes = tuple(np.unique(occurring[occurring != ""]).tolist())
        one_hot = np.eye(len(classes), dtype=np.float32)[self.indices(answer, classes)]
        return ("f",), classes, one_hot[:, None]
