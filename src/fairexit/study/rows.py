"""The rows of a study: the settings that each changes, from its `rows` and `axes`."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from fairexit.config_files import build_section
from fairexit.errors import UserError, short
from fairexit.files import read_yaml
from fairexit.study.paper import common_name
from fairexit.study.sections import check_name, mapping

REPLACED = ("method", "prune")
"""Sections that are replaced as a whole: options of one choice mean nothing to another."""


@dataclass(frozen=True)
class Best:
    """The file `best.yaml` of `fairexit tune`.

    Attributes:
        trials: over how many trials the settings were searched.
        settings: those of the best trial.
    """

    trials: int
    settings: dict[str, Any]


def merge(tree: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with changes on top, `{data.path: x}` or `{data: {path: x}}`.

    A `method` or `prune` that is given as a section replaces the old one as a whole.

    >>> merge({"train": {"lr": 1, "epochs": 2}}, {"train.lr": 3})
    {'train': {'lr': 3, 'epochs': 2}}

    Raises:
        UserError: a key such as `data.path` where `data` is not a section.
    """
    merged = dict(tree)
    for key, value in changes.items():
        first, _, rest = key.partition(".")
        section = merged.get(first) or {}
        if rest and not isinstance(section, Mapping):
            raise UserError(
                f"'{short(key)}' is set, but '{short(first)}' is {short(repr(section))}, which is "
                "not a section"
            )
        if rest:
            merged[first] = merge(section, {rest: value})
        elif isinstance(value, dict) and isinstance(section, dict) and first not in REPLACED:
            merged[first] = merge(section, value)
        else:
            merged[first] = value
    return merged


def read_rows(
    tree: Mapping[str, Any], path: Path, datasets: Iterable[str]
) -> tuple[dict[str, dict[str, dict[str, Any]]], dict[str, int]]:
    """Read the rows of a study.

    Args:
        tree: the study's file.
        path: its path; the files of searched settings are relative to its folder.
        datasets: names of the datasets. `{dataset}` and `{row}` in the path of searched settings
            stand for the names of the dataset and the row.
    Returns:
        Dataset -> row -> changed settings, and row -> number of trials for the rows that were
        searched.
    Raises:
        UserError: no rows, two rows of one name, no file of searched settings, or different numbers
            of trials.
    """
    named: dict[str, dict[str, Any]] = {}
    for name, changes in (*_crossed(tree), *mapping(tree.get("rows") or {}, "rows").items()):
        _check_row_name(name, named)
        named[name] = changes
    if not named:
        raise UserError(f"{path} has no rows; give 'rows' or 'axes', see docs/studies.md")
    rows = {dataset: dict(named) for dataset in datasets}
    trials: dict[str, int] = {}
    for dataset, (name, changes) in product(rows, named.items()):
        if "best" in changes:
            place = str(changes["best"]).replace("{dataset}", dataset).replace("{row}", name)
            file = path.parent / place
            best = _read_best(file, name)
            _check_trials(name, best.trials, trials, file)
            trials[name] = best.trials
            own = {key: value for key, value in changes.items() if key != "best"}
            rows[dataset][name] = own | best.settings
    return rows, trials


def _read_best(file: Path, row: str) -> Best:
    if not file.is_file():
        raise UserError(
            f"row '{row}' takes its settings from {file}, which does not exist; search them with "
            "`fairexit tune` and copy its best.yaml there, or remove 'best' from the row"
        )
    return build_section(str(file), Best, read_yaml(file))


def _crossed(tree: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """All combinations of the axes' values, with the name and the changes of each."""
    axes = mapping(tree.get("axes") or {}, "axes")
    values = [mapping(axis, f"axes.{key}").items() for key, axis in axes.items()]
    for combination in product(*values) if axes else ():
        changes: dict[str, Any] = {}
        for _, change in combination:
            changes = merge(changes, change)
        yield "-".join(name for name, _ in combination if name), changes


def _check_row_name(name: str, rows: Mapping[str, Any]) -> None:
    check_name("row", name)
    if name in rows:
        raise UserError(f"two rows are called '{name}'; rename one")
    for earlier in rows:
        if common_name(name) == common_name(earlier):
            raise UserError(
                f"rows '{earlier}' and '{name}' are the same row of the paper's tables; rename one"
            )


def _check_trials(row: str, number: int, trials: Mapping[str, int], file: Path) -> None:
    """Raise a UserError where a row was searched over another number of trials than others."""
    for other, earlier in trials.items():
        if earlier != number:
            raise UserError(
                f"row '{other}' was searched over {earlier} trials, but row '{row}' over {number} "
                f"({file}); every method must have the same number of trials"
            )
