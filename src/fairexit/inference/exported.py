"""Predictions of exported models: of whole splits, and of images without labels. No torch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.data.images import AnyPicture
from fairexit.data.prepared import Prepared
from fairexit.errors import UserError, option, short
from fairexit.inference.answers import AnswerForm, Answers, BatchClassifier
from fairexit.inference.inputs import Request, open_request
from fairexit.inference.splits import write_split_answers, write_splits
from fairexit.progress import track
from fairexit.runs import Run
from fairexit.runtime.model import Model, as_list, load


@dataclass(frozen=True, eq=False)
class ExportedClassifier(BatchClassifier):
    """A classifier of images, which `load_model` returns for an exported model.

    Attributes:
        model: the graphs, as `fairexit.runtime` runs them.
    """

    model: Model

    @property
    def form(self) -> AnswerForm:
        m = self.model.manifest
        return AnswerForm(m.classes, m.exits, m.exit_costs, self.model.policy.sets)

    @property
    def device(self) -> str:
        return "cpu"

    def as_list(self, images: Any) -> Sequence[AnyPicture]:
        return as_list(images)

    def answer(self, images: Sequence[AnyPicture]) -> tuple[Answers | None, list[str]]:
        if not images:
            return None, []
        ((answers, problems),) = self.model.classify(images, len(images))
        return None if answers is None else Answers(*answers), problems


def load_model(path: Path, device: str = "auto") -> ExportedClassifier:
    """Load an export as a classifier.

    Raises:
        UserError: a file of it is not the one that was exported, or the device is not the CPU.
    """
    return ExportedClassifier(_load(path, device))


def predict(run: Run, splits: Sequence[str], *, batch_size: int = 256, **how: Any) -> list[Path]:
    """Write the predictions of all exits; as `fairexit.inference.predict.predict` for a run."""
    request, model = _open(run, splits, **how)

    def probabilities(data: Prepared, rows: NDArray[np.int64], text: str) -> NDArray[np.float32]:
        batches = over_batches(
            model.probabilities, data, rows, description=text, batch_size=batch_size
        )
        return np.concatenate(list(batches))

    return write_splits(request, probabilities, model.manifest.exits)


def classify(run: Run, splits: Sequence[str], *, batch_size: int = 256, **how: Any) -> list[Path]:
    """Write the policy's answers; as `fairexit.inference.predict.classify` for a run."""
    request, model = _open(run, splits, **how)

    def answers(data: Prepared, rows: NDArray[np.int64], text: str) -> Iterator[Answers]:
        return over_batches(model.answer, data, rows, description=text, batch_size=batch_size)

    return write_split_answers(request, answers, ExportedClassifier(model).form)


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
    data: Path | None = None,
    device: str = "auto",
    last: bool = False,
    out: Path | None = None,
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
