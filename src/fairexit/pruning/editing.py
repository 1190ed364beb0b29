"""The path of one network: edit, train, measure, choose, and write what was done."""

import shutil
from dataclasses import asdict, dataclass, field, replace

import numpy as np
from safetensors.torch import load_file
from torch import Tensor

from fairexit.config import RunConfig
from fairexit.config_prune import PruneConfig
from fairexit.data.prepared import Prepared
from fairexit.errors import UserError
from fairexit.evaluation.choose import choose_theta
from fairexit.evaluation.evaluate import evaluate
from fairexit.files import write_atomically
from fairexit.inference.predict import choose_device, predict_rows
from fairexit.metrics.record import METRICS, main_metrics
from fairexit.models import ExitNet
from fairexit.predictions.files import Predictions
from fairexit.pruning.criteria import Criterion, Subject, criteria
from fairexit.pruning.groups import draw_rows, split_groups
from fairexit.pruning.layers import is_piecewise_linear, left_out
from fairexit.pruning.masks import pack
from fairexit.pruning.path import choose, walk
from fairexit.pruning.record import plain_steps, write_record
from fairexit.pruning.trace import DECIDING_GAP, Measured, Step, Trace
from fairexit.pruning.units import count_edited, masks_of
from fairexit.pruning.weights import PathWeights
from fairexit.runs import Run
from fairexit.terminal import note
from fairexit.training.checkpoint import save_tensors
from fairexit.training.fit import finetune
from fairexit.training.setup import exit_weights, finetune_config
from fairexit.types import Task


