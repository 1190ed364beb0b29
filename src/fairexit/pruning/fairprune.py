"""Prune a finished run into a run of its own."""

import hashlib
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from fairexit.config import PruneConfig, RunConfig
from fairexit.data.prepared import Prepared
from fairexit.errors import UserError, option
from fairexit.evaluation.evaluate import evaluate
from fairexit.evaluation.thresholds import choose_theta
from fairexit.files import alone, write_atomically
from fairexit.inference.predict import choose_device, open_data, predict_split
from fairexit.models import ExitNet
from fairexit.predictions.files import Predictions
from fairexit.pruning.groups import check_task, draw_rows, split_groups
from fairexit.pruning.layers import (
    choose_layers,
    is_piecewise_linear,
    left_out,
    prunable_parameters,
)
from fairexit.pruning.masks import load_masks, pack, sparsity, zero
from fairexit.pruning.path import Measured, Step, Trace, choose, masks_of, walk
from fairexit.pruning.record import plain_steps, write_record
from fairexit.pruning.saliency import Saliency
from fairexit.runs import Run, open_run, read_record
from fairexit.training.checkpoint import build, describe, exit_weights, load_net, save_tensors
from fairexit.training.fit import finetune, train
from fairexit.training.setup import finetune_config, open_training
from fairexit.types import Task


def make_run(config: RunConfig, out: Path) -> Run:
    """Train a run and, where its settings have `prune`, prune it.

    The unpruned run is kept in the folder `unpruned` of the pruned one. Called again after a kill
    it goes on.

    Args:
        config: the settings.
        out: the run's folder.
    Raises:
        UserError: as for `train` and `prune`.
    """
    if config.prune is None:
        return train(config, out)
    if config.train.devices > 1:
        raise UserError(
            f"train.devices is {config.train.devices}, but training and pruning in one step needs "
            "a single device; train without the section prune, then use `fairexit prune`"
        )
    plain = replace(config, prune=None)
    data = open_training(plain)
    check_task(config.prune, data, config.data.group)
    if config.prune.finetune:
        finetune_config(config)
    try:
        choose_device(config.prune.device)
    except UserError as error:
        raise UserError(error.render("prune.{}".format)) from None
    blank = replace(plain, model=replace(plain.model, pretrained=False))
    choose_layers(build(blank, data.task(config.data.group), data.size).net, config.prune)
    Run(out).start(config, data.info["checksums"])
    return prune(train(plain, out / "unpruned"), out, config.prune)


def prune(run: Run, out: Path, config: PruneConfig) -> Run:
    """Prune a finished run, or go on with a pruning that was killed.

    Args:
        run: the run; it is not changed.
        out: folder of the pruned run, which is a run like any other.
        config: the settings.
    Returns:
        The pruned run.
    Raises:
        UserError: the run is pruned already, or the settings do not fit it or its data.
    """
    run = open_run(run.path)
    if run.config.prune is not None:
        raise UserError(f"{run.path} is already pruned; prune the run that it was made from")
    data = open_data(run)
    task = check_task(config, data, run.description["group"])
    full, pruned = replace(run.config, prune=config), Run(out)
    if config.finetune:
        finetune_config(full)
    net, stamp = load_net(run), hashlib.sha256(run.weights.read_bytes()).hexdigest()
    with alone(out):
        if pruned.pruning.is_file():
            pruned.start(full, data.info["checksums"])
            if read_record(pruned)["unpruned"] != stamp:
                raise UserError(
                    f"{out} holds a pruning of another network; choose another {option('out')}"
                )
        else:
            _Pruning(pruned, full, config, data, task, net, stamp).run_path()
        if not pruned.finished:
            _finish(run, pruned, full, data, net)
    return open_run(out)


def _finish(run: Run, pruned: Run, full: RunConfig, data: Prepared, net: ExitNet) -> None:
    """Store the pruned network, fine-tuned if wanted."""
    masks = load_masks(pruned, net)
    zero(dict(net.named_parameters()), masks)
    if full.prune is not None and full.prune.finetune:
        finetune(pruned, full, net, masks, run.path / "teacher")
        return
    for file in (pruned.last_weights, pruned.weights):
        write_atomically(file, save_tensors(net.state_dict()))
    own_task = data.task(run.description["group"])
    describe(pruned, full, data, net, own_task, run.description["penalty_ratio"])


@dataclass
class _Pruning:
    """One pruning with what it holds on to; `stamp` is the checksum of the unpruned weights."""

    run: Run
    full: RunConfig
    config: PruneConfig
    data: Prepared
    task: Task
    net: ExitNet
    stamp: str

    def run_path(self) -> None:
        """Walk the path and write its files, pruning.json last."""
        config, net, fold = self.config, self.net, self.full.data.fold
        layers = choose_layers(net, config)
        parameters = prunable_parameters(layers, config.parameters)
        weights = exit_weights(net, self.full.train.exit_weights)
        original = {name: p.detach().clone() for name, p in parameters.items()}
        net.to(choose_device(config.device))
        # All that can be refused is refused before the folder is made.
        before = self._predict()
        groups = split_groups(before, self.task, config)
        seed = self.full.seed
        rows = [draw_rows(self.data, self.task, side, fold, config, seed) for side in groups]
        trace = Trace([Step(0, 0, None, 0.0, self._measure(before))])
        self.run.start(self.full, self.data.info["checksums"])
        state = self.run.checkpoints / "path.safetensors"
        if state.is_file():
            trace = Trace.load(state, self.stamp)
        score = Saliency(net, layers, parameters, weights, config, self.data, rows, seed)

        def store(now: Trace) -> None:
            now.save(state, self.stamp)
            print(f"{self.run.path}: {now.steps[-1].text()}", file=sys.stderr, flush=True)

        walk(parameters, config, score, lambda: self._measure(self._predict()), trace, store)
        chosen, reason = choose(trace.steps, config)
        step = trace.steps[chosen]
        net.cpu()
        masks = masks_of(trace.removed[step.trail], parameters, step.number)
        for name, parameter in parameters.items():
            parameter.detach().copy_(original[name])
        write_atomically(self.run.masks, save_tensors(pack(masks)))
        about = {
            "unpruned": self.stamp,
            "settings": asdict(config),
            "group": self.task.group,
            "unprivileged": groups[0],
            "privileged": groups[1],
            "images": [len(found) for found in rows],
            "exact_hessian": is_piecewise_linear(net),
            "left_out": left_out(net),
        }
        way = {
            "path": plain_steps(trace.steps),
            "chosen": chosen,
            "reason": reason,
            "ended": trace.ended,
            "layers": sparsity(masks),
        }
        write_record(self.run, about | way)

    def _predict(self) -> Predictions:
        return predict_split(self.net, self.data, "val", self.full.data.fold)

    def _measure(self, predictions: Predictions) -> Measured:
        group = self.task.group
        answer = evaluate(predictions, group, choose_theta(predictions, group))
        final = evaluate(predictions, group, None)
        if np.isnan([answer.eodd, final.eodd]).any():
            raise UserError(
                f"Eodd of attribute '{group}' is not defined on validation, because no class "
                "occurs in two of its groups"
            )
        theta = answer.policy.theta
        assert theta is None or isinstance(theta, float)
        own = (answer.avg["f1"], answer.eopp1, answer.eodd, answer.accuracy)
        return Measured(*own, theta, final.avg["f1"], final.eopp1, final.eodd)
