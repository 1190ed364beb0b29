"""A study's YAML file."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError
from itertools import product
from pathlib import Path
from typing import Any, cast

from fairexit.config import RunConfig
from fairexit.config_files import build_config, build_section, load_listed_plugins
from fairexit.data.prepare import PrepareOptions
from fairexit.errors import UserError, nearest, short
from fairexit.evaluation.assess import Choice
from fairexit.evaluation.policy import Fallback
from fairexit.evaluation.thresholds import DEFAULT_RULE, GRID
from fairexit.files import read_yaml
from fairexit.plugins import load_plugins
from fairexit.study.paper import common_name
from fairexit.study.plan import Planned, Preparation, Study, linked, sorter

KEYS = (
    "base",
    "datasets",
    "rows",
    "axes",
    "seeds",
    "folds",
    "policy",
    "entangle",
    "against",
    "plugins",
)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]*")
REPLACED = ("method", "prune")
"""Sections whose options mean nothing to another choice, so they are replaced as a whole."""


@dataclass(frozen=True)
class PolicySettings:
    """How each run's theta is chosen, as `fairexit evaluate` takes it."""

    rule: str = DEFAULT_RULE
    tolerance: float = 0.01
    grid: tuple[float, ...] | None = None
    fallback: str = "final"


@dataclass(frozen=True)
class Best:
    """What `fairexit tune` has found: settings, and over how many trials."""

    trials: int
    settings: dict[str, Any]


def load_study(path: Path, plugins: Sequence[str | Path] = ()) -> Study:
    """Read a study; relative data paths are meant from the current folder.

    Args:
        path: the YAML file; the plugin files that it lists are relative to its folder.
        plugins: further plugin files, relative to the current folder.
    Raises:
        UserError: no such file, an unknown key, two rows of one name, runs that need each other in
            a circle, settings that do not fit, or a plugin that cannot be imported.
    """
    tree = read_yaml(path)
    _check_keys(tree, KEYS, str(path))
    load_plugins(plugins)
    load_listed_plugins(tree, path.parent)
    for key in ("base", "datasets"):
        if not tree.get(key):
            raise UserError(f"{path} lacks '{key}'; see docs/studies.md")
    base = _base(tree["base"], path)
    datasets = _mapping(tree["datasets"], "datasets")
    for name in datasets:
        _check_name("dataset", name)
    prepare = {
        name: _preparation(f"datasets.{name}.prepare", changes["prepare"])
        for name, changes in datasets.items()
        if "prepare" in changes
    }
    rows, trials = _rows(tree, path)
    runs = []
    for dataset, seed in product(datasets, _seeds(tree, "seeds", [base.get("seed", 0)])):
        here = {key: value for key, value in datasets[dataset].items() if key != "prepare"}
        grid = [
            _planned(dataset, row, seed=seed, fold=fold, parts=(base, here, changes))
            for (row, changes), fold in product(rows.items(), _seeds(tree, "folds", [None]))
        ]
        runs += linked(grid, rows)
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(
            f"{path}: two runs would be called '{short(twice)}'; rename a dataset or a row"
        )
    try:
        sorter(runs)
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise UserError(
            f"{path}: these runs depend on each other in a circle: {short(circle, 300)}"
        ) from None
    choice = _choice(tree.get("policy") or {})
    entangle = tree.get("entangle", False)
    if not isinstance(entangle, bool):
        raise UserError(f"entangle is '{short(entangle)}'; it must be true or false")
    return Study(tuple(runs), choice, prepare, trials, entangle, _against(tree, rows))


