"""The functions that make runs: train, refit, rerun and prune."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairexit.api.common import Plugins, as_run
from fairexit.extras import require
from fairexit.plugins import load_plugins
from fairexit.runs import Run

if TYPE_CHECKING:
    from fairexit.config import RunConfig
    from fairexit.repetition import Rerun


def train(
    config: "str | Path | Mapping[str, Any] | RunConfig",
    out: str | Path,
    changes: Mapping[str, Any] | Sequence[str] = (),
    *,
    seeds: Sequence[int] | None = None,
    tracker: str | Mapping[str, Any] | None = None,
    plugins: Plugins = (),
) -> Run | list[Run]:
    """Train a run and, if its settings have `prune`, prune it. Resumes if it was interrupted.

        fairexit.train("configs/small_resnet18.yaml", "runs/me", {"train.epochs": 10})

    Args:
        config: a YAML file, a nested dictionary of the same form, or a `RunConfig`.
        out: the run's folder.
        changes: settings that replace those of the configuration: `{"train.epochs": 10}`, or
            `["train.epochs=10"]` as on the command line.
        seeds: seeds in place of that of the configuration, each with a run in the folder `seed<n>`
            of `out`; finished ones are not trained again. The setting `seed` can also be a list.
        tracker: where the log is sent too: "mlflow", "wandb", "trackio" or one of a plugin, or
            `{"name": "wandb", "project": "skin"}` with options.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
    Returns:
        The run, or the runs of all seeds if there is a list of seeds.
    Raises:
        UserError: settings that do not fit the data or the machine, a folder that holds another
            run, or a loss that diverges.
    """
    require("train", "fairexit.train")
    load_plugins(plugins)
    from fairexit.config_files import resolve_seeds

    settings = resolve_seeds(config, changes, seeds)
    from fairexit.training.inputs import open_training
    from fairexit.training.trackers.base import check_tracker

    checked = check_tracker(tracker)
    open_training(settings[0] if isinstance(settings, list) else settings)
    from fairexit.pipeline import make_run, make_runs

    if isinstance(settings, list):
        return make_runs(settings, Path(out), tracker=checked)
    return make_run(settings, Path(out), tracker=checked)


def refit(run: str | Path | Run, out: str | Path, *, plugins: Plugins = (), **options: Any) -> Run:
    """Refit the last layers of a finished run by ERM on group-balanced held-out data.

    This is the method `dfr`; the result is the run that training with it would have made.

        fairexit.refit("runs/me", "runs/me-dfr", balance="groups")

    Args:
        run: a finished run or its folder; it is not changed.
        out: folder of the refitted run.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
        options: `refits` and `balance`; see `fairexit.methods.dfr.Dfr`.
    Raises:
        UserError: the run was not trained by ERM or is pruned, its network cannot be refitted, or
            the held-out images do not suffice.
    """
    require("train", "fairexit.refit")
    load_plugins(plugins)
    opened = as_run(run)
    from fairexit.pipeline import refit_run

    return refit_run(opened, Path(out), options)


def rerun(run: str | Path | Run, out: str | Path, *, plugins: Plugins = ()) -> "Rerun":
    """Repeat a run from its record, and compare weights, log and predictions.

        fairexit.rerun("runs/me", "runs/me-again").equal

    Args:
        run: a finished run or its folder; it is not changed.
        out: folder of the repetition, which resumes if it was interrupted.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
    Returns:
        The repetition, the largest difference of each part, and what has changed of versions and
        machine.
    Raises:
        UserError: the run was trained by a loop of your own, or its data are missing or have
            changed.
    """
    require("train", "fairexit.rerun")
    load_plugins(plugins)
    opened = as_run(run)
    from fairexit.repetition import rerun as repeat

    return repeat(opened, Path(out))


def prune(run: str | Path | Run, out: str | Path, *, plugins: Plugins = (), **settings: Any) -> Run:
    """Edit a finished run to make it fairer. Resumes if it was interrupted.

        fairexit.prune("runs/me", "runs/me-pruned", ratio=0.35)
        fairexit.prune("runs/me", "runs/me-scp", method="scp", stages=[4])

    Args:
        run: a finished run or its folder; it is not changed.
        out: folder of the pruned run.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
        settings: `method`, `ratio`, `beta` ...; see `fairexit.config_prune.PruneConfig`.
    Raises:
        UserError: the run is pruned already, or the settings do not fit it or its data.
    """
    require("train", "fairexit.prune")
    load_plugins(plugins)
    from fairexit.config_files import build_prune

    opened, config = as_run(run), build_prune(settings)
    from fairexit.inference.inputs import open_data

    open_data(opened)
    from fairexit.pruning.prune import prune as prune_run

    return prune_run(opened, Path(out), config)
