"""Tables of a model's later answers, perhaps without labels, and the time of each row."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fairexit.auditing.source import Source, named_alike, open_source, source_of
from fairexit.errors import UserError, nearest, option, short
from fairexit.evaluation.choice import Choice
from fairexit.predictions.arrays import table_of_frame
from fairexit.predictions.data import Predictions
from fairexit.predictions.reading import Reading
from fairexit.predictions.table import from_table, resolve_columns
from fairexit.tabular.files import open_table
from fairexit.tabular.forms import TableFile
from fairexit.tabular.names import match

EXIT = "exit"
"""The column that says at which exit an image left, in a table of a policy's answers."""


@dataclass(frozen=True, eq=False)
class NewTable:
    """A table of later answers of the model whose answers BASE holds.

    Attributes:
        source: the answers; the labels mean nothing if there are none.
        labelled: whether the table has true classes.
        times: the time of each row as text, (N,); None if no column of time is named.
        exits: index of the exit that answered, among BASE's, (N,); None if it is not known.
    """

    source: Source
    labelled: bool
    times: NDArray[Any] | None = None
    exits: NDArray[np.int64] | None = None


@dataclass(frozen=True, kw_only=True)
class NewReader:
    """How tables of later answers are read.

    Attributes:
        base: the source of BASE, whose classes, exits and policy hold for the tables too.
        reading: the names of their columns and what their cells mean.
        groups: the sensitive attributes.
        split: the split to watch, where a table has a column of splits.
        time: the column of time, or None.
    """

    base: Source
    reading: Reading
    groups: Sequence[str]
    split: str = "test"
    time: str | None = None

    def open(self, table: Any, name: str) -> NewTable:
        """Read a run's folder, a file, `Predictions` or a frame.

        Args:
            table: the table.
            name: what it is called, if it has no name of its own.
        Raises:
            UserError: the table is not readable, or its exits are not those of BASE.
        """
        opened = self._open(table, name)
        source = named_alike(opened.source, self.base)
        for attribute in self.groups:
            if attribute not in source.predictions.attributes:
                raise UserError(
                    f"{source.name} has no column of the attribute '{short(attribute)}'; "
                    f"{nearest(attribute, source.predictions.attributes)}"
                )
        return replace(opened, source=source)

    def _open(self, table: Any, name: str) -> NewTable:
        # A group that is small yet may grow.
        reading = replace(self.reading, min_group=0)
        if isinstance(table, Predictions):
            return self._without_columns(self._source(table, name))
        if not isinstance(table, str | Path):
            return self._read(table_of_frame(table, name), reading, name)
        path = Path(table)
        if path.is_dir():
            choice = Choice(None, policy=self.base.policy)
            return self._without_columns(
                open_source(path, self.groups, split=self.split, choice=choice, reading=reading)
            )
        try:
            return self._read(open_table(path), reading, path.stem)
        except UserError as error:
            raise error if str(path) in str(error) else error.at(str(path)) from None

    def _without_columns(self, source: Source) -> NewTable:
        if self.time is not None:
            raise UserError(
                f"{source.name} is not a table, so it has no column for {option('time')}"
            )
        return NewTable(source, labelled=True, exits=self._exits_of(source))

    def _read(self, table: TableFile, reading: Reading, name: str) -> NewTable:
        reading, _ = resolve_columns(table.names, reading)
        labelled = reading.label in table.names
        if reading.score is None and reading.classes is None:
            reading = replace(reading, classes=list(self.base.predictions.classes))
        numbered = _Numbered.of(
            table, reading, "" if labelled else reading.label, self.base.predictions.classes[0]
        )
        p = from_table(numbered, replace(reading, id=Reading().id), self.groups)
        cells = self._extra_cells(table, reading, p.ids.astype(np.int64) - 1)
        if reading.id in cells:
            p = replace(p, ids=cells[reading.id])
        kept = np.ones(len(p), bool) if p.splits == [""] else p.split == self.split
        source = self._source(p, name)
        exits = self._exits_of(source)
        if exits is None and EXIT in cells:
            exits = self._named_exits(cells[EXIT][kept])
        return NewTable(
            source, labelled, None if self.time is None else cells[self.time][kept], exits
        )

    def _extra_cells(
        self, table: TableFile, reading: Reading, rows: NDArray[np.int64]
    ) -> dict[str, NDArray[Any]]:
        """The ids, times and exits of some rows as texts, where the table has them."""
        if self.time is not None and self.time not in table.names:
            raise UserError(
                f"there is no column '{short(self.time)}'; {nearest(self.time, table.names)}; name "
                f"the column of time with {option('time')}"
            )
        extra = [c for c in (reading.id, self.time, EXIT) if c is not None and c in table.names]
        cells = table.frame(extra).iloc[rows]
        for column in extra:
            empty = cells[column].isna().to_numpy()
            if empty.any() and column != EXIT:
                raise UserError(f"row {int(rows[empty.argmax()]) + 1} has no '{short(column)}'")
        return {column: cells[column].to_numpy(object) for column in extra}

    def _source(self, p: Predictions, name: str) -> Source:
        several = len(p.exit_names) > 1
        if several and p.exit_names != self.base.predictions.exit_names:
            raise UserError(
                f"{name} has the exits {', '.join(p.exit_names)}, but {self.base.name} has "
                f"{', '.join(self.base.predictions.exit_names)}; give answers of the same model"
            )
        choice = Choice(None, policy=self.base.policy if several else None)
        return source_of(
            p, name, self.groups, split=self.split, choice=choice, cluster_name=self.reading.cluster
        )

    def _exits_of(self, source: Source) -> NDArray[np.int64] | None:
        return source.exits if len(source.predictions.exit_names) > 1 else None

    def _named_exits(self, names: NDArray[Any]) -> NDArray[np.int64] | None:
        """The exits that a column names; None if BASE does not say which exits answer."""
        known = self.base.predictions.exit_names
        if len(known) == 1:
            return None
        cells, index = np.unique(names.astype(str), return_inverse=True)
        matched = [match(cell, known) for cell in cells.tolist()]
        if None in matched:
            wrong = short(cells[matched.index(None)])
            raise UserError(
                f"column '{EXIT}' has '{wrong}', which is no exit of {self.base.name}; its exits "
                f"are {', '.join(known)}"
            )
        return np.array([known.index(str(name)) for name in matched])[index]


