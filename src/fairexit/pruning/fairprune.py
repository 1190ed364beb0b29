"""Prune a finished run; the result is a run in a folder of its own."""

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from fairexit.config import PruneConfig, RunConfig
from fairexit.data.prepared import Prepared
from fairexit.errors import UserError, option
from fairexit.evaluation.choose import choose_theta
from fairexit.evaluation.evaluate import evaluate
from fairexit.files import folder_lock, write_atomically
from fairexit.inference.inputs import open_data
from fairexit.inference.predict import choose_device, predict_rows
from fairexit.metrics.record import METRICS, main_metrics
from fairexit.models import ExitNet
from fairexit.plugin_records import require
from fairexit.predictions.files import Predictions
from fairexit.pruning.groups import check_task, draw_rows, split_groups
from fairexit.pruning.layers import (
    choose_layers,
    is_piecewise_linear,
    left_out,
    prunable_parameters,
)
from fairexit.pruning.masks import load_masks, pack, sparsity, zero
from fairexit.pruning.path import CRITERION, Measured, Step, Trace, choose, masks_of, walk
from fairexit.pruning.record import plain_steps, write_record
from fairexit.pruning.saliency import Saliency
from fairexit.runs import Run, open_run, read_record
from fairexit.terminal import note
from fairexit.training.checkpoint import describe, load_net, save_tensors
from fairexit.training.fit import finetune
from fairexit.training.setup import exit_weights, finetune_config
from fairexit.types import Task


def prune(run: Run, out: Path, config: PruneConfig) -> Run:
    """Prune a finished run. Resumes automatically if interrupted.

    Args:
        run: the run; it is not changed.
        out: folder of the pruned run, which is a run like any other.
        config: the settings of the pruning.
    Returns:
        The pruned run.
    Raises:
        UserError: the run is already pruned, or the settings do not fit it or its data.
    """
    run = open_run(run.path)
    if run.config.prune is not None:
        raise UserError(f"{run.path} is already pruned; prune the run that it was made from")
    data = open_data(run)
    task = check_task(config, data, run.description["group"])
    full, pruned = replace(run.config, prune=config), Run(out)
    if config.finetune:
        require(full.plugins, f"fine-tuning {run.path}")
        finetune_config(full)
    net, stamp = load_net(run), hashlib.sha256(run.weights.read_bytes()).hexdigest()
    with folder_lock(out):
        if pruned.pruning.is_file():
            pruned.start(full, data.info["checksums"])
            if read_record(pruned)["unpruned"] != stamp:
                raise UserError(
                    f"{out} holds a pruning of another network; choose another {option('out')}"
                )
        else:
            _Pruning(
                run=pruned,
                full=full,
                config=config,
                data=data,
                task=task,
                net=net,
                stamp=stamp,
            ).run_path()
        if not pruned.finished:
            _finish(run, pruned, full, data=data, net=net)
    return open_run(out)


def _finish(run: Run, pruned: Run, full: RunConfig, *, data: Prepared, net: ExitNet) -> None:
    """Store the pruned network, after fine-tuning if the settings have it."""
    masks = load_masks(pruned, net)
    zero(dict(net.named_parameters()), masks)
    if full.prune is not None and full.prune.finetune:
        finetune(pruned, full, net, masks, unpruned=run)
        return
    for file in (pruned.last_weights, pruned.weights):
        write_atomically(file, save_tensors(net.state_dict()))
    run_task = data.task(run.description["group"])
    describe(pruned, full, data, net, task=run_task, penalty_ratio=run.description["penalty_ratio"])


