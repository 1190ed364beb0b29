"""The rows of a study: the settings that each changes, from its `rows` and `axes`."""

from collections.abc import Iterator, Mapping
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
    tree: Mapping[str, Any], path: Path
) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
    """Read the rows of a study.

    Args:
        tree: the study's file.
        path: its path; the files of searched settings are relative to its folder.
    Returns:
        Row -> changed settings, and row -> number of trials for the rows that were searched.
    Raises:
        UserError: no rows, two rows of one name, or different numbers of trials.
    """
    named = [*_crossed(tree), *mapping(tree.get("rows") or {}, "rows").items()]
    if not named:
        raise UserError(f"{path} has no rows; give 'rows' or 'axes', see docs/studies.md")
    rows: dict[str, dict[str, Any]] = {}
    trials: dict[str, int] = {}
    for name, changes in named:
        _check_row_name(name, rows)
        rows[name] = changes
        if "best" in changes:
            file = path.parent / str(changes["best"])
            best = build_section(str(file), Best, read_yaml(file))
            trials[name] = best.trials
            own = {key: value for key, value in changes.items() if key != "best"}
            rows[name] = own | best.settings
    _check_trials(trials)
    return rows, trials


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


def _check_trials(trials: Mapping[str, int]) -> None:
    """Raise a UserError where two rows were searched over different numbers of trials."""
    if len(set(trials.values())) > 1:
        first = next(iter(trials))
        second = next(name for name in trials if trials[name] != trials[first])
        raise UserError(
            f"row '{first}' was searched over {trials[first]} trials, but row '{second}' over "
            f"{trials[second]}; every method must have the same number of trials"
        )
