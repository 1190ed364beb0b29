"""Read a study from its YAML file."""

from collections import Counter
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
from fairexit.evaluation.choice import Choice
from fairexit.evaluation.choose import DEFAULT_RULE, GRID
from fairexit.evaluation.theta import Fallback
from fairexit.files import read_yaml
from fairexit.plugins import load_plugins
from fairexit.predictions.confidence import MAX_PROBABILITY
from fairexit.study.folder import dataset_info
from fairexit.study.plan import Planned, Preparation, Study, linked, sorter
from fairexit.study.rows import merge, read_rows
from fairexit.study.searches import Search, TuneSettings
from fairexit.study.sections import (
    check_keys,
    check_name,
    check_precision,
    distinct_integers,
    mapping,
)
from fairexit.study.tuned import FOLDER, tuned_rows
from fairexit.training.trackers.base import check_tracker

KEYS = (
    "base",
    "datasets",
    "rows",
    "axes",
    "seeds",
    "folds",
    "tune",
    "policy",
    "entangle",
    "against",
    "tracker",
    "plugins",
)


@dataclass(frozen=True)
class PolicySettings:
    """The section `policy`: how each run's theta is chosen, see `fairexit evaluate`."""

    rule: str = DEFAULT_RULE
    tolerance: float = 0.01
    grid: tuple[float, ...] | None = None
    per_exit: bool = False
    fallback: str = "final"
    confidence_measure: str = MAX_PROBABILITY


def load_study(
    path: Path, plugins: Sequence[str | Path] = (), *, tuning: Path = Path(FOLDER)
) -> Study:
    """Read a study.

    Args:
        path: the YAML file; the plugin files that it lists are relative to its folder, the paths of
            data to the current folder.
        plugins: further plugin files, relative to the current folder.
        tuning: folder of the searches of its rows, for a study with the section `tune`.
    Raises:
        UserError: no such file, an unknown key, two rows of one name, runs that need each other in
            a circle, settings that do not fit, or a plugin that cannot be imported.
    """
    tree = read_yaml(path)
    check_keys(tree, KEYS, str(path))
    load_plugins(plugins)
    load_listed_plugins(tree, path.parent)
    for key in ("base", "datasets"):
        if not tree.get(key):
            raise UserError(f"{path} lacks '{key}'; see docs/studies.md")
    base = _base(tree["base"], path)
    datasets = mapping(tree["datasets"], "datasets")
    for name in datasets:
        check_name("dataset", name)
    prepare = {
        name: _preparation(f"datasets.{name}.prepare", changes["prepare"])
        for name, changes in datasets.items()
        if "prepare" in changes
    }
    rows, trials = read_rows(tree, path, datasets)
    searches: list[Search] = []
    if "tune" in tree:
        how = build_section("tune", TuneSettings, tree["tune"] or {})
        parts = {name: (base, _settings(changes)) for name, changes in datasets.items()}
        searches = tuned_rows(rows, trials, parts, how=how, folder=tuning)
    runs: list[Planned] = []
    for dataset, seed in product(datasets, distinct_integers(tree, "seeds", [base.get("seed", 0)])):
        changes = _settings(datasets[dataset])
        grid = [
            _planned(dataset, row, seed=seed, fold=fold, parts=(base, changes, row_changes))
            for row, row_changes in rows[dataset].items()
            for fold in _folds(tree, (base, changes, row_changes), prepare.get(dataset))
        ]
        runs += linked(grid, rows[dataset])
    _check_runs(runs, path)
    choice = _choice(tree.get("policy") or {})
    entangle = tree.get("entangle", False)
    if not isinstance(entangle, bool):
        raise UserError(f"entangle is '{short(entangle)}'; it must be true or false")
    against = _against(tree, rows[next(iter(datasets))])
    return Study(
        tuple(runs),
        choice,
        prepare,
        trials,
        entangle,
        against=against,
        searches=tuple(searches),
        tracker=check_tracker(tree.get("tracker")),
    )


def _settings(changes: Mapping[str, Any]) -> dict[str, Any]:
    """What a dataset changes in the settings of its runs."""
    return {key: value for key, value in changes.items() if key != "prepare"}


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


def _folds(
    tree: Mapping[str, Any], parts: tuple[Mapping[str, Any], ...], preparation: Preparation | None
) -> list[int | None]:
    """The test folds of a row: those of the study, else all that its data have."""
    settings: dict[str, Any] = {}
    for part in parts:
        settings = merge(settings, part)
    data = settings.get("data")
    if "folds" in tree or not isinstance(data, dict) or data.get("fold") is not None:
        return distinct_integers(tree, "folds", [None])
    info = dataset_info(Path(str(data.get("path"))))
    if info is not None:
        # Training refuses a damaged description; here it has no folds.
        number = info.get("options", {}).get("folds")
    else:
        number = preparation.how.folds if preparation else None
    return [*range(number)] if number else [None]


def _planned(
    dataset: str, row: str, *, seed: int, fold: int | None, parts: tuple[Mapping[str, Any], ...]
) -> Planned:
    """A run of the grid; `parts` are the settings of the base, the dataset and the row."""
    from fairexit.training.setup import resolve

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
        check_precision(config)
        config = resolve(config)
    except UserError as error:
        raise error.at(f"run {name}") from None
    return Planned(name, dataset, row, seed, fold, config)


def _check_method(config: RunConfig) -> None:
    from fairexit.methods import methods

    options = {key: value for key, value in config.method.items() if key != "name"}
    methods.check(config.method["name"], options)


def _check_runs(runs: Sequence[Planned], path: Path) -> None:
    """Raise a UserError where two runs have one name, or runs need each other in a circle."""
    names = Counter(run.name for run in runs)
    name, uses = names.most_common(1)[0]
    if uses > 1:
        raise UserError(
            f"{path}: two runs would be called '{short(name)}'; rename a dataset or a row"
        )
    try:
        sorter(runs)
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise UserError(
            f"{path}: these runs depend on each other in a circle: {short(circle, 300)}"
        ) from None


def _against(tree: Mapping[str, Any], rows: Mapping[str, Any]) -> dict[str, str]:
    """Row -> the row that it is compared with."""
    values = tree.get("against") or {}
    if not isinstance(values, dict):
        raise UserError("against must map rows to rows, as in against: {ME-HSIC: HSIC}")
    baselines = {str(row): str(baseline) for row, baseline in values.items()}
    for row, baseline in baselines.items():
        for name in (row, baseline):
            if name not in rows:
                raise UserError(
                    f"against.{row}: there is no row '{short(name)}'; {nearest(name, rows)}"
                )
        if row == baseline:
            raise UserError(f"against.{row} is the same row; name another one")
    return baselines


def _choice(values: Any) -> Choice:
    policy = build_section("policy", PolicySettings, values)
    try:
        return Choice(
            grid=GRID if policy.grid is None else tuple(policy.grid),
            per_exit=policy.per_exit,
            rule=policy.rule,
            tolerance=policy.tolerance,
            fallback=cast(Fallback, policy.fallback),
            confidence_measure=policy.confidence_measure,
        )
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
