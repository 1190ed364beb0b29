"""Make a run from a configuration: train, train and then prune, or refit a finished run."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fairexit.config import RunConfig
from fairexit.errors import UserError, option
from fairexit.inference.inputs import open_data
from fairexit.inference.predict import choose_device
from fairexit.processes import is_first
from fairexit.pruning.criteria import criteria
from fairexit.pruning.groups import check_task
from fairexit.pruning.prune import check_finetuning, edited_config, prune
from fairexit.runs import Run, open_run
from fairexit.training.fit import train, with_precision
from fairexit.training.freeze import check_freeze
from fairexit.training.inputs import open_training
from fairexit.training.refit import check_trunk
from fairexit.training.setup import build, resolve, untrained
from fairexit.training.start import start_network


def make_run(
    config: RunConfig,
    out: Path,
    *,
    start: Path | None = None,
    tracker: Mapping[str, Any] | None = None,
) -> Run:
    """Train a run and, if its settings have `prune`, prune it.

    Resumes if it was interrupted.

    Args:
        config: the settings.
        out: the run's folder.
        start: a finished run to prune; by default it is trained first, in the folder `unpruned` of
            `out`. Without `prune`, a finished run by ERM for a method that refits, as for `train`.
        tracker: where the log of the training is sent too, see `check_tracker`.
    Returns:
        The run in `out`, which only the first of several processes prunes.
    Raises:
        UserError: as for `train` and `prune`.
    """
    if config.prune is None:
        return train(config, out, start=start, tracker=tracker)
    if start is not None:
        return prune(open_run(start), out, config.prune)
    unpruned = with_precision(resolve(replace(config, prune=None)), [out])
    _check(config, unpruned, out)
    trained = train(unpruned, out / "unpruned", tracker=tracker)
    # The pruning has processes of its own, `prune.devices`.
    return prune(trained, out, config.prune) if is_first() else Run(out)


def refit_run(run: Run, out: Path, options: dict[str, Any]) -> Run:
    """Refit the last layers of a finished run by the method `dfr`.

    Args:
        run: the run; it is not changed.
        out: folder of the refitted run.
        options: those of the method.
    Raises:
        UserError: as for `train`, or the run was not trained by ERM or is pruned.
    """
    check_trunk(run)
    open_data(run)
    return train(replace(run.config, method={"name": "dfr", **options}), out, start=run.path)


def make_runs(
    configs: Sequence[RunConfig], out: Path, *, tracker: Mapping[str, Any] | None = None
) -> list[Run]:
    """Make one run for each of several seeds, in the folders `seed<n>` of `out`.

    Finished runs with the same settings are kept as they are.

    Args:
        configs: settings that differ in their seeds.
        out: the common folder.
        tracker: where the logs are sent too, see `check_tracker`.
    Raises:
        UserError: `out` is a run itself, the settings need several devices, or as for `make_run`.
    """
    if (out / "started.json").is_file():
        raise UserError(f"{out} is a run itself; choose another {option('out')} for several seeds")
    if configs[0].train.devices > 1:
        raise UserError(
            f"train.devices is {configs[0].train.devices}, but several seeds need a single device; "
            "train each seed by itself"
        )
    folders = [out / f"seed{config.seed}" for config in configs]
    shared = with_precision(configs[0], folders).train
    runs = []
    for config, folder in zip(configs, folders, strict=True):
        try:
            runs.append(make_run(replace(config, train=shared), folder, tracker=tracker))
        except UserError as error:
            raise error.at(str(folder)) from None
    return runs


def _check(config: RunConfig, unpruned: RunConfig, out: Path) -> None:
    """Check the pruning before the training starts, and store the settings in `out`."""
    assert config.prune is not None
    check_freeze(unpruned)
    data = open_training(config)
    check_task(config.prune, data, config.data.group)
    check_finetuning(config)
    try:
        choose_device(config.prune.device)
    except UserError as error:
        raise UserError(error.render("prune.{}".format)) from None
    task = data.task(config.data.group)
    if unpruned.model.start is not None:
        start_network(unpruned.model, task, data.size)  # refuses a start that does not fit
    # Layers and channels do not depend on the weights, so none are downloaded here.
    net = build(untrained(unpruned), task, data.size).net
    criteria[config.prune.method].find_units(net, config.prune)
    if is_first():
        Run(out).start(edited_config(unpruned, config.prune), data.info["checksums"])
