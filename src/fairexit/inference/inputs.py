"""Open and check the inputs of a prediction before anything is computed. Imports no torch."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fairexit.data.prepared import Prepared, open_prepared
from fairexit.data.records import SPLITS
from fairexit.errors import UserError, option, short
from fairexit.evaluation.policy import Policy
from fairexit.runs import Run


def open_data(run: Run, path: Path | None = None) -> Prepared:
    """The data that a run was trained on, or other data of its image size and among its classes.

    Other data may lack classes; they get the model's classes in its order.

    Args:
        run: a finished run.
        path: folder of other prepared data; None for the run's data.
    Raises:
        UserError: the data do not fit the run, or have changed since they were prepared or since
            it was trained.
    """
    data = open_prepared(path or run.config.data.path, whole=True)
    info = run.description
    if data.info["options"]["fit"] != info["preprocessing"]["fit"]:
        raise UserError(
            f"{data.path} was prepared with fit '{short(data.info['options']['fit'])}', but "
            f"{run.path} was trained with '{info['preprocessing']['fit']}'; prepare the data with "
            f"that {option('fit')}"
        )
    if data.size != info["preprocessing"]["size"]:
        raise UserError(
            f"{data.path} has images of {data.size} px, but {run.path} was trained on "
            f"{info['preprocessing']['size']} px; prepare the data with that {option('size')}"
        )
    if path is not None:
        return data.with_classes(tuple(info["label2id"]))
    if list(data.classes) != list(info["label2id"]):
        raise UserError(f"the classes of {data.path} are not those that {run.path} was trained for")
    if data.info["checksums"] != info["data"]["checksums"]:
        raise UserError(
            f"{data.path} has changed since {run.path} was trained, so its splits may differ; "
            f"train again, or name the data with {option('data')} if they are meant"
        )
    return data


class Request(NamedTuple):
    """A request for predictions.

    Attributes:
        folder: the folder to which the predictions are written.
        data: the data.
        rows: split -> rows of the data.
    """

    folder: Path
    data: Prepared
    rows: dict[str, NDArray[np.int64]]


def open_request(
    run: Run, splits: Sequence[str], *, data: Path | None, last: bool, out: Path | None
) -> Request:
    """Check a request for predictions; arguments as for `inference.predict.predict`.

    Raises:
        UserError: the data do not fit the run, a split is unknown or empty, or `out` is missing
            although the results are not the run's own predictions.
    """
    if out is None and (data is not None or last):
        raise UserError(
            f"{option('data')} and {option('last')} need {option('out')}, because the results are "
            "not the run's own predictions"
        )
    prepared = open_data(run, data)
    # Other data need not be divided into folds as the run's own are.
    fold = run.config.data.fold if data is None or "fold" in prepared.frame else None
    rows = {split: prepared.rows(split, fold) for split in splits}
    for split, selected in rows.items():
        if not len(selected):
            present = ", ".join(name for name in SPLITS if len(prepared.rows(name, fold)))
            raise UserError(
                f"split '{split}' of {prepared.path} has no images; choose the split with "
                f"{option('splits')} among: {present}"
            )
    return Request(out or run.path / "predictions", prepared, rows)


def stored_policy(run: Run) -> Policy:
    """The policy that `fairexit evaluate` stored for a run.

    Raises:
        UserError: the run has no policy.
    """
    if not run.policy.is_file():
        raise UserError(
            f"{run.path} has no stored policy; choose a threshold with `fairexit evaluate`"
        )
    return Policy.load(run.policy)


def check_absent(files: Iterable[Path], overwrite: bool) -> None:
    """Raise a UserError for the first file that exists already, unless `overwrite` is set."""
    for file in files:
        if file.exists() and not overwrite:
            raise UserError(
                f"{file} exists already; choose another {option('out')}, or set "
                f"{option('overwrite')} to replace it"
            )
