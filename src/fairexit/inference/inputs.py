"""What a run is asked about, checked before anything is computed. Imports no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fairexit.data.prepared import Prepared, open_prepared
from fairexit.data.records import image_files
from fairexit.errors import UserError, option
from fairexit.evaluation.policy import Policy
from fairexit.runs import Run


def open_data(run: Run, path: Path | None = None) -> Prepared:
    """The data that a run was trained on, or others with the same classes and image size.

    Raises:
        UserError: they have changed, or do not fit.
    """
    data = open_prepared(path or run.config.data.path)
    info = run.description
    if data.info["options"]["fit"] != info["preprocessing"]["fit"]:
        raise UserError(
            f"{data.path} was prepared with fit '{data.info['options']['fit']}', but {run.path} "
            f"was trained with '{info['preprocessing']['fit']}'; prepare the data with that "
            f"{option('fit')}"
        )
    if list(data.classes) != list(info["label2id"]):
        raise UserError(f"the classes of {data.path} are not those that {run.path} was trained for")
    if data.size != info["preprocessing"]["size"]:
        raise UserError(
            f"{data.path} has images of {data.size} px, but {run.path} was trained on "
            f"{info['preprocessing']['size']} px; prepare the data with that {option('size')}"
        )
    if path is None and data.info["checksums"] != info["data"]["checksums"]:
        raise UserError(
            f"{data.path} has changed since {run.path} was trained, so its splits may differ; "
            f"train again, or name the data with {option('data')} if they are meant"
        )
    return data


class Request(NamedTuple):
    """What predictions are asked for: the folder they go to, the data, and the rows by split."""

    folder: Path
    data: Prepared
    rows: dict[str, NDArray[np.int64]]


def open_request(
    run: Run, splits: Sequence[str], *, data: Path | None, last: bool, out: Path | None
) -> Request:
    """The request for predictions of some splits; arguments as for `inference.predict.predict`.

    Raises:
        UserError: data that do not fit, an unknown split, or no folder where one is due.
    """
    if out is None and (data is not None or last):
        raise UserError(
            f"{option('data')} and {option('last')} need {option('out')}, because the results are "
            "not the run's own predictions"
        )
    prepared = open_data(run, data)
    rows = {split: prepared.rows(split, run.config.data.fold) for split in splits}
    return Request(out or run.path / "predictions", prepared, rows)


def stored_policy(run: Run) -> Policy:
    """The policy that `fairexit evaluate` has chosen for a run.

    Raises:
        UserError: there is none.
    """
    if not run.policy.is_file():
        raise UserError(
            f"{run.path} has no stored policy; choose a threshold with `fairexit evaluate`"
        )
    return Policy.load(run.policy)


def images_below(folder: Path) -> list[Path]:
    """The image files in a folder and its subfolders.

    Raises:
        UserError: there is no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise UserError(f"{option('images')} is '{folder}', which is not a folder")
    files = image_files(folder)
    if not files:
        raise UserError(f"{option('images')} is '{folder}', which holds no image")
    return files
