"""Edit a finished run to make it fairer; the result is a run in a folder of its own."""

import hashlib
from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file

from fairexit.config import RunConfig
from fairexit.config_prune import PruneConfig
from fairexit.data.prepared import Prepared
from fairexit.errors import UserError, option, reason
from fairexit.files import folder_lock, write_atomically
from fairexit.inference.inputs import open_data
from fairexit.models import ExitNet
from fairexit.plugin_records import checksums, require
from fairexit.pruning.criteria import criteria
from fairexit.pruning.editing import Editing
from fairexit.pruning.groups import check_task
from fairexit.pruning.masks import load_masks
from fairexit.runs import Run, open_run, read_record
from fairexit.training.checkpoint import describe, load_net, remove_checkpoints, save_tensors
from fairexit.training.fit import finetune
from fairexit.training.setup import finetune_config


def prune(run: Run, out: Path, config: PruneConfig) -> Run:
    """Edit a finished run. Resumes automatically if interrupted.

    Args:
        run: the run; it is not changed.
        out: folder of the edited run, which is a run like any other.
        config: the settings of the editing.
    Returns:
        The edited run.
    Raises:
        UserError: the run is already pruned, or the settings do not fit it or its data.
    """
    run = open_run(run.path)
    if run.config.prune is not None:
        raise UserError(f"{run.path} is already pruned; prune the run that it was made from")
    data = open_data(run)
    task = check_task(config, data, run.description["group"])
    full, pruned = edited_config(run.config, config), Run(out)
    if config.step_epochs or config.finetune:
        require(full.plugins, f"fine-tuning {run.path}")
        check_finetuning(full)
    net, stamp = load_net(run), hashlib.sha256(run.weights.read_bytes()).hexdigest()
    with folder_lock(out):
        if pruned.pruning.is_file():
            pruned.start(full, data.info["checksums"])
            if read_record(pruned)["unpruned"] != stamp:
                raise UserError(
                    f"{out} holds a pruning of another network; choose another {option('out')}"
                )
        else:
            Editing(
                run=pruned,
                unpruned=run,
                full=full,
                data=data,
                task=task,
                net=net,
                stamp=stamp,
            ).run_path()
        if pruned.finished:
            remove_checkpoints(pruned, full)  # which an interrupted call may have left
        else:
            _finish(run, pruned, full, data=data, net=net)
    return open_run(out)


def edited_config(trained: RunConfig, prune: PruneConfig) -> RunConfig:
    """The settings of an edited run, with the checksums of its plugins.

    Args:
        trained: the settings of the run that is edited.
        prune: the settings of the editing.
    """
    plugins = trained.plugins | checksums([criteria[prune.method]])
    return replace(trained, prune=prune, plugins=plugins)


def check_finetuning(config: RunConfig) -> None:
    """Raise a UserError if the network is to be trained further, but its method forbids it."""
    assert config.prune is not None
    epochs = config.prune.finetune or config.prune.step_epochs
    if epochs:
        finetune_config(config, epochs)


def _finish(run: Run, pruned: Run, full: RunConfig, *, data: Prepared, net: ExitNet) -> None:
    """Store the edited network, after fine-tuning if the settings have it.

    Args:
        run: the unpruned run.
        pruned: the edited run, whose path is complete.
        full: its settings.
        data: the prepared data.
        net: the network, whose weights are replaced.
    """
    assert full.prune is not None
    try:
        net.load_state_dict(load_file(pruned.edited_weights))
    except Exception as error:
        raise UserError(
            f"{pruned.edited_weights} is missing or damaged ({reason(error)}); prune again into "
            "another folder"
        ) from None
    if full.prune.finetune:
        held = criteria[full.prune.method].held(load_masks(pruned, net), net)
        settings = finetune_config(full, full.prune.finetune)
        finetune(pruned, settings, net, held=held, unpruned=run).finish(full)
        return
    for file in (pruned.last_weights, pruned.weights):
        write_atomically(file, save_tensors(net.state_dict()))
    task = data.task(run.description["group"])
    describe(pruned, full, data, net, task=task, penalty_ratio=run.description["penalty_ratio"])
