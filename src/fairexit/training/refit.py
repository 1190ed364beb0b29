"""Refit the last layers of a trained network on held-out data; the result is a run of its own."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fairexit.config import RunConfig
from fairexit.data.augment import Augment
from fairexit.data.loaders import Loader
from fairexit.data.prepared import Prepared
from fairexit.data.splits import partition
from fairexit.errors import UserError, option
from fairexit.files import folder_lock, read_json, write_atomically, write_json
from fairexit.methods import HeldOut, Refitted, methods
from fairexit.models import ExitNet
from fairexit.runs import RETRAIN, Run
from fairexit.terminal import note
from fairexit.training.checkpoint import describe, load_net, save_tensors
from fairexit.training.setup import exit_weights
from fairexit.types import UNKNOWN, Task


def check_trunk(trained: Run) -> None:
    """Raise a UserError unless a finished run was trained by ERM alone."""
    name = trained.config.method["name"]
    if trained.config.prune is not None:
        raise UserError(
            f"{trained.path} is pruned; refit the run that it was made from, and prune the result"
        )
    if name != "erm":
        raise UserError(
            f"{trained.path} was trained by method '{name}', but the last layers of a run by 'erm' "
            "are refitted"
        )


def refit(
    trained: Run, out: Path, config: RunConfig, data: Prepared, *, device: torch.device
) -> Run:
    """Refit the last layers of a finished run. Starts again if interrupted, with the same result.

    Args:
        trained: a finished run by ERM; it is not changed.
        out: folder of the new run.
        config: its settings, which name a method that refits.
        data: the prepared data.
        device: where the features are computed.
    Returns:
        The run in `out`.
    Raises:
        UserError: the run, its network or its data do not suit the method, or the folder holds
            something else.
    """
    check_trunk(trained)
    run, task = Run(out), data.task(config.data.group)
    net, stamp = load_net(trained), hashlib.sha256(trained.weights.read_bytes()).hexdigest()
    options = {key: value for key, value in config.method.items() if key != "name"}
    weights = exit_weights(net, config.train.exit_weights)
    method = methods.create(config.method["name"], net, task, weights, **options)
    assert isinstance(method, Refitted)
    with folder_lock(out):
        run.start(config, data.info["checksums"])
        if run.finished:
            if read_json(run.refit, RETRAIN).get("network") != stamp:
                raise UserError(
                    f"{out} holds a refit of another network; choose another {option('out')}"
                )
            return run
        held_out = hold_out(net.to(device), data, task, config)
        record = method.refit(held_out, config.seed)
        if record["unbalanced"]:
            note(
                f"{out}: these classes have held-out images of one {task.group} only, and were "
                f"fitted as they are: {', '.join(record['unbalanced'])}"
            )
        write_json(run.refit, {"network": stamp, **record})
        for file in (run.last_weights, run.weights):
            write_atomically(file, save_tensors(net.state_dict()))
        describe(run, config, data, net, task=task, penalty_ratio=None)
    return run


@torch.inference_mode()
def hold_out(net: ExitNet, data: Prepared, task: Task, config: RunConfig) -> HeldOut:
    """The features of the validation split, and the half of its clusters to fit on.

    Raises:
        UserError: an exit's answer is not its last layer applied to its features.
    """
    rows, fits = halve_validation(data, task, config)
    device = next(net.parameters()).device
    loader = Loader(data, rows, task.group, batch_size=config.train.batch_size, device=device)
    parts: list[list[torch.Tensor]] = [[] for _ in net.exit_names]
    for batch in loader.evaluation(Augment("none", 0)):
        exits = net(batch.images)
        for k, (exit, head) in enumerate(zip(exits, net.exit_heads, strict=True)):
            if not torch.allclose(head.classifier(exit.features), exit.logits, atol=1e-4):
                raise UserError(
                    f"the answer of exit {net.exit_names[k]} is not a linear function of its "
                    "features, so its last layer cannot be refitted; choose another head"
                )
            parts[k].append(exit.features.float().cpu())
    features = [torch.cat(part).numpy().astype(np.float32) for part in parts]
    return HeldOut(features, data.labels[rows], data.groups(task.group)[rows], fits)


def halve_validation(
    data: Prepared, task: Task, config: RunConfig
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The rows of the validation split, and True for the half of its clusters to fit on.

    Each class and group is divided in half, as far as its clusters allow.
    """
    rows = data.rows("val", config.data.fold)
    strata = data.labels[rows] * (task.num_groups + 1) + data.groups(task.group)[rows] - UNKNOWN
    return rows, partition(strata, data.clusters[rows], (0.5, 0.5), config.seed) == 0
