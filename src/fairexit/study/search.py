"""Search of hyper-parameters on validation (Optuna): every trial is a run in a folder."""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from fairexit.config import RunConfig, build_config
from fairexit.errors import DivergedError, UserError
from fairexit.evaluation.assess import Choice, of_run
from fairexit.evaluation.evaluate import evaluate
from fairexit.evaluation.thresholds import choose_theta
from fairexit.files import read_json, write_atomically
from fairexit.runs import Run
from fairexit.study.load import merge
from fairexit.tables import Table, number

RULES = ("eodd", "f1")
STARTUP = 4
"""Trials before proposals follow the earlier ones; whatever their number, so that a search can be
made longer."""


@dataclass(frozen=True)
class Axis:
    """One setting that is searched.

    Attributes:
        key: as in `--set`.
        values: what is tried; of a range its two ends.
        log: a range is searched by its logarithm; None: the values are a list.
    """

    key: str
    values: tuple[Any, ...]
    log: bool | None = None


@dataclass(frozen=True)
class Trial:
    """What one trial gave on validation; NaN where its training diverged."""

    number: int
    settings: dict[str, Any]
    f1: float
    eodd: float


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
            f"--search {text}: write KEY=LOW:HIGH, KEY=LOW:HIGH:log or KEY=A,B,C; LOW below HIGH"
        ) from None


def best_trial(trials: Sequence[Trial], rule: str, tolerance: float) -> Trial:
    """The trial that a rule prefers.

    "eodd": the lowest Eodd among the trials whose macro F1 loses at most `tolerance` against the
    best F1 of all; "f1": the highest F1. Of equals the first.

    Raises:
        UserError: an unknown rule, or every trial has diverged.
    """
    if rule not in RULES:
        raise UserError(f"--rule {rule}: there are {' and '.join(RULES)}")
    if not 0 <= tolerance <= 1:
        raise UserError(f"--tolerance {tolerance}: it is a loss of F1, from 0 to 1")
    sound = [trial for trial in trials if not math.isnan(trial.f1)]
    if not sound:
        raise UserError("every trial diverged; search lower values, or set train.clip")
    if rule == "f1":
        return max(sound, key=lambda trial: trial.f1)
    least = max(trial.f1 for trial in sound) - tolerance
    return min((t for t in sound if t.f1 >= least - 1e-12), key=lambda trial: trial.eodd)


def search(
    tree: dict[str, Any],
    axes: Sequence[Axis],
    out: Path,
    *,
    trials: int,
    rule: str = "eodd",
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
    try:
        import optuna
    except ModuleNotFoundError:
        raise UserError("a search needs Optuna: pip install 'fairexit[search]'") from None

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    keys = [axis.key for axis in axes]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise UserError(f"--search {twice} is given twice; name each setting once")
    best_trial([Trial(0, {}, 0.0, 0.0)], rule, tolerance)
    asked: dict[str, Any] = {
        "settings": build_config(tree).to_dict(),
        "search": [vars(a) for a in axes],
        "seed": seed,
    }
    _check_folder(out / "search.json", json.loads(json.dumps(asked)))
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)
    study = optuna.create_study(sampler=sampler, directions=["maximize", "minimize"])
    found: list[Trial] = []
    for index in range(trials):
        proposal = study.ask()
        settings = {axis.key: _suggest(proposal, axis, asked["settings"]) for axis in axes}
        config = build_config(merge(tree, settings))
        try:
            run = _make(config, out, f"trial{index}", searched=keys)
            f1, eodd = _measure(run, tolerance)
            study.tell(proposal, [f1, eodd])
        except DivergedError as error:
            print(f"trial {index}: {error}", file=sys.stderr)
            f1 = eodd = math.nan
            study.tell(proposal, state=optuna.trial.TrialState.FAIL)
        found.append(Trial(index, settings, f1, eodd))
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
            "diverged" if math.isnan(t.f1) else number(t.f1),
            "" if math.isnan(t.eodd) else number(t.eodd),
        ]
        for t in trials
    ]
    return Table("Trials on validation (* the best)", ["Trial", *keys, "F1", "Eodd"], rows)


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


def _measure(run: Run, tolerance: float) -> tuple[float, float]:
    """Macro F1 and Eodd on validation under the theta that validation chooses."""
    group = run.description["group"]
    validation = of_run(run, "val")
    policy = None
    if len(validation.exit_names) > 1:
        choice = Choice(tolerance=tolerance)
        policy = choose_theta(validation, group, choice.grid, choice.rule, choice.tolerance)
    found = evaluate(validation, group, policy)
    return found.avg["f1"], found.eodd


def _check_folder(stamp: Path, asked: dict[str, Any]) -> None:
    if stamp.is_file():
        if read_json(stamp, "choose another --out") != asked:
            raise UserError(
                f"{stamp.parent} holds a search with other settings; choose another --out"
            )
    elif stamp.parent.exists() and any(stamp.parent.glob("[!.]*")):
        raise UserError(f"{stamp.parent} exists and is no search; choose another --out")
    else:
        write_atomically(stamp, json.dumps(asked, indent=2) + "\n")
