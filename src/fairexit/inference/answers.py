"""Tables of predictions and of answers, whatever computed them. Imports no torch."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairexit.csv_files import write_csv
from fairexit.data.images import name_of
from fairexit.data.prepared import Prepared
from fairexit.evaluation.sets import PredictionSets, referred
from fairexit.inference.inputs import images_at
from fairexit.predictions.data import Predictions

ANSWER = ("prediction", "confidence", "exit", "cost")
"""Columns of an answer before those of the probabilities, `p/<class>`."""

SETS = ("set", "refer")
"""Columns that follow where the policy has prediction sets."""


def answer_columns(classes: Sequence[str], sets: PredictionSets | None) -> list[str]:
    """The columns of a table of answers."""
    return [*ANSWER, *(SETS if sets else ()), *(f"p/{name}" for name in classes)]


def answer_table(
    probabilities: NDArray[np.floating[Any]],
    exits: NDArray[np.int64],
    confidence: NDArray[np.floating[Any]],
    *,
    classes: Sequence[str],
    exit_names: Sequence[str],
    costs: Sequence[float],
    sets: PredictionSets | None = None,
) -> pd.DataFrame:
    """Answers as a table with the columns `answer_columns`, one row per image.

    The cost is the number of multiply-adds as a share of the full network's. `set` holds the
    classes of the prediction set as a JSON list, and `refer` is true where it has not exactly one.

    Args:
        probabilities: class probabilities at the exit that answers, (N, C).
        exits: index of that exit, from 0, (N,).
        confidence: its confidence, (N,).
        classes: C names.
        exit_names: E names, the final exit last.
        costs: multiply-adds of one image that leaves at each exit, E numbers.
        sets: the policy's prediction sets, None without.
    """
    columns = (
        np.array(classes)[probabilities.argmax(1)],
        confidence,
        np.array(exit_names)[exits],
        np.array(costs)[exits] / costs[-1],
    )
    table = pd.DataFrame(dict(zip(ANSWER, columns, strict=True)))
    if sets is not None:
        members = sets.members(probabilities)
        table["set"] = [sets.text(row, classes) for row in members]
        table["refer"] = referred(members)
    by_class = pd.DataFrame(probabilities, columns=[f"p/{name}" for name in classes])
    return pd.concat([table, by_class], axis=1)


def with_problems(
    answers: pd.DataFrame, problems: Sequence[str], columns: Sequence[str]
) -> pd.DataFrame:
    """Answers with empty rows where an image could not be read, and the column `problem`.

    Args:
        answers: the table of the images that could be read, in order.
        problems: why each image could not be read, empty where it could, (N,).
        columns: those of the answers.
    """
    table = pd.DataFrame({"problem": np.array(problems, object)})
    if answers.empty:
        return table.reindex(columns=[*columns, "problem"])
    answers.index = table.index[table["problem"] == ""]
    return table.join(answers)[[*columns, "problem"]]


def write_answers(file: Path, table: pd.DataFrame) -> None:
    """Write answers as CSV, atomically."""
    # As many digits as float32 has, so that the largest probability stays the prediction.
    write_csv(file, table, float_format="%.9g")


def classify_files(
    classify: Callable[[list[Path], int], pd.DataFrame],
    images: Path,
    out: Path | None = None,
    *,
    batch_size: int = 256,
) -> pd.DataFrame:
    """Classify an image file, or every image in a folder and its subfolders.

    Args:
        classify: a classifier that `load_model` returned.
        images: the file or folder; neither labels nor groups are needed.
        out: a CSV file for the answers, which is replaced if it exists; None writes no file.
        batch_size: images per batch; this changes only speed and memory.
    Returns:
        The table of the classifier, with `id` relative to the folder.
    Raises:
        UserError: there is no such file or folder, or the folder holds no image.
    """
    files = images_at(images)
    folder = images if images.is_dir() else images.parent
    table = classify(files, batch_size)
    table["id"] = [name_of(file.relative_to(folder), 0) for file in files]
    if out is not None:
        write_answers(out, table)
    return table


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
