"""The files of a run that are shared on the Hub: never predictions, checkpoints, images or logs."""

import shutil
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import yaml

from fairexit.errors import UserError
from fairexit.files import json_text
from fairexit.hub.card import whole_card
from fairexit.runs import Run

CARD = "README.md"
NEEDED = ("model.safetensors", "config.json", "policy.json")
SHARED = (*NEEDED, "config.yaml", "metrics.json", CARD)
"""All files that are ever uploaded or downloaded."""


def write_shared(
    run: Run, folder: Path, *, name: str, license: str | None, card: str | None
) -> None:
    """Write what is shared of a run into a folder.

    Of paths in the settings only the last part is written, since they may name people.

    Args:
        run: a finished run with a policy.
        folder: a folder without files of these names.
        name: how the model is loaded later, for the card: `user/model` or a folder.
        license: identifier of the license of the weights; None if it is not known.
        card: a model card in Markdown; by default the run's `README.md`, or a short one.
    Raises:
        UserError: the run is an export, the card's header is not valid, or a file of the run is a
            link that leads out of its folder.
    """
    if run.is_export:
        raise UserError(f"{run.path} is an export; share the run that it is of")
    sources = {file: _source(run, file) for file in SHARED}
    for file in ("model.safetensors", "policy.json", "metrics.json"):
        source = sources[file]
        if source is not None:
            shutil.copyfile(source, folder / file)
    own_card = sources[CARD]
    if card is None and own_card is not None:
        card = own_card.read_text(encoding="utf-8", errors="replace")
    text = whole_card(card, run, name=name, license=license)
    description = {**run.description, "run": without_folders(run.description["run"])}
    (folder / CARD).write_text(text, encoding="utf-8")
    (folder / "config.json").write_text(json_text(description) + "\n", encoding="utf-8")
    settings = yaml.safe_dump(description["run"], sort_keys=False, allow_unicode=True)
    (folder / "config.yaml").write_text(settings, encoding="utf-8")


def check_shared(folder: Path, name: str) -> None:
    """Raise a UserError if a download lacks a file without which the model cannot be loaded."""
    for file in NEEDED:
        if not (folder / file).is_file():
            raise UserError(f"{name} is not a model of fairexit: it has no file {file}")


def without_folders(value: Any) -> Any:
    """Settings with every path that is absolute or leads upwards cut down to its last part.

    >>> without_folders({"data": {"path": "/home/ada/data/isic-64", "fold": 2}})
    {'data': {'path': 'isic-64', 'fold': 2}}
    """
    if isinstance(value, dict):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_folders(item) for item in value]
    if isinstance(value, str):
        for kind in (PurePosixPath, PureWindowsPath):
            if kind(value).is_absolute() or value.startswith(("~", "..")):
                return kind(value).name
    return value


def _source(run: Run, name: str) -> Path | None:
    """A file of a run, None if there is none.

    Raises:
        UserError: it is a link that leads out of the folder, so that a folder from elsewhere
            could have any file of this machine uploaded.
    """
    file, home = run.path / name, run.path.resolve()
    if not file.is_file():
        return None
    # The Hub's cache keeps the content in `blobs` beside `snapshots`.
    homes = [home, home.parents[1] / "blobs"] if home.parent.name == "snapshots" else [home]
    if not any(file.resolve().is_relative_to(folder) for folder in homes):
        raise UserError(f"{file} is a link that leads out of the run's folder; copy the file there")
    return file
