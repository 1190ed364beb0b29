"""Search of hyper-parameters on validation (Optuna): every trial is a run in a folder."""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from fairexit.config import RunConfig
from fairexit.config_files import build_config
from fairexit.errors import DivergedError, UserError, option, short
from fairexit.evaluation.assess import Choice, of_run
from fairexit.evaluation.evaluate import evaluate
from fairexit.evaluation.thresholds import DEFAULT_RULE, best_option, check_rule, choose_theta
from fairexit.extras import require
from fairexit.files import read_json, write_atomically
from fairexit.metrics.record import METRICS
from fairexit.report.vocabulary import metric_name
from fairexit.runs import Run
from fairexit.study.load import merge
from fairexit.study.wording import run_setting
from fairexit.tables import Table, number

STARTUP = 4
"""Trials before proposals follow the earlier ones; whatever their number, so that a search can be
made longer."""


@dataclass(frozen=True)
class Axis:
    """One setting that is searched.

    Attributes:
        key: of the setting, such as `method.weight`.
        values: what is tried; of a range its two ends.
        log: a range is searched by its logarithm; None: the values are a list.
    """

    key: str
    values: tuple[Any, ...]
    log: bool | None = None


@dataclass(frozen=True)
class Trial:
    """What one trial gave on validation.

    Attributes:
        number: counted from 0.
        settings: what was tried.
        values: metric -> value; NaN where the training diverged.
    """

    number: int
    settings: dict[str, Any]
    values: dict[str, float]

    @property
    def diverged(self) -> bool:
        """Whether the training came to no result."""
        return math.isnan(self.values["f1"])


def criteria(rule: str) -> tuple[str, str]:
    """The two metrics that a search looks at: macro F1, and the rule or the default gap."""
    return "f1", DEFAULT_RULE if rule == "f1" else rule


def parse_axis(text: str) -> Axis:
    """An axis from `method.weight=0.01:100:log`, `prune.ratio=0.1:0.5` or `train.lr=0.01,0.03`.

    Raises:
        UserError: written otherwise.

    >>> parse_axis("method.weight=0.01:100:log")
    Axis(key='method.weight', values=(0.01, 100.0), log=True)
    """
    key, equals, rest = text.partition("=")
    try:
        if not equals or not key or not rest:
            raise ValueError
        if ":" not in rest:
            return Axis(key, tuple(yaml.safe_load(part) for part in rest.split(",")))
        first, second, *kind = rest.split(":")
        low, high = float(first), float(second)
        if kind not in ([], ["log"]) or not low < high < math.inf or (kind and not low > 0):
            raise ValueError
        return Axis(key, (low, high), bool(kind))
    except (ValueError, yaml.YAMLError):
        raise UserError(
            f"{option('axes')} {short(text)}: write KEY=LOW:HIGH, KEY=LOW:HIGH:log or KEY=A,B,C, "
            "with LOW below HIGH"
        ) from None


def best_trial(trials: Sequence[Trial], rule: str, tolerance: float) -> Trial:
    """The trial that a rule prefers.

    A rule is a metric's name: by a gap, such as "eodd", the lowest among the trials whose macro F1
    loses at most `tolerance` against the best F1 of all; by any other, such as "f1", the best
    value. Of equals the first.

    Raises:
        UserError: an unknown rule, or every trial has diverged.
    """
    metric = check_rule(rule)
    if not 0 <= tolerance <= 1:
        raise UserError(
            f"{option('tolerance')} is {tolerance}; it is a loss of F1 and must be between 0 and 1"
        )
    sound = [trial for trial in trials if not trial.diverged]
    if not sound:
        raise UserError(
            "the training of every trial diverged; search lower values, or set train.clip"
        )
    values, f1 = (np.array([trial.values[name] for trial in sound]) for name in (rule, "f1"))
    best = best_option(metric, values, f1, float(f1.max()) - tolerance)
    if best is None:
        raise UserError(f"{metric.label} is not defined in any trial, so none is the best")
    return sound[best]


