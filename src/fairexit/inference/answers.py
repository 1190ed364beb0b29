"""Tables of predictions and of answers, whatever computed them. Imports no torch."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairexit.csv_files import write_csv
from fairexit.data.images import name_of
from fairexit.data.prepared import Prepared
from fairexit.evaluation.sets import PredictionSets, referred
from fairexit.predictions.data import Predictions
from fairexit.progress import track

Floats = NDArray[np.floating[Any]]

ANSWER = ("prediction", "confidence", "exit", "cost")
"""Columns of an answer before those of the probabilities, `p/<class>`."""

SETS = ("set", "refer")
"""Columns that follow where the policy has prediction sets."""

DIGITS = "%.9g"
"""As many digits as float32 has, so that the largest probability stays the prediction."""


class Answers(NamedTuple):
    """The answers for images that could be read.

    Attributes:
        probabilities: class probabilities at the exit that answers, (N, C).
        exits: index of that exit, from 0, (N,).
        confidence: its confidence, (N,).
    """

    probabilities: Floats
    exits: NDArray[np.int64]
    confidence: Floats


class AnswerForm(NamedTuple):
    """What the numbers of answers mean.

    Attributes:
        classes: C names.
        exit_names: E names, the final exit last.
        costs: multiply-adds of one image that leaves at each exit, E numbers.
        sets: the policy's prediction sets, None without.
    """

    classes: Sequence[str]
    exit_names: Sequence[str]
    costs: Sequence[float]
    sets: PredictionSets | None

    @property
    def columns(self) -> list[str]:
        """The columns of a table of answers."""
        names = (f"p/{name}" for name in self.classes)
        return [*ANSWER, *(SETS if self.sets else ()), *names]

    def table(self, answers: Answers) -> pd.DataFrame:
        """Answers as a table, one row per image.

        The cost is the number of multiply-adds as a share of the full network's. `set` holds the
        classes of the prediction set as a JSON list, and `refer` is true where it has not exactly
        one.
        """
        probabilities, exits, confidence = answers
        columns = (
            np.array(self.classes)[probabilities.argmax(1)],
            confidence,
            np.array(self.exit_names)[exits],
            np.array(self.costs)[exits] / self.costs[-1],
        )
        table = pd.DataFrame(dict(zip(ANSWER, columns, strict=True)))
        if self.sets is not None:
            members = self.sets.members(probabilities)
            table["set"] = [self.sets.text(row, self.classes) for row in members]
            table["refer"] = referred(members)
        by_class = pd.DataFrame(probabilities, columns=[f"p/{name}" for name in self.classes])
        return pd.concat([table, by_class], axis=1)

    def table_with_problems(self, answers: Answers | None, problems: Sequence[str]) -> pd.DataFrame:
        """Answers with empty rows where an image could not be read, and the column `problem`.

        Args:
            answers: those of the images that could be read, in order; None if there are none.
            problems: why each image could not be read, empty where it could, (N,).
        """
        table = pd.DataFrame({"problem": np.array(problems, object)})
        if answers is None:
            return table.reindex(columns=[*self.columns, "problem"])
        read = self.table(answers)
        read.index = table.index[table["problem"] == ""]
        return table.join(read)[[*self.columns, "problem"]]


class BatchClassifier(ABC):
    """A classifier of images that answers them batch by batch."""

    @property
    @abstractmethod
    def form(self) -> AnswerForm:
        """What the numbers of the answers mean."""

    @property
    @abstractmethod
    def device(self) -> str:
        """Where the network computes, such as `cpu`."""

    @abstractmethod
    def as_list(self, images: Any) -> Sequence[Any]:
        """A list of single images, from one image, several, or a batch in one array.

        Raises:
            UserError: an item is not an image.
        """

    @abstractmethod
    def answer(self, images: Sequence[Any]) -> tuple[Answers | None, list[str]]:
        """Classify one batch of single images.

        Returns:
            The answers for the images that can be read, None if none can; and for each image why
            it cannot be read, "" if it can.
        """

    def table(self, images: Sequence[Any], ids: Sequence[str]) -> pd.DataFrame:
        """The answers for one batch of single images, as a call returns them."""
        table = self.form.table_with_problems(*self.answer(images))
        table.insert(0, "id", ids)
        return table

    def __call__(self, images: Any, batch_size: int = 256) -> pd.DataFrame:
        """Classify images, which need neither labels nor groups.

        Args:
            images: one or several: paths of files (JPEG, PNG, TIFF and so on; DICOM with the extra
                `dicom`), Pillow images, uint8 arrays (H, W, 3) or (N, H, W, 3), or tensors
                (3, H, W) or (N, 3, H, W). Tensors are uint8, or floating point from 0 to 1 and
                then already of the network's size; everything else is brought to that size. An
                export takes no tensors.
            batch_size: images per batch; this changes only speed and memory.
        Returns:
            One row per image: `id` (the path, or the position of an image that is not a file),
            `prediction`, `confidence` (what the policy compares with theta), `exit`, `cost`
            (multiply-adds as a share of the full network's), `set` (a JSON list) and `refer` where
            the policy has prediction sets, `p/<class>` (the probabilities at that exit) and
            `problem`. If an image cannot be read, `problem` says why, and the columns of the answer
            are empty.
        Raises:
            UserError: an item is not an image.
        """
        items = self.as_list(images)
        ids = [name_of(image, i) for i, image in enumerate(items)]
        starts = range(0, max(len(items), 1), batch_size)
        tables = [
            self.table(items[i : i + batch_size], ids[i : i + batch_size])
            for i in track(starts, "classifying", len(starts))
        ]
        return pd.concat(tables, ignore_index=True)


def write_answers(file: Path, table: pd.DataFrame) -> None:
    """Write answers as CSV, atomically."""
    write_csv(file, table, float_format=DIGITS)


def prediction_table(
    data: Prepared,
    rows: NDArray[np.int64],
    split: str,
    *,
    probabilities: NDArray[np.float32],
    exit_names: tuple[str, ...],
) -> Predictions:
    """The predictions of all exits, (N, E, C), for rows of prepared data."""
    frame = data.frame.iloc[rows]
    return Predictions(
        ids=frame["id"].to_numpy(str),
        clusters=frame["cluster"].fillna("").to_numpy(str),
        split=np.full(len(rows), split),
        labels=data.labels[rows],
        attributes={name: data.groups(name)[rows] for name in data.attributes},
        group_names=data.attributes,
        classes=data.classes,
        probabilities=probabilities,
        exit_names=exit_names,
    )
