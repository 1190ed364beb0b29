"""Search of hyper-parameters on validation with Optuna; every trial is a run in a folder."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import yaml

from fairexit.config import RunConfig
from fairexit.config_files import build_config
from fairexit.errors import DivergedError, UserError, option
from fairexit.evaluation.assess import Choice, stored_predictions
from fairexit.evaluation.choose import choose_theta
from fairexit.evaluation.evaluate import evaluate
from fairexit.evaluation.rules import DEFAULT_GAP, check_rule
from fairexit.extras import require
from fairexit.files import read_json, write_atomically
from fairexit.metrics.record import METRICS
from fairexit.runs import Run
from fairexit.study.rows import merge
from fairexit.study.trials import Axis, Trial, best_trial, criteria
from fairexit.study.wording import run_setting
from fairexit.terminal import note

STARTUP = 4
"""Random trials before TPE proposes. Independent of the number of trials, so that a search can be
continued with more."""


def search(
    tree: dict[str, Any],
    axes: Sequence[Axis],
    out: Path,
    *,
    trials: int,
    rule: str = DEFAULT_GAP,
    tolerance: float = 0.01,
    seed: int = 0,
) -> tuple[Trial, list[Trial]]:
    """Search settings on validation and write the best to `best.yaml`; test is never read.

    Optuna's TPE proposes from the seed and the earlier trials alone, so an interrupted search
    resumes with the same proposals, and one with more trials continues from fewer. A trial that
    diverges counts as a trial and is never the best. Where only settings of `prune` are searched,
    all trials prune the same network. Settings that are whole numbers stay whole.

    Args:
        tree: the settings that are not searched.
        axes: the settings that are searched.
        out: folder of `trial0`, `trial1` ..., `trials.json` and `best.yaml`.
        trials: number of trials.
        rule: how the best trial is chosen, see `best_trial`.
        tolerance: loss of macro F1 that is allowed, by the rule and in the choice of each trial's
            theta.
        seed: seed of the proposals.
    Returns:
        The best trial, and all trials.
    Raises:
        UserError: settings that do not fit, or the folder holds another search.
    """
    require("search", "the search of hyper-parameters")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    keys = [axis.key for axis in axes]
    if len(set(keys)) < len(keys):
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise UserError(f"{option('axes')} names {repeated} twice; name each setting once")
    check_rule(rule)
    metrics = criteria(rule)
    best_trial([Trial(0, {}, dict.fromkeys(metrics, 0.0))], rule, tolerance)  # checks tolerance
    stamp: dict[str, Any] = {
        "settings": build_config(tree).to_dict(),
        "search": [vars(axis) for axis in axes],
        "seed": seed,
    }
    _check_folder(out / "search.json", json.loads(json.dumps(stamp)))
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)
    study = optuna.create_study(sampler=sampler, directions=[_direction(name) for name in metrics])
    done: list[Trial] = []
    for index in range(trials):
        proposal = study.ask()
        settings = {axis.key: _suggest(proposal, axis, stamp["settings"]) for axis in axes}
        config = build_config(merge(tree, settings))
        try:
            run = _make(config, out, f"trial{index}", searched=keys)
            values = _measure(run, metrics, tolerance)
            study.tell(proposal, [*values.values()])
        except DivergedError as error:
            note(f"trial {index}: {error.render(run_setting)}")
            values = dict.fromkeys(metrics, math.nan)
            study.tell(proposal, state=optuna.trial.TrialState.FAIL)
        done.append(Trial(index, settings, values))
        write_atomically(out / "trials.json", json.dumps([vars(t) for t in done], indent=2) + "\n")
    best = best_trial(done, rule, tolerance)
    result = {"trials": trials, "settings": best.settings}
    comment = (
        f"# Trial {best.number} of {trials}; rule {rule} (tolerance {tolerance:g}) on validation.\n"
    )
    write_atomically(out / "best.yaml", comment + yaml.safe_dump(result, sort_keys=False))
    return best, done


def _direction(name: str) -> Literal["maximize", "minimize"]:
    return "maximize" if METRICS[name].higher_is_better else "minimize"


def _suggest(proposal: Any, axis: Axis, settings: dict[str, Any]) -> Any:
    if axis.log is None:
        return proposal.suggest_categorical(axis.key, axis.values)
    section, _, name = axis.key.partition(".")
    # The options of a method have no types here: a weight written as 1 is still a real number.
    if section != "method" and type((settings.get(section) or {}).get(name)) is int:
        return proposal.suggest_int(axis.key, *map(int, axis.values), log=axis.log)
    return proposal.suggest_float(axis.key, *axis.values, log=axis.log)


def _make(config: RunConfig, out: Path, name: str, searched: Sequence[str]) -> Run:
    """Train a trial and predict validation; trials that differ in pruning alone share a network."""
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
    """Metrics on validation, under the threshold that is chosen on validation."""
    group = run.description["group"]
    validation = stored_predictions(run, "val")
    policy = None
    if len(validation.exit_names) > 1:
        choice = Choice(tolerance=tolerance)
        policy = choose_theta(
            validation, group, thetas=choice.grid, rule=choice.rule, tolerance=choice.tolerance
        )
    evaluation = evaluate(validation, group, policy)
    return {name: evaluation.metrics[name] for name in names}


def _check_folder(file: Path, stamp: dict[str, Any]) -> None:
    """Write the stamp of a new search, or check that the folder holds one with the same stamp."""
    if file.is_file():
        if read_json(file, f"choose another {option('out')}") != stamp:
            raise UserError(
                f"{file.parent} holds a search with other settings; choose another {option('out')}"
            )
    elif file.parent.exists() and any(file.parent.glob("[!.]*")):
        raise UserError(f"{file.parent} exists but is not a search; choose another {option('out')}")
    else:
        write_atomically(file, json.dumps(stamp, indent=2) + "\n")
