"""Sources of an audit from the arguments of a Python caller: runs, files, frames and arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.source import Source, open_source, source_of
from fairexit.errors import UserError, short
from fairexit.evaluation.policy import Policy
from fairexit.predictions.arrays import from_arrays, from_frame
from fairexit.predictions.arrow import Columns
from fairexit.predictions.files import Predictions


def is_table(value: Any) -> bool:
    """Whether a value is a run's folder, a file, `Predictions` or a data frame, not an array."""
    return isinstance(value, str | Path | Predictions) or hasattr(value, "columns")


@dataclass(frozen=True, kw_only=True)
class TableReader:
    """How to read the tables of an audit.

    Attributes:
        columns: the names of their columns.
        groups: the sensitive attributes.
        classes: class names for a data frame with a column of predictions.
        split: the split to measure.
        threshold: of models with several exits: numbers, `auto` or `policy`.
    """

    columns: Columns
    groups: Sequence[str] = ()
    classes: Sequence[Any] | None = None
    split: str = "test"
    threshold: str | float | tuple[float, ...] | None = None

    def open(self, table: Any, name: str) -> Source:
        """The source of a table; `name` is the model's name if the table does not have one."""
        options: dict[str, Any] = {"split": self.split, "threshold": self.threshold}
        if isinstance(table, str | Path):
            return open_source(Path(table), self.groups, columns=self.columns, **options)
        left_out: dict[str, str] = {}
        if not isinstance(table, Predictions):
            table, left_out = from_frame(table, self.columns, self.groups, self.classes)
        cluster = self.columns.cluster
        source = source_of(table, name, self.groups, cluster_name=cluster, **options)
        return replace(source, left_out=left_out)


def named_columns(**given: Any) -> Columns:
    """Columns with the given names; an argument that is None keeps its default name.

    Raises:
        UserError: an array is given instead of a name.
    """
    named = {key: value for key, value in given.items() if value is not None}
    for key, value in named.items():
        if not isinstance(value, str):
            raise UserError(
                f"a table is given, so '{key}' must be the name of a column, not an array"
            )
    return Columns(**named)


def source_of_arrays(
    name: str, label: Any, *, groups: Any, cluster: Any = None, **given: Any
) -> Source:
    """The source of a model that is given as arrays.

    Args:
        name: of the model.
        label: true classes, (N,).
        groups: attribute -> value of each sample, (N,).
        cluster: lesion or patient of each sample, (N,).
        given: other arguments of `from_arrays`.
    Raises:
        UserError: names of columns are given instead of arrays, or `from_arrays` refuses a value.
    """
    if not isinstance(groups, Mapping):
        raise UserError(
            "no table is given, so 'groups' must hold arrays, as in groups={'sex': sex}"
        )
    for key, value in {"label": label, "cluster": cluster, **given}.items():
        if isinstance(value, str):
            raise UserError(f"{key}='{short(value)}' names a column, but no table is given")
    return source_of(from_arrays(label, groups=groups, clusters=cluster, **given), name)


def with_answers(source: Source, answers: NDArray[Any]) -> Source:
    """The source with another model's answers (N,) or probabilities (N, C) for the same rows."""
    p = source.predictions
    baseline = from_arrays(
        np.array(p.classes)[p.labels],
        prediction=answers if answers.ndim == 1 else None,
        probabilities=None if answers.ndim == 1 else answers,
        classes=p.classes,
        ids=p.ids,
    )
    predictions = replace(
        p, probabilities=baseline.probabilities, exit_names=("f",), hard=baseline.hard
    )
    return Source("the baseline", predictions, Policy(None, rule="single exit"))