def merge(tree: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with changes on top, `{data.path: x}` or `{data: {path: x}}`.

    A whole `method` or `prune` takes the place of the old one.

    >>> merge({"train": {"lr": 1, "epochs": 2}}, {"train.lr": 3})
    {'train': {'lr': 3, 'epochs': 2}}
    """
    merged = dict(tree)
    for key, value in changes.items():
        first, _, rest = key.partition(".")
        inside = merged.get(first) or {}
        if rest:
            merged[first] = merge(inside, {rest: value})
        elif isinstance(value, dict) and isinstance(inside, dict) and first not in REPLACED:
            merged[first] = merge(inside, value)
        else:
            merged[first] = value
    return merged


def _base(base: Any, path: Path) -> dict[str, Any]:
    """The settings that all runs share, their plugins imported."""
    if isinstance(base, str):
        path = path.parent / base
        base = read_yaml(path)
    if not isinstance(base, dict):
        raise UserError(
            f"{path}: base is {short(repr(base))}; it must be a file name or a section of settings"
        )
    load_listed_plugins(base, path.parent)
    return base


def _planned(
    dataset: str, row: str, *, seed: int, fold: int | None, parts: tuple[Mapping[str, Any], ...]
) -> Planned:
    from fairexit.training.setup import record_plugins

    name = f"{dataset}-{row}-seed{seed}" + (f"-fold{fold}" if fold is not None else "")
    tree: dict[str, Any] = {}
    for part in parts[1:]:
        if "seed" in part:
            raise UserError(
                f"run {name}: the seed is set by 'seeds', as in seeds: [{short(part['seed'])}]"
            )
        if "plugins" in part:
            raise UserError(f"run {name}: 'plugins' is a key of the whole study, like 'rows'")
    for part in (*parts, {"seed": seed}, {} if fold is None else {"data.fold": fold}):
        tree = merge(tree, part)
    try:
        config = build_config(tree)
        _check_method(config)
        config = record_plugins(config)
    except UserError as error:
        raise error.at(f"run {name}") from None
    return Planned(name, dataset, row, seed, fold, config)


def _check_method(config: RunConfig) -> None:
    from fairexit.methods import methods

    options = {key: value for key, value in config.method.items() if key != "name"}
    methods.check(config.method["name"], options)


def _rows(tree: Mapping[str, Any], path: Path) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
    """Changes of each row, and over how many trials they were searched."""
    axes = _mapping(tree.get("axes") or {}, "axes")
    named: list[tuple[str, dict[str, Any]]] = []
    for values in product(*(_mapping(axis, f"axes.{key}").items() for key, axis in axes.items())):
        changes: dict[str, Any] = {}
        for _, change in values:
            changes = merge(changes, change)
        if values:
            named.append(("-".join(name for name, _ in values if name), changes))
    named += _mapping(tree.get("rows") or {}, "rows").items()
    if not named:
        raise UserError(f"{path} has no rows; give 'rows' or 'axes', see docs/studies.md")
    rows: dict[str, dict[str, Any]] = {}
    trials: dict[str, int] = {}
    for name, changes in named:
        _check_name("row", name)
        if name in rows:
            raise UserError(f"two rows are called '{name}'; rename one")
        for other in rows:
            if common_name(name) == common_name(other):
                raise UserError(
                    f"rows '{other}' and '{name}' are the same row of the paper's tables; "
                    "rename one"
                )
        if "best" in changes:
            file = path.parent / str(changes["best"])
            best = build_section(str(file), Best, read_yaml(file))
            trials[name] = best.trials
            changes = {k: v for k, v in changes.items() if k != "best"} | best.settings
        rows[name] = changes
    if len(set(trials.values())) > 1:
        first, *others = trials
        other = next(name for name in others if trials[name] != trials[first])
        raise UserError(
            f"row '{first}' was searched over {trials[first]} trials, but row '{other}' over "
            f"{trials[other]}; every method must have the same number of trials"
        )
    return rows, trials


def _against(tree: Mapping[str, Any], rows: Mapping[str, Any]) -> dict[str, str]:
    """Which row is compared with which."""
    values = tree.get("against") or {}
    if not isinstance(values, dict):
        raise UserError("against must map rows to rows, as in against: {ME-HSIC: HSIC}")
    named = {str(row): str(other) for row, other in values.items()}
    for row, other in named.items():
        for name in (row, other):
            if name not in rows:
                raise UserError(
                    f"against.{row}: there is no row '{short(name)}'; {nearest(name, rows)}"
                )
        if row == other:
            raise UserError(f"against.{row} is the same row; name another one")
    return named


def _choice(values: Any) -> Choice:
    policy = build_section("policy", PolicySettings, values)
    grid = GRID if policy.grid is None else tuple(policy.grid)
    try:
        return Choice("auto", grid, policy.rule, policy.tolerance, cast(Fallback, policy.fallback))
    except UserError as error:
        raise UserError(error.render("policy.{}".format)) from None


def _preparation(name: str, values: Any) -> Preparation:
    if not isinstance(values, dict):
        raise UserError(
            f"{name} must be a section, as in prepare: {{dataset: synthetic, size: 32}}"
        )
    tree = dict(values)
    dataset, source = tree.pop("dataset", "synthetic"), tree.pop("source", None)
    options = tree.pop("options", None) or {}
    if not isinstance(options, dict):
        raise UserError(f"{name}.options must be a section, as in options: {{images: 1000}}")
    how = build_section(name, PrepareOptions, tree)
    return Preparation(str(dataset), None if source is None else Path(source), options, how)


def _check_name(what: str, name: str) -> None:
    """It is part of the names of folders."""
    if not NAME.fullmatch(name):
        raise UserError(
            f"{what} '{short(name)}': a name must begin with a letter or digit and have only "
            "letters, digits and . _ + = -"
        )


def _seeds(tree: Mapping[str, Any], key: str, default: list[Any]) -> list[Any]:
    values = tree.get(key, default)
    if values is default:
        return default
    whole = isinstance(values, list) and all(type(value) is int for value in values)
    if not whole or not values or len(set(values)) < len(values):
        raise UserError(
            f"{key} is {short(values)}; it must be a list of different whole numbers, as in "
            "[0, 1, 2]"
        )
    return values


def _mapping(value: Any, key: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{key} must be a section with names, as in {key}: {{...}}")
    for name, inside in value.items():
        if not isinstance(inside or {}, dict):
            raise UserError(
                f"{key}.{short(name)} must be a section of settings, as in {short(name)}: {{...}}"
            )
    return {str(name): inside or {} for name, inside in value.items()}


def _check_keys(tree: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in tree:
        if key not in known:
            raise UserError(f"{where}: unknown key '{short(key)}'; {nearest(str(key), known)}")
