"""Predictions of any model for labelled samples."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairexit.errors import UserError, nearest, short
from fairexit.predictions.confidence import MAX_PROBABILITY, check_confidence_measure
from fairexit.predictions.tempering import temper
from fairexit.types import PROBABILITY, RESERVED, UNKNOWN

Names = NDArray[Any]
"""Texts, as Python objects where they come from a table: in NumPy's arrays of characters each would
take the memory of the longest."""

BLOCK = 2**22
"""Probabilities that are checked together, to save memory."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Labelled samples with the class probabilities of every exit, the final one last.

    Args:
        ids: unique names of the samples, (N,).
        clusters: lesion or patient of each sample, (N,); "" for a cluster of its own.
        split: split of each sample, (N,); "" if not known.
        labels: true classes as indices into `classes`, (N,).
        attributes: name -> index into `group_names[name]` or UNKNOWN, (N,).
        group_names: attribute -> its values, including those that do not occur.
        classes: class names, including those that do not occur.
        probabilities: (N, E, C); the C values of each sample and exit sum to 1. None if only the
            answers are known.
        exit_names: ascending numbers, then "f", such as ("1", "2", "f"); ("f",) for a plain
            network.
        given: the answers of a model with one exit, where the table states them: predicted classes
            as indices, (N,). They are what is measured, whatever the probabilities are.
        notes: what a reader should know about how the table was read, one sentence each.
        left_out: column that could not be an attribute -> reason.
        temperatures: by which the probabilities were tempered, (E,); empty if they were not.
    Raises:
        UserError: shapes do not fit, ids repeat, an index is out of range, there are neither
            answers nor probabilities, or the probabilities of a row are negative, not a number, or
            do not sum to 1.
    """

    ids: Names
    clusters: Names
    split: Names
    labels: NDArray[np.int64]
    attributes: dict[str, NDArray[np.int64]]
    group_names: dict[str, tuple[str, ...]]
    classes: tuple[str, ...]
    probabilities: NDArray[np.float32] | None
    exit_names: tuple[str, ...]
    given: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    temperatures: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        self._check_shapes()
        if (repeated := pd.Index(self.ids.astype(object)).duplicated()).any():
            raise UserError(
                f"{first_row(self.ids, repeated)}: an earlier row has the same id; "
                "ids must be unique"
            )
        indices = [("label", self.labels, 0, len(self.classes))]
        indices += [
            (f"group '{name}'", values, UNKNOWN, len(self.group_names[name]))
            for name, values in self.attributes.items()
        ]
        if self.given is not None:
            indices.append(("prediction", self.given, 0, len(self.classes)))
        for column, values, low, end in indices:
            wrong = (values < low) | (values >= end)
            if wrong.any():
                raise UserError(
                    f"{first_row(self.ids, wrong)}: {column} {values[wrong][0]} is out of range"
                )
        self._check_probabilities()

    def _check_shapes(self) -> None:
        if not len(self):
            raise UserError("there are no rows")
        if len(set(self.classes)) < len(self.classes):
            raise UserError(f"a class is named twice: {short(', '.join(self.classes), 300)}")
        if len(self.classes) < 2:
            present = f"only one ('{short(self.classes[0])}')" if self.classes else "none"
            raise UserError(f"at least two classes are needed, but there is {present}")
        numbers = [int(name) for name in self.exit_names[:-1] if name.isdecimal()]
        ascending = len(set(numbers)) == len(self.exit_names) - 1 and numbers == sorted(numbers)
        if self.exit_names[-1:] != ("f",) or not ascending:
            raise UserError(
                f"the exit names are {', '.join(self.exit_names)}; they must be ascending numbers "
                "and then 'f'"
            )
        if self.attributes.keys() != self.group_names.keys():
            raise UserError("attributes and group_names must have the same keys")
        for name in self.attributes:
            if name in RESERVED or PROBABILITY.fullmatch(name):
                raise UserError(
                    f"an attribute cannot be called '{short(name)}', because that column has "
                    "another meaning; rename it"
                )
        given = () if self.given is None else (self.given,)
        columns = (self.clusters, self.split, self.labels, *self.attributes.values(), *given)
        shape = (len(self), len(self.exit_names), len(self.classes))
        fits = self.probabilities is None or self.probabilities.shape == shape
        if not fits or any(c.shape != shape[:1] for c in columns):
            raise UserError(
                f"the probabilities must have the shape (N, exits, classes) = {shape}, and every "
                f"column the length {len(self)}"
            )
        if self.given is None if self.hard else self.given is not None and shape[1] > 1:
            raise UserError(
                "give the probabilities of every exit, or the answers of a model with one exit"
            )

    def _check_probabilities(self) -> None:
        if self.probabilities is None:
            return
        # Tables from other tools are rounded, some to two digits.
        allowed = min(0.005 * len(self.classes), 0.05) + 1e-6
        off: NDArray[np.bool_] = np.zeros(self.probabilities.shape[:2], bool)
        wrong = np.zeros(len(self), bool)
        for rows in self._blocks(self.probabilities):
            block = self.probabilities[rows]
            wrong[rows] = ~(block >= 0).all((1, 2))
            off[rows] = np.abs(block.sum(-1, dtype=np.float64) - 1) > allowed
        if wrong.any():
            raise UserError(
                f"{first_row(self.ids, wrong)}: a probability is negative or not a number"
            )
        if off.any():
            sample, exit_ = np.argwhere(off)[0]
            total = self.probabilities[sample, exit_].sum()
            raise UserError(
                f"{first_row(self.ids, np.any(off, 1))}: the probabilities of exit "
                f"'{self.exit_names[exit_]}' sum to {total:.4g}, not 1"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        groups = "; ".join(f"{name}: {', '.join(g)}" for name, g in self.group_names.items())
        return (
            f"Predictions({len(self)} samples, {len(self.classes)} classes, exits "
            f"{', '.join(self.exit_names)}; {groups or 'no attribute'})"
        )

    @property
    def hard(self) -> bool:
        """Whether only the answers are known, so that scores such as AUROC have no value."""
        return self.probabilities is None

    @property
    def splits(self) -> list[str]:
        """The names of splits that occur, in order; "" among them if a row has none."""
        return sorted(pd.unique(self.split.astype(object)))

    @cached_property
    def answers(self) -> NDArray[np.int64]:
        """The predicted class of each sample at each exit, (N, E)."""
        if self.given is not None:
            return self.given[:, None]
        assert self.probabilities is not None
        return self.probabilities.argmax(-1)

    def confidence(self, measure: str = MAX_PROBABILITY) -> NDArray[np.float32]:
        """How sure each exit is of its answer, (N, E); 1 if no probability is known.

        Args:
            measure: a key of `fairexit.predictions.confidence.CONFIDENCE_MEASURES`.
        Raises:
            UserError: there is no such measure.
        """
        function = check_confidence_measure(measure).function
        if measure not in self._confidence:
            confidence = np.ones((len(self), len(self.exit_names)), np.float32)
            if self.probabilities is not None:
                for rows in self._blocks(self.probabilities):
                    confidence[rows] = function(self.probabilities[rows])
            self._confidence[measure] = confidence
        return self._confidence[measure]

    @cached_property
    def _confidence(self) -> dict[str, NDArray[np.float32]]:
        return {}

    def _blocks(self, probabilities: NDArray[np.float32]) -> Iterator[slice]:
        """Rows that are handled together, to save memory."""
        step = max(1, BLOCK // math.prod(probabilities.shape[1:]))
        for start in range(0, len(self), step):
            yield slice(start, start + step)

    def answers_at(self, exits: NDArray[np.int64]) -> NDArray[np.int64]:
        """The answers at an exit for each sample, (N,)."""
        return np.take_along_axis(self.answers, exits[:, None], 1)[:, 0]

    def probabilities_at(self, exits: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """The probabilities (N, C), if they are known, at an exit for each sample, (N,)."""
        if self.probabilities is None or len(self.exit_names) == 1:
            return None if self.probabilities is None else self.probabilities[:, 0]
        return self.probabilities[np.arange(len(self)), exits]

    def tempered(self, temperatures: tuple[float, ...]) -> "Predictions":
        """The same with tempered probabilities; unchanged if they already are, or by none.

        Args:
            temperatures: one for each exit, (E,); empty for none.
        Raises:
            UserError: there is not one temperature for each exit, or only answers are known.
            ValueError: the probabilities are tempered by others.
        """
        if temperatures == self.temperatures:
            return self
        if self.temperatures:
            raise ValueError("the probabilities are already tempered")
        if len(temperatures) != len(self.exit_names) or self.probabilities is None:
            raise UserError(
                f"the policy has {len(temperatures)} temperatures, but there are probabilities of "
                f"{0 if self.hard else len(self.exit_names)} exits; choose a policy again"
            )
        values = np.empty_like(self.probabilities)
        for rows in self._blocks(values):
            values[rows] = temper(self.probabilities[rows], temperatures)
        return replace(self, probabilities=values, temperatures=temperatures)

    def take(self, rows: NDArray[np.bool_]) -> "Predictions":
        """The rows that a mask (N,) selects."""
        if rows.all():
            return self
        return replace(
            self,
            ids=self.ids[rows],
            clusters=self.clusters[rows],
            split=self.split[rows],
            labels=self.labels[rows],
            attributes={name: values[rows] for name, values in self.attributes.items()},
            probabilities=None if self.probabilities is None else self.probabilities[rows],
            given=None if self.given is None else self.given[rows],
        )

    def of_split(self, name: str) -> "Predictions":
        """The rows of one split.

        Raises:
            UserError: no row belongs to this split.
        """
        rows = self.split == name
        nameless = int((self.split == "").sum())
        if not rows.any():
            present = [split for split in self.splits if split]
            hint = nearest(name, present) if present else "the rows do not name a split"
            raise UserError(f"there are no rows of split '{short(name)}'; {hint}")
        part = self.take(rows)
        if not nameless:
            return part
        note = f"{nameless} of {len(self)} rows name no split and are left out"
        return replace(part, notes=(*part.notes, note))

    def group(self, name: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """Group indices (N,) and group names of one attribute.

        Raises:
            UserError: no such attribute, or fewer than two of its values occur.
        """
        if name not in self.attributes:
            raise UserError(
                f"there is no column of an attribute '{short(name)}'; "
                f"{nearest(name, self.attributes)}"
            )
        values, names = self.attributes[name], self.group_names[name]
        present = np.unique(values[values != UNKNOWN])
        if len(present) < 2:
            only = f"only one value ('{names[present[0]]}')" if len(present) else "no known value"
            raise UserError(f"attribute '{name}' has {only}; at least two groups are needed")
        return values, names


def first_row(ids: Names, wrong: NDArray[np.bool_]) -> str:
    """The first row that a mask (N,) selects, as error messages name it; rows count from 1."""
    index = int(np.argmax(wrong))
    return f"row {index + 1} (id '{short(ids[index])}')"