@dataclass(kw_only=True)
class Editing:
    """The editing of one network.

    Args:
        run: the edited run.
        unpruned: the run that it is made from.
        full: all settings of the edited run.
        data: the prepared data.
        task: the classes, and the groups between which the edited network is to be fair.
        net: the unpruned network, which is edited in place.
        stamp: SHA-256 of the file with the unpruned weights.
    """

    run: Run
    unpruned: Run
    full: RunConfig
    data: Prepared
    task: Task
    net: ExitNet
    stamp: str
    _criterion: Criterion = field(init=False)

    @property
    def config(self) -> PruneConfig:
        assert self.full.prune is not None
        return self.full.prune

    def run_path(self) -> None:
        """Edit step by step, choose a step, and write the files of the path, pruning.json last."""
        config, kind = self.config, criteria[self.config.method]
        # Everything that can fail because of the user's input is done before the folder is made.
        kind.find_units(self.net, config)
        self.net.to(choose_device(config.device))
        predictions = self._predict()
        groups = split_groups(predictions, self.task, config)
        unpruned = Step(
            trail=0, number=0, beta=None, fraction=0.0, measured=self._measure(predictions)
        )
        self._criterion = criterion = criteria.create(config.method, self._subject(groups))
        self.run.start(self.full, self.data.info["checksums"])
        state = self.run.checkpoints / "path.safetensors"
        trace = Trace.load(state, self.stamp) if state.is_file() else Trace([unpruned])
        weights = PathWeights(
            net=self.net,
            units=criterion.units,
            edit=kind.edit,
            folder=self.run.checkpoints,
            trained=bool(config.step_epochs) or kind.traits.refits,
        )

        def store(trace: Trace) -> None:
            trace.save(state, self.stamp)
            note(f"{self.run.path}: {trace.steps[-1].text()}")

        walk(
            weights,
            config,
            score=criterion,
            within=kind.within,
            train=self._train,
            measure=lambda: self._measure(self._predict()),
            trace=trace,
            store=store,
        )
        self._write(trace, weights, groups=groups)

    def _train(self, trail: int, number: int, edited: Tensor) -> None:
        """Train the network after a step while what is edited is held, and complete the step.

        Args:
            trail: the step's trail.
            number: its number in the trail.
            edited: number of the step at which each unit was edited, 0 where it was not.
        """
        epochs, criterion = self.config.step_epochs, self._criterion
        if epochs:
            folder = self.run.checkpoints / f"training-{trail}-{number}"
            settings = finetune_config(criterion.settings(self.full), epochs)
            # Each step has another order of the images, and other augmentation.
            seed = np.random.SeedSequence([self.full.seed, number]).generate_state(1)
            loop = finetune(
                Run(folder),
                replace(settings, seed=int(seed[0])),
                self.net,
                held=criterion.held(masks_of(edited, criterion.units), self.net),
                unpruned=self.unpruned,
                division=criterion.division(self.data, self.task, self.full),
            )
            self.net.load_state_dict(load_file(loop.checkpoints.best(loop.progress)))
            shutil.rmtree(folder)
        criterion.finish()

    def _write(
        self,
        trace: Trace,
        weights: PathWeights,
        *,
        groups: tuple[list[str], list[str]],
    ) -> None:
        """Choose a step, and write its weights, its masks and the path.

        Args:
            trace: all steps.
            weights: the weights of the steps.
            groups: names of the unprivileged and of the privileged groups.
        """
        chosen, reason = choose(trace.steps, self.config)
        kind = type(self._criterion)
        step, units = trace.steps[chosen], weights.units
        edited = trace.edited[step.trail]
        weights.restore(step.trail, step.number, edited)
        write_atomically(self.run.edited_weights, save_tensors(self.net.state_dict()))
        masks = masks_of(edited, units, step.number)
        write_atomically(self.run.masks, save_tensors(pack(masks)))
        record = {
            "unpruned": self.stamp,
            "settings": asdict(self.config),
            "edited": self._criterion.edited,
            "group": self.task.group,
            "unprivileged": groups[0],
            "privileged": groups[1],
            "images": [len(rows) for rows in self._criterion.subject.rows],
            "exact_hessian": not kind.uses_curvature or is_piecewise_linear(self.net),
            "left_out": left_out(self.net) if kind.traits.units == "weights" else [],
            "path": plain_steps(trace.steps),
            "chosen": chosen,
            "reason": reason,
            "ended": trace.ended,
            "blocks": count_edited(edited, units, step.number),
        }
        write_record(self.run, record)

    def _subject(self, groups: tuple[list[str], list[str]]) -> Subject:
        """What the method may know, given the unprivileged and the privileged groups."""
        fold, seed = self.full.data.fold, self.full.seed
        unprivileged, privileged = (
            draw_rows(self.data, self.task, names, fold=fold, config=self.config, seed=seed)
            for names in groups
        )
        return Subject(
            net=self.net,
            data=self.data,
            task=self.task,
            rows=(unprivileged, privileged),
            exit_weights=exit_weights(self.net, self.full.train.exit_weights),
            run=self.full,
        )

    def _predict(self) -> Predictions:
        """The predictions of the network on the images that measure it."""
        kind = criteria[self.config.method]
        rows = kind.division(self.data, self.task, self.full).measuring
        return predict_rows(self.net, self.data, rows, "val")

    def _measure(self, predictions: Predictions) -> Measured:
        """Accuracy and fairness on validation.

        Raises:
            UserError: the gap that decides is not defined.
        """
        group = self.task.group
        early = evaluate(predictions, group, choose_theta(predictions, group))
        final = evaluate(predictions, group, None)
        if np.isnan([early.metrics[DECIDING_GAP], final.metrics[DECIDING_GAP]]).any():
            raise UserError(
                f"{METRICS[DECIDING_GAP].label} of attribute '{group}' is not defined on "
                "validation, because no class occurs in two of its groups"
            )
        theta = early.policy.theta
        assert theta is None or isinstance(theta, float)
        policy, at_final = (
            {name: evaluation.metrics[name] for name in main_metrics()}
            for evaluation in (early, final)
        )
        return Measured(policy, at_final, theta, early.main_answer_share)
