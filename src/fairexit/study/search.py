"""Search of hyper-parameters on validation with Optuna; every trial is a run in a folder."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from fairexit.config import RunConfig
from fairexit.config_files import build_config
from fairexit.config_settings import setting_type
from fairexit.errors import UserError, option
from fairexit.evaluation.choice import stored_predictions
from fairexit.evaluation.choose import choose_theta
from fairexit.evaluation.evaluate import Evaluation, evaluate
from fairexit.evaluation.rules import DEFAULT_GAP, check_rule
from fairexit.executors.task import Executor
from fairexit.extras import require
from fairexit.files import read_json, write_atomically, write_json
from fairexit.metrics.collapse import COLLAPSED, MARK
from fairexit.metrics.record import METRICS
from fairexit.runs import Run, completed
from fairexit.search_space import Axis
from fairexit.study.rows import merge
from fairexit.study.sections import check_precision
from fairexit.study.trial_runs import make_trials
from fairexit.study.trials import DIVERGED, Trial, best_trial, criteria

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
    batch: int = 1,
    executor: Executor | None = None,
) -> tuple[Trial | None, list[Trial]]:
    """Search settings on validation and write the best to `best.yaml`; test is never read.

    Optuna's TPE proposes from the seed and the earlier trials alone, so an interrupted search
    resumes with the same proposals, and one with more trials continues from fewer. Settings that
    were proposed before use the earlier run. A trial that diverges, collapses or has no effect
    counts as a trial and is never the best. Where only settings of `prune` or of a refit are
    searched, all trials start from the same network. Settings that are whole numbers stay whole.

    Args:
        tree: the settings that are not searched.
        axes: the settings that are searched.
        out: folder of `trial0`, `trial1` ..., `trials.json` and `best.yaml`.
        trials: number of trials.
        rule: how the best trial is chosen, see `best_trial`.
        tolerance: loss of macro F1 that is allowed, by the rule and in the choice of each trial's
            theta.
        seed: seed of the proposals.
        batch: number of trials that are proposed together, from the results of the earlier ones.
        executor: where the trials of a batch are made, at the same time; by default in this
            process, one after the other.
    Returns:
        The best trial, None where every trial is marked, and all trials.
    Raises:
        UserError: settings that do not fit, a metric that is not defined on validation, or the
            folder holds another search.
    """
    require("search", "the search of hyper-parameters")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    check_rule(rule)
    metrics = criteria(rule)
    best_trial([Trial(0, {}, dict.fromkeys(metrics, 0.0))], rule, tolerance)  # checks tolerance
    spaces = _spaces(tree, axes)
    config = build_config(tree)
    check_precision(config)
    _check_criteria(config, rule)
    stamp = search_stamp(config, axes, seed, batch)
    _check_folder(out / "search.json", json.loads(json.dumps(stamp)))
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)
    study = optuna.create_study(sampler=sampler, directions=[_direction(name) for name in metrics])
    done: dict[str, Trial] = {}
    made: list[Trial] = []
    searched = [axis.key for axis in axes]
    for first in range(0, trials, batch):
        proposals = [study.ask(spaces) for _ in range(min(batch, trials - first))]
        configs = [build_config(merge(tree, proposal.params)) for proposal in proposals]
        keys = [json.dumps(config.to_dict(), sort_keys=True) for config in configs]
        new = {
            first + i: configs[i]
            for i, key in enumerate(keys)
            if key not in done and key not in keys[:i]
        }
        runs = make_trials(new, out, searched, executor)
        for number, (proposal, key) in enumerate(zip(proposals, keys, strict=True), first):
            if key in done:
                trial = replace(done[key], number=number, same_as=done[key].number)
            else:
                trial = done[key] = _measured(
                    number, proposal.params, runs[number], metrics=metrics, tolerance=tolerance
                )
            if trial.mark == DIVERGED:
                study.tell(proposal, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(proposal, [*trial.values.values()])
            made.append(trial)
        write_json(out / "trials.json", [vars(t) for t in made])
    best = best_trial(made, rule, tolerance)
    if best is None:
        (out / "best.yaml").unlink(missing_ok=True)  # of a search with fewer trials
        return best, made
    result = {"trials": trials, "settings": best.settings}
    comment = (
        f"# Trial {best.number} of {trials}; rule {rule} (tolerance {tolerance:g}) on validation.\n"
    )
    write_atomically(out / "best.yaml", comment + yaml.safe_dump(result, sort_keys=False))
    return best, made


def _direction(name: str) -> Literal["maximize", "minimize"]:
    return "maximize" if METRICS[name].higher_is_better else "minimize"


def search_stamp(
    config: RunConfig, axes: Sequence[Axis], seed: int, batch: int = 1
) -> dict[str, Any]:
    """What makes two searches the same one, whatever the number of their trials."""
    stamp = {
        "settings": config.to_dict(),
        "search": [vars(axis) for axis in axes],
        "seed": seed,
    }
    return stamp if batch == 1 else stamp | {"batch": batch}


def check_search(file: Path, stamp: dict[str, Any], hint: str) -> None:
    """Check that a stored search is this one.

    Args:
        file: the stored stamp.
        stamp: what `search_stamp` returns for this one.
        hint: what to do if it is another one.
    Raises:
        UserError: it is another search.
    """
    stored, wanted = read_json(file, hint), json.loads(json.dumps(stamp))
    if isinstance(stored.get("settings"), dict):
        stored, wanted = (s | {"settings": completed(s["settings"])} for s in (stored, wanted))
    if stored != wanted:
        raise UserError(f"{file.parent} holds a search with other settings; {hint}")


def searchable(config: RunConfig) -> tuple[Axis, ...]:
    """The settings that are searched where none are named; none if the method has none.

    They are those of the pruning if the run is pruned, so that all trials prune the same network,
    and those of the method otherwise.
    """
    from fairexit.methods import methods
    from fairexit.pruning.criteria import criteria as edits

    if config.prune is not None:
        return tuple(edits[config.prune.method].search_space)
    return tuple(methods[config.method["name"]].search_space)


def default_axes(config: RunConfig) -> list[Axis]:
    """The settings that are `searchable`.

    Raises:
        UserError: the method does not say what to search.
    """
    if axes := searchable(config):
        return [*axes]
    raise UserError(
        f"method '{config.method['name']}' does not say which of its settings to search; name them "
        f"with {option('axes')}"
    )


def _spaces(tree: dict[str, Any], axes: Sequence[Axis]) -> dict[str, Any]:
    """Key -> Optuna's distribution of a setting.

    Raises:
        UserError: a setting is named twice, has a range but is no number, or has an unknown name.
    """
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    spaces: dict[str, Any] = {}
    for axis in axes:
        if axis.key in spaces:
            raise UserError(f"{option('axes')} names {axis.key} twice; name each setting once")
        if axis.log is None:
            spaces[axis.key] = CategoricalDistribution(axis.values)
            continue
        hint, (low, high) = setting_type(tree, axis.key), axis.values
        kinds = (hint, *get_args(hint))
        if float in kinds:
            spaces[axis.key] = FloatDistribution(float(low), float(high), log=axis.log)
        elif int in kinds and type(low) is type(high) is int:
            spaces[axis.key] = IntDistribution(low, high, log=axis.log)
        else:
            kind = "a whole number; give whole ends" if int in kinds else "not a number; give A,B,C"
            raise UserError(f"{option('axes')} {axis.key}={low}:{high}: {axis.key} is {kind}")
    return spaces


def _check_criteria(config: RunConfig, rule: str) -> None:
    """Raise a UserError if no network has the metrics of the search or of an epoch on validation.

    The message names a setting with which the search works.
    """
    from fairexit.data.prepared import open_prepared
    from fairexit.training.criteria import check_defined

    data, needed = open_prepared(config.data.path), [(config.train.select, "train.select")]
    # The choice of each trial's theta compares the default gap.
    has_exits = config.model.exits not in ("none", [])
    for name in (*criteria(rule), *([DEFAULT_GAP] if has_exits else [])):
        is_choice = name == rule and not (name == DEFAULT_GAP and has_exits)
        needed.append((name, option("rule") if is_choice else "data.group"))
    for name, setting in needed:
        check_defined(name, data, config.data, setting=setting)


def _measured(
    number: int,
    settings: dict[str, Any],
    run: Run | None,
    *,
    metrics: Sequence[str],
    tolerance: float,
) -> Trial:
    """A trial from its run, measured on validation; None for a run that diverged."""
    if run is None:
        return Trial(number, settings, dict.fromkeys(metrics, math.nan), DIVERGED)
    evaluation = _measure(run, tolerance)
    collapsed = evaluation.main_answer_share >= COLLAPSED
    mark = ", ".join(([MARK] if collapsed else []) + [*run.inactive])
    return Trial(number, settings, {name: evaluation.metrics[name] for name in metrics}, mark)


def _measure(run: Run, tolerance: float) -> Evaluation:
    """Metrics on validation, under the threshold that is chosen on validation."""
    group = run.description["group"]
    validation = stored_predictions(run, "val")
    policy = None
    if len(validation.exit_names) > 1:
        policy = choose_theta(validation, group, tolerance=tolerance)
    return evaluate(validation, group, policy)


def _check_folder(file: Path, stamp: dict[str, Any]) -> None:
    """Write the stamp of a new search, or check that the folder holds one with the same stamp."""
    if file.is_file():
        check_search(file, stamp, f"choose another {option('out')}")
    elif file.parent.exists() and any(file.parent.glob("[!.]*")):
        raise UserError(f"{file.parent} exists but is not a search; choose another {option('out')}")
    else:
        write_json(file, stamp)
