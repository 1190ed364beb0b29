"""Make a run from a configuration: train, train and then prune, or refit a finished run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from fairexit.config import RunConfig
from fairexit.errors import UserError
from fairexit.inference.inputs import open_data
from fairexit.inference.predict import choose_device
from fairexit.pruning.fairprune import prune
from fairexit.pruning.groups import check_task
from fairexit.pruning.layers import choose_layers
from fairexit.runs import Run, open_run
from fairexit.training.fit import train
from fairexit.training.freeze import check_freeze
from fairexit.training.inputs import open_training
from fairexit.training.refit import check_trunk
from fairexit.training.setup import build, finetune_config, record_plugins, untrained
from fairexit.training.start import start_network


def make_run(config: RunConfig, out: Path, *, start: Path | None = None) -> Run:
    """Train a run and, if its settings have `prune`, prune it.

    Resumes if it was interrupted.

    Args:
        config: the settings.
        out: the run's folder.
        start: a finished run to prune; by default it is trained first, in the folder `unpruned` of
            `out`. Without `prune`, a finished run by ERM for a method that refits, as for `train`.
    Returns:
        The run in `out`.
    Raises:
        UserError: as for `train` and `prune`.
    """
    if config.prune is None:
        return train(config, out, start=start)
    if start is not None:
        return prune(open_run(start), out, config.prune)
    unpruned = record_plugins(replace(config, prune=None))
    _check(config, unpruned, out)
    return prune(train(unpruned, out / "unpruned"), out, config.prune)


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


def _check(config: RunConfig, unpruned: RunConfig, out: Path) -> None:
    """Check the pruning before the training starts, and store the settings in `out`."""
    assert config.prune is not None
    if config.train.devices > 1:
        raise UserError(
            f"train.devices is {config.train.devices}, but training and pruning in one step needs "
            "a single device; train without the section prune, then use `fairexit prune`"
        )
    check_freeze(unpruned)
    data = open_training(config)
    check_task(config.prune, data, config.data.group)
    if config.prune.finetune:
        finetune_config(config)
    try:
        choose_device(config.prune.device)
    except UserError as error:
        raise UserError(error.render("prune.{}".format)) from None
    task = data.task(config.data.group)
    if unpruned.model.start is not None:
        start_network(unpruned.model, task, data.size)  # refuses a start that does not fit
    # Names of layers do not depend on the weights, so none are downloaded here.
    choose_layers(build(untrained(unpruned), task, data.size).net, config.prune)
    Run(out).start(replace(unpruned, prune=config.prune), data.info["checksums"])
