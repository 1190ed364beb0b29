"""Predictions of exported models: of whole splits, and of images without labels. No torch."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairexit.data.images import AnyPicture, name_of
from fairexit.data.prepared import Prepared
from fairexit.errors import UserError, option, short
from fairexit.inference.answers import (
    answer_columns,
    answer_table,
    prediction_table,
    with_problems,
    write_answers,
)
from fairexit.inference.inputs import Request, open_request
from fairexit.predictions.files import write_predictions
from fairexit.progress import track
from fairexit.runs import Run
from fairexit.runtime.early_exit import EarlyExit
from fairexit.runtime.model import Model, as_list, load


@dataclass(frozen=True, eq=False)
class ExportedClassifier:
    """A classifier of images, which `load_model` returns for an exported model.

    Attributes:
        model: the graphs, as `fairexit.runtime` runs them.
    """

    model: Model

    def __call__(
        self, images: AnyPicture | Iterable[AnyPicture], batch_size: int = 64
    ) -> pd.DataFrame:
        """Classify images; arguments, result and errors as for `Classifier`, but for tensors."""
        items = as_list(images)
        total = max(1, -(-len(items) // batch_size))
        batches = list(track(self.model.classify(items, batch_size), "classifying", total))
        answers = [answers for answers, _ in batches if answers is not None]
        problems = [text for _, texts in batches for text in texts]
        table = _answer_table(self.model, answers) if answers else pd.DataFrame()
        table = with_problems(
            table, problems, answer_columns(self.model.manifest.classes, self.model.policy.sets)
        )
        table.insert(0, "id", [name_of(image, i) for i, image in enumerate(items)])
        return table


def load_model(path: Path, device: str = "auto") -> ExportedClassifier:
    """Load an export as a classifier.

    Raises:
        UserError: a file of it is not the one that was exported, or the device is not the CPU.
    """
    return ExportedClassifier(_load(path, device))


def predict(
    run: Run,
    splits: Sequence[str] = ("val", "test"),
    *,
    data: Path | None = None,
    device: str = "auto",
    batch_size: int = 256,
    last: bool = False,
    out: Path | None = None,
) -> list[Path]:
    """Write the predictions of all exits; as `fairexit.inference.predict.predict` for a run."""
    request, model = _open(run, splits, data=data, device=device, last=last, out=out)
    written = []
    for split, rows in request.rows.items():
        how: Any = {"description": f"predicting {split}", "batch_size": batch_size}
        batches = over_batches(model.probabilities, request.data, rows, **how)
        predicted = prediction_table(
            request.data,
            rows,
            split,
            probabilities=np.concatenate(list(batches)),
            exit_names=model.manifest.exits,
        )
        file = request.folder / f"{split}.parquet"
        write_predictions(predicted, file)
        written.append(file)
    return written


def classify(
    run: Run,
    splits: Sequence[str],
    *,
    data: Path | None = None,
    device: str = "auto",
    batch_size: int = 256,
    last: bool = False,
    out: Path | None = None,
) -> list[Path]:
    """Write the policy's answers; as `fairexit.inference.predict.classify` for a run."""
    request, model = _open(run, splits, data=data, device=device, last=last, out=out)
    written = []
    for split, rows in request.rows.items():
        how: Any = {"description": f"classifying {split}", "batch_size": batch_size}
        batches = over_batches(model.answer, request.data, rows, **how)
        table = _answer_table(model, list(batches))
        table.insert(0, "id", request.data.frame["id"].to_numpy()[rows])
        file = request.folder / f"{split}_answers.csv"
        write_answers(file, table)
        written.append(file)
    return written


def over_batches(
    function: Callable[[NDArray[np.uint8]], Any],
    data: Prepared,
    rows: NDArray[np.int64],
    *,
    description: str,
    batch_size: int = 64,
) -> Iterator[Any]:
    """Call a function on the images of rows, batch by batch, with a progress bar."""
    starts = range(0, len(rows), batch_size)
    for start in track(starts, description, len(starts)):
        yield function(data.images[rows[start : start + batch_size]])


def _open(
    run: Run,
    splits: Sequence[str],
    *,
    data: Path | None,
    device: str,
    last: bool,
    out: Path | None,
) -> tuple[Request, Model]:
    if last:
        raise UserError(f"{run.path} is an export, which has no weights of the last epoch")
    request = open_request(run, splits, data=data, last=last, out=out)
    return request, _load(run.path, device)


def _load(path: Path, device: str) -> Model:
    if device not in ("auto", "cpu"):
        raise UserError(
            f"{option('device')} is '{short(device)}', but exported models run on the CPU"
        )
    return load(path)


def _answer_table(model: Model, batches: Sequence[EarlyExit]) -> pd.DataFrame:
    m = model.manifest
    return answer_table(
        *map(np.concatenate, zip(*batches, strict=True)),
        classes=m.classes,
        exit_names=m.exits,
        costs=m.exit_costs,
        sets=model.policy.sets,
    )