def search(
    tree: dict[str, Any],
    axes: Sequence[Axis],
    out: Path,
    *,
    trials: int,
    rule: str = DEFAULT_RULE,
    tolerance: float = 0.01,
    seed: int = 0,
) -> tuple[Trial, list[Trial]]:
    """Try settings and write the best to `best.yaml`; test is never looked at.

    Optuna's TPE proposes, from the seed and the trials before alone, so a search that was killed
    goes on as if it had not been, and one with more trials goes on from fewer. A trial that
    diverges counts as one and is never the best. A pruning starts from one unpruned run, unless
    what is searched changes the training. Settings that are whole numbers stay so.

    Args:
        tree: the settings that are not searched.
        axes: those that are.
        out: folder: `trial0`, `trial1` ..., `trials.json`, `best.yaml`.
        trials: how many.
        rule: see `best_trial`.
        tolerance: of the rule, and of the choice of each trial's theta.
        seed: of the proposals.
    Raises:
        UserError: settings that do not fit, or the folder holds another search.
    """
    require("search", "the search of hyper-parameters")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    keys = [axis.key for axis in axes]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise UserError(f"{option('axes')} names {twice} twice; name each setting once")
    check_rule(rule)
    names = criteria(rule)
    best_trial([Trial(0, {}, dict.fromkeys(names, 0.0))], rule, tolerance)
    asked: dict[str, Any] = {
        "settings": build_config(tree).to_dict(),
        "search": [vars(a) for a in axes],
        "seed": seed,
    }
    _check_folder(out / "search.json", json.loads(json.dumps(asked)))
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)
    study = optuna.create_study(sampler=sampler, directions=[_direction(name) for name in names])
    found: list[Trial] = []
    for index in range(trials):
        proposal = study.ask()
        settings = {axis.key: _suggest(proposal, axis, asked["settings"]) for axis in axes}
        config = build_config(merge(tree, settings))
        try:
            run = _make(config, out, f"trial{index}", searched=keys)
            values = _measure(run, names, tolerance)
            study.tell(proposal, [*values.values()])
        except DivergedError as error:
            print(f"trial {index}: {error.render(run_setting)}", file=sys.stderr)
            values = dict.fromkeys(names, math.nan)
            study.tell(proposal, state=optuna.trial.TrialState.FAIL)
        found.append(Trial(index, settings, values))
        write_atomically(out / "trials.json", json.dumps([vars(t) for t in found], indent=2) + "\n")
    best = best_trial(found, rule, tolerance)
    chosen = {"trials": trials, "settings": best.settings}
    about = (
        f"# Trial {best.number} of {trials}; rule {rule} (tolerance {tolerance:g}) on validation.\n"
    )
    write_atomically(out / "best.yaml", about + yaml.safe_dump(chosen, sort_keys=False))
    return best, found


def trial_table(best: Trial, trials: Sequence[Trial]) -> Table:
    """Every trial on validation; the best one is marked."""
    keys = list(best.settings)
    rows = [
        [
            f"{t.number}{' *' if t is best else ''}",
            *(f"{v:.4g}" if isinstance(v, float) else str(v) for v in t.settings.values()),
            *(["diverged", ""] if t.diverged else map(number, t.values.values())),
        ]
        for t in trials
    ]
    columns = ["Trial", *keys, *map(metric_name, best.values)]
    return Table("Trials on validation (* the best)", columns, rows)


def _direction(name: str) -> Literal["maximize", "minimize"]:
    return "maximize" if METRICS[name].higher_is_better else "minimize"


def _suggest(proposal: Any, axis: Axis, settings: dict[str, Any]) -> Any:
    if axis.log is None:
        return proposal.suggest_categorical(axis.key, axis.values)
    section, _, name = axis.key.partition(".")
    # A method's options are not typed here: its weight may be written as 1.
    if section != "method" and type((settings.get(section) or {}).get(name)) is int:
        return proposal.suggest_int(axis.key, *map(int, axis.values), log=axis.log)
    return proposal.suggest_float(axis.key, *axis.values, log=axis.log)


def _make(config: RunConfig, out: Path, name: str, searched: Sequence[str]) -> Run:
    from fairexit.inference.predict import predict
    from fairexit.pipeline import make_run

    start = None
    if config.prune is not None and all(key.startswith("prune.") for key in searched):
        start = make_run(replace(config, prune=None), out / "unpruned").path
    run = make_run(config, out / name, start=start)
    if not run.predictions("val").is_file():
        predict(run, ["val"], device=config.train.device)
    return run


def _measure(run: Run, names: Sequence[str], tolerance: float) -> dict[str, float]:
    """Metrics on validation under the threshold that validation chooses."""
    group = run.description["group"]
    validation = of_run(run, "val")
    policy = None
    if len(validation.exit_names) > 1:
        choice = Choice(tolerance=tolerance)
        policy = choose_theta(
            validation, group, thetas=choice.grid, rule=choice.rule, tolerance=choice.tolerance
        )
    evaluation = evaluate(validation, group, policy)
    return {name: evaluation.metrics[name] for name in names}


def _check_folder(stamp: Path, asked: dict[str, Any]) -> None:
    if stamp.is_file():
        if read_json(stamp, f"choose another {option('out')}") != asked:
            raise UserError(
                f"{stamp.parent} holds a search with other settings; choose another {option('out')}"
            )
    elif stamp.parent.exists() and any(stamp.parent.glob("[!.]*")):
        raise UserError(
            f"{stamp.parent} exists but is not a search; choose another {option('out')}"
        )
    else:
        write_atomically(stamp, json.dumps(asked, indent=2) + "\n")