@dataclass(kw_only=True)
class _Pruning:
    """The pruning of one network.

    Args:
        run: the pruned run.
        full: all settings of the pruned run.
        config: the settings of the pruning, which are a part of these.
        data: the prepared data.
        task: the classes, and the groups between which the pruning is fair.
        net: the unpruned network, which is pruned in place.
        stamp: SHA-256 of the file with the unpruned weights.
    """

    run: Run
    full: RunConfig
    config: PruneConfig
    data: Prepared
    task: Task
    net: ExitNet
    stamp: str

    def run_path(self) -> None:
        """Prune step by step, choose a step, and write the files of the path, pruning.json last."""
        config, net, fold = self.config, self.net, self.full.data.fold
        layers = choose_layers(net, config)
        parameters = prunable_parameters(layers, config.parameters)
        weights = exit_weights(net, self.full.train.exit_weights)
        original = {name: p.detach().clone() for name, p in parameters.items()}
        net.to(choose_device(config.device))
        # Everything that can fail because of the user's input is done before the folder is made.
        predictions = self._predict()
        groups = split_groups(predictions, self.task, config)
        seed = self.full.seed
        rows = [
            draw_rows(self.data, self.task, names, fold=fold, config=config, seed=seed)
            for names in groups
        ]
        unpruned = Step(
            trail=0, number=0, beta=None, fraction=0.0, measured=self._measure(predictions)
        )
        trace = Trace([unpruned])
        self.run.start(self.full, self.data.info["checksums"])
        state = self.run.checkpoints / "path.safetensors"
        if state.is_file():
            trace = Trace.load(state, self.stamp)
        saliency = Saliency(
            net=net,
            layers=layers,
            parameters=parameters,
            exit_weights=weights,
            config=config,
            data=self.data,
            rows=rows,
            seed=seed,
        )

        def store(trace: Trace) -> None:
            trace.save(state, self.stamp)
            note(f"{self.run.path}: {trace.steps[-1].text()}")

        walk(
            parameters,
            config,
            score=saliency,
            measure=lambda: self._measure(self._predict()),
            trace=trace,
            store=store,
        )
        self._write(trace, parameters, original, groups=groups, images=[len(r) for r in rows])

    def _write(
        self,
        trace: Trace,
        parameters: dict[str, nn.Parameter],
        original: dict[str, Tensor],
        *,
        groups: tuple[list[str], list[str]],
        images: list[int],
    ) -> None:
        """Choose a step, and write its masks and the path; the network is unpruned again.

        Args:
            trace: all steps.
            parameters: name -> prunable parameter of the network.
            original: name -> value of the parameter before the pruning.
            groups: names of the unprivileged and of the privileged groups.
            images: number of the images of each side.
        """
        chosen, reason = choose(trace.steps, self.config)
        step = trace.steps[chosen]
        self.net.cpu()
        masks = masks_of(trace.removed[step.trail], parameters, step.number)
        for name, parameter in parameters.items():
            parameter.detach().copy_(original[name])
        write_atomically(self.run.masks, save_tensors(pack(masks)))
        record = {
            "unpruned": self.stamp,
            "settings": asdict(self.config),
            "group": self.task.group,
            "unprivileged": groups[0],
            "privileged": groups[1],
            "images": images,
            "exact_hessian": is_piecewise_linear(self.net),
            "left_out": left_out(self.net),
            "path": plain_steps(trace.steps),
            "chosen": chosen,
            "reason": reason,
            "ended": trace.ended,
            "layers": sparsity(masks),
        }
        write_record(self.run, record)

    def _predict(self) -> Predictions:
        """The predictions of the network on validation."""
        rows = self.data.rows("val", self.full.data.fold)
        return predict_rows(self.net, self.data, rows, "val")

    def _measure(self, predictions: Predictions) -> Measured:
        """Accuracy and fairness on validation.

        Raises:
            UserError: the gap that decides is not defined.
        """
        group = self.task.group
        early = evaluate(predictions, group, choose_theta(predictions, group))
        final = evaluate(predictions, group, None)
        if np.isnan([early.metrics[CRITERION], final.metrics[CRITERION]]).any():
            raise UserError(
                f"{METRICS[CRITERION].label} of attribute '{group}' is not defined on validation, "
                "because no class occurs in two of its groups"
            )
        theta = early.policy.theta
        assert theta is None or isinstance(theta, float)
        policy, at_final = (
            {name: evaluation.metrics[name] for name in main_metrics()}
            for evaluation in (early, final)
        )
        return Measured(policy, at_final, theta, early.main_answer_share)
