"""More epochs for a run: what may change, and what happens to the schedule."""

import json
import shutil
from typing import Any

from fairexit.config import RunConfig
from fairexit.config_files import build_config
from fairexit.config_train import TrainConfig
from fairexit.errors import UserError, option
from fairexit.files import read_json, write_atomically, write_json
from fairexit.methods import methods
from fairexit.runs import FORMAT, RETRAIN, Run, check_same
from fairexit.terminal import note
from fairexit.training.checkpoint import best_file, read_progress
from fairexit.training.optim import learning_rate
from fairexit.training.stopping import stop_reason

MAY_CHANGE = ("epochs", "restarts", "restart_lr", "early_stopping")
"""Settings of `train` that may change when a run is extended, as far as its past stays the same."""


def extend(run: Run, config: RunConfig, checksums: dict[str, str], steps: int) -> None:
    """Open a run for more epochs, if the settings have more.

    It then ends as if it had been trained with the new settings from the start. Predictions and
    evaluations of the shorter training are removed.

    Args:
        run: the run, finished or not; without its folder, or without more epochs, nothing is done.
        config: the new settings.
        checksums: checksums of the data.
        steps: number of steps in an epoch.
    Raises:
        UserError: other settings or the data differ, the past epochs would have been trained
            otherwise, or no state is stored.
    """
    file = run.path / "started.json"
    if not file.is_file():
        return
    stamp = read_json(file, RETRAIN)
    new = json.loads(json.dumps({"format": FORMAT, "run": config.to_dict(), "data": checksums}))
    if not _is_longer(stamp, new):
        return
    check_same(run.path, _adapted(stamp, new), new)
    before = build_config(stamp["run"]).train
    _check_past(run, before, config, steps)
    if run.finished:
        progress = read_progress(run)
        # The best weights so far are those that the run has stored.
        best = best_file(run, progress.rows, before.select)
        write_atomically(best, run.weights.read_bytes())
        (run.path / "config.json").unlink()
    _remove_results(run)
    write_json(file, new)
    first, last = (
        learning_rate(config.train, epoch, 0, steps)
        for epoch in (before.epochs, config.train.epochs - 1)
    )
    note(
        f"{run.path}: extended from {before.epochs} to {config.train.epochs} epochs, with the "
        f"learning rate {first:.3g} in epoch {before.epochs + 1} and {last:.3g} in the last; its "
        "predictions and evaluation are made anew by `fairexit predict` and `evaluate`"
    )


def _is_longer(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether the new stamp of a run has more epochs than the old one."""
    try:
        return new["run"]["train"]["epochs"] > old["run"]["train"]["epochs"]
    except (LookupError, TypeError):
        return False  # the run's own check of its stamp says what is damaged


def _adapted(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The old stamp with the new values of the settings that may change."""
    changed = {key: new["run"]["train"][key] for key in MAY_CHANGE}
    return {**old, "run": {**old["run"], "train": {**old["run"]["train"], **changed}}}


def _check_past(run: Run, before: TrainConfig, config: RunConfig, steps: int) -> None:
    """Raise a UserError unless the epochs that are done are the same with the new settings."""
    train, other = config.train, f"or choose another {option('out')}"
    progress = read_progress(run)
    if run.finished and not progress.epoch:
        raise UserError(
            f"{run.path} has no checkpoints/last.ckpt, from which its training could continue; "
            f"choose another {option('out')}"
        )
    done = progress.epoch
    times = [(epoch, step) for epoch in range(done) for step in range(steps)]
    if any(learning_rate(before, *t, steps) != learning_rate(train, *t, steps) for t in times):
        raise UserError(
            f"{run.path} has trained {done} of {before.epochs} epochs with a {train.schedule} "
            f"schedule, which would have been another one with train.epochs {train.epochs}; set "
            f"train.restarts to [{before.epochs}], so that the schedule begins again after epoch "
            f"{before.epochs} (at train.restart_lr), {other}"
        )
    for epoch in range(1, done + 1):
        if reason := stop_reason(progress.rows[:epoch], train):
            raise UserError(
                f"{run.path} ended after epoch {epoch}: {reason}; change train.early_stopping, "
                f"{other}"
            )
    options = methods.options(config.method["name"])
    if "teacher" in options and config.method.get("teacher") is None:
        raise UserError(
            f"{run.path} has a teacher of its own, which was trained for {before.epochs} epochs; "
            f"choose another {option('out')}"
        )


def _remove_results(run: Run) -> None:
    """Remove what was computed from the weights of the shorter training."""
    shutil.rmtree(run.path / "predictions", ignore_errors=True)
    entanglement = [run.path / f"entanglement.{ending}" for ending in ("json", "csv")]
    for file in (run.policy, run.metrics, *entanglement):
        file.unlink(missing_ok=True)
