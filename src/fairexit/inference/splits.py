"""Files of predictions and of answers for whole splits, whatever computes them. No torch."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fairexit.data.prepared import Prepared
from fairexit.inference.answers import AnswerForm, Answers, prediction_table, write_answers
from fairexit.inference.inputs import Request
from fairexit.predictions.files import write_predictions

Rows = NDArray[np.int64]


def write_splits(
    request: Request,
    probabilities: Callable[[Prepared, Rows, str], NDArray[np.float32]],
    exit_names: Sequence[str],
) -> list[Path]:
    """Write the predictions of all exits, a Parquet file for each split.

    Args:
        request: the splits and their rows.
        probabilities: returns the class probabilities, (N, E, C), of rows of the data; takes also
            the text beside the progress bar.
        exit_names: E names.
    Returns:
        The files.
    """
    written = []
    for split, rows in request.rows.items():
        predicted = prediction_table(
            request.data,
            rows,
            split,
            probabilities=probabilities(request.data, rows, f"predicting {split}"),
            exit_names=tuple(exit_names),
        )
        file = request.folder / f"{split}.parquet"
        write_predictions(predicted, file)
        written.append(file)
    return written


def write_split_answers(
    request: Request,
    answers: Callable[[Prepared, Rows, str], Iterable[Answers]],
    form: AnswerForm,
) -> list[Path]:
    """Write the answers of a policy, a CSV file for each split.

    Args:
        request: the splits and their rows.
        answers: returns the answers for rows of the data, batch by batch; takes also the text
            beside the progress bar.
        form: what the numbers of the answers mean.
    Returns:
        The files.
    """
    written = []
    for split, rows in request.rows.items():
        batches = answers(request.data, rows, f"classifying {split}")
        table = form.table(Answers(*map(np.concatenate, zip(*batches, strict=True))))
        table.insert(0, "id", request.data.frame["id"].to_numpy()[rows])
        file = request.folder / f"{split}_answers.csv"
        write_answers(file, table)
        written.append(file)
    return written
