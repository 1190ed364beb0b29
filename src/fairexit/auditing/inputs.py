"""Sources of an audit from the arguments of a Python caller: runs, files, frames and arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.source import STORED, Source, open_source, source_of
from fairexit.errors import UserError, option, short
from fairexit.evaluation.choice import Choice
from fairexit.evaluation.policy import SINGLE_EXIT, Policy
from fairexit.predictions.arrays import from_arrays, from_frame
from fairexit.predictions.data import Predictions
from fairexit.predictions.reading import Reading


def is_table(value: Any) -> bool:
    """Whether a value is a run's folder, a file, `Predictions` or a data frame, not an array."""
    frames = ("columns", "column_names")  # of pandas and Polars; of Arrow and Hugging Face
    return isinstance(value, str | Path | Predictions) or any(hasattr(value, f) for f in frames)


@dataclass(frozen=True, kw_only=True)
class TableReader:
    """How to read the tables of an audit.

    Attributes:
        reading: the names of their columns and what their cells mean.
        groups: the sensitive attributes.
        split: the split to measure.
        choice: how the threshold of models with several exits is chosen.
    """

    reading: Reading
    groups: Sequence[str] = ()
    split: str = "test"
    choice: Choice = STORED

    def open(self, table: Any, name: str) -> Source:
        """The source of a table; `name` is the model's name if the table does not have one."""
        options: dict[str, Any] = {"split": self.split, "choice": self.choice}
        if isinstance(table, str | Path):
            return open_source(Path(table), self.groups, reading=self.reading, **options)
        if not isinstance(table, Predictions):
            table = from_frame(table, self.reading, self.groups)
        elif changed := self.reading.changed():
            raise UserError(f"{option(changed[0])} is about a table, but predictions are given")
        cluster = self.reading.cluster
        return source_of(table, name, self.groups, cluster_name=cluster, **options)


def named_columns(**given: Any) -> dict[str, str]:
    """The names of columns that are given; an argument that is None has its default name.

    Raises:
        UserError: an array is given instead of a name.
    """
    named = {key: value for key, value in given.items() if value is not None}
    for key, value in named.items():
        if not isinstance(value, str):
            raise UserError(
                f"a table is given, so '{key}' must be the name of a column, not an array"
            )
    return named


def source_of_arrays(
    name: str, label: Any, *, groups: Any, cluster: Any = None, reading: Reading, **given: Any
) -> Source:
    """The source of a model that is given as arrays.

    Args:
        name: of the model.
        label: true classes, (N,).
        groups: attribute -> value of each sample, (N,).
        cluster: lesion or patient of each sample, (N,).
        reading: the classes, and how groups are made.
        given: other arguments of `from_arrays`.
    Raises:
        UserError: names of columns are given instead of arrays, or `from_arrays` refuses a value.
    """
    if not isinstance(groups, Mapping):
        raise UserError(
            "no table is given, so 'groups' must hold arrays, as in groups={'sex': sex}"
        )
    if label is None:
        raise UserError("no table is given, so 'label' must be an array")
    for key, value in {"label": label, "cluster": cluster, **given}.items():
        if isinstance(value, str):
            raise UserError(f"{key}='{short(value)}' names a column, but no table is given")
    return source_of(
        from_arrays(label, groups=groups, clusters=cluster, reading=reading, **given), name
    )


def with_answers(source: Source, answers: NDArray[Any]) -> Source:
    """The source with another model's answers (N,) or probabilities (N, C) for the same rows."""
    p = source.predictions
    baseline = from_arrays(
        np.array(p.classes)[p.labels],
        prediction=answers if answers.ndim == 1 else None,
        probabilities=None if answers.ndim == 1 else answers,
        ids=p.ids,
        reading=Reading(classes=p.classes),
    )
    predictions = replace(
        p, probabilities=baseline.probabilities, exit_names=("f",), given=baseline.given
    )
    return Source("the baseline", predictions, Policy(None, rule=SINGLE_EXIT))