@dataclass(frozen=True, kw_only=True)
class _Numbered(TableFile):
    """A table whose ids are its row numbers, with a column of labels if it has none.

    Attributes:
        table: the table.
        missing: the column that is added, or "".
        filler: the only value of that column.
    """

    table: TableFile
    missing: str
    filler: str

    @classmethod
    def of(cls, table: TableFile, reading: Reading, missing: str, filler: str) -> Self:
        """The table without its column of ids; `missing` is added if it is not empty."""
        names = [name for name in table.names if name != reading.id]
        return cls(
            path=table.path,
            names=(*names, missing) if missing else tuple(names),
            notes=table.notes,
            table=table,
            missing=missing,
            filler=filler,
        )

    def read(self, names: Sequence[str], numbers: Collection[str] = ()) -> Any:
        stored = [name for name in names if name != self.missing]
        table = self.table.read(stored or self.table.names[:1], numbers)
        if self.missing in names:
            table = table.append_column(self.missing, pa.array([self.filler] * len(table)))
        return table.select(list(names))

    def row_notes(self, rows: int) -> tuple[str, ...]:
        return self.table.row_notes(rows)

    def batches(self, names: Sequence[str]) -> Iterator[Any]:
        return self.table.batches(names)

    def metadata(self) -> dict[bytes, bytes]:
        return self.table.metadata()
