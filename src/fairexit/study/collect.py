"""Results of a study's runs: a table of all runs, and test answers pooled over folds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairexit.errors import UserError
from fairexit.evaluation.choice import stored_predictions
from fairexit.evaluation.policy import Policy
from fairexit.evaluation.thresholds import answering_exits
from fairexit.files import read_json
from fairexit.metrics.rates import AVERAGES, BY_GROUP
from fairexit.metrics.record import METRICS, compute
from fairexit.predictions.files import Predictions
from fairexit.runs import Run, open_run, read_record
from fairexit.stats.sample import Sample
from fairexit.study.folder import Folder, State
from fairexit.study.plan import Planned, Study

POLICY = "policy"
"""The exit rule by which each run answers under its own stored policy."""


@dataclass(frozen=True, eq=False)
class Pooled:
    """The test answers of one cell of the study's grid, that is, of one row and seed.

    With folds every image is answered by the run in which it was not trained on.

    Attributes:
        row, seed: the cell.
        runs: one, or one for each fold.
        predictions: the predictions of these runs, in the same order.
        policies: the policies of these runs, in the same order.
        order: the permutation that sorts the joined predictions by id, (N,).
        group: name of the sensitive attribute.
    """

    row: str
    seed: int
    runs: tuple[Run, ...]
    predictions: tuple[Predictions, ...]
    policies: tuple[Policy, ...]
    order: NDArray[np.int64]
    group: str

    @property
    def exit_names(self) -> tuple[str, ...]:
        return self.predictions[0].exit_names

    @property
    def classes(self) -> tuple[str, ...]:
        return self.predictions[0].classes

    @property
    def group_names(self) -> tuple[str, ...]:
        return self.predictions[0].group_names[self.group]

    @cached_property
    def sample(self) -> Sample:
        """The images by id; their answers have a row for each of `options`, (1 + E, N)."""
        parts = [(p.labels, p.attributes[self.group], p.clusters) for p in self.predictions]
        labels, groups, clusters = (np.concatenate(c)[self.order] for c in zip(*parts, strict=True))
        return Sample(
            labels=labels,
            answers=np.stack([self.answers(name) for name in self.options]),
            groups=groups,
            clusters=clusters,
            num_classes=len(self.classes),
            num_groups=len(self.group_names),
        )

    @property
    def ids(self) -> NDArray[np.str_]:
        return np.concatenate([p.ids for p in self.predictions])[self.order]

    def answers(self, exit_rule: str | float) -> NDArray[np.int64]:
        """Predicted classes in the order of ids, (N,).

        Args:
            exit_rule: "policy", the name of an exit at which all images leave, or theta.
        """
        parts = [
            p.answers_at(self._exits(p, policy, exit_rule))
            for p, policy in zip(self.predictions, self.policies, strict=True)
        ]
        return np.concatenate(parts)[self.order]

    def exits(self, exit_rule: str | float) -> NDArray[np.int64]:
        """Index of the exit that answers in the order of ids, (N,); argument as for `answers`."""
        pairs = zip(self.predictions, self.policies, strict=True)
        parts = [self._exits(p, policy, exit_rule) for p, policy in pairs]
        return np.concatenate(parts)[self.order]

    def _exits(
        self, predictions: Predictions, policy: Policy, exit_rule: str | float
    ) -> NDArray[np.int64]:
        """The exits of one run's predictions."""
        if isinstance(exit_rule, str) and exit_rule != POLICY:
            return np.full(len(predictions), predictions.exit_names.index(exit_rule))
        if exit_rule != POLICY:
            policy = replace(policy, theta=float(exit_rule), candidates=())
        return answering_exits(predictions, policy)

    @cached_property
    def options(self) -> dict[str, int]:
        """Exit rule -> row of `sample.answers`, `counts` and `values`: the policy and each exit."""
        return {name: i for i, name in enumerate((POLICY, *self.exit_names))}

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Counts[option, group, true class, predicted class], (1 + E, M, C, C)."""
        return self.sample.counts

    @cached_property
    def values(self) -> dict[str, NDArray[np.float64]]:
        """Metric -> values, (1 + E,); also `precision/<group>` and so on for each group."""
        values = compute(self.counts)
        for name in AVERAGES:
            of_group = BY_GROUP[name](self.counts)
            values |= {f"{name}/{g}": of_group[:, i] for i, g in enumerate(self.group_names)}
        return values


def pool(study: Study, folder: Folder, states: Mapping[str, State], dataset: str) -> list[Pooled]:
    """The finished cells of one dataset, in the order of the study.

    A cell is left out if one of its folds is not finished.

    Raises:
        UserError: runs were tested on different images.
    """
    cells: dict[tuple[str, int], list[Planned]] = {}
    for run in study.runs:
        if run.dataset == dataset and run.row:
            cells.setdefault((run.row, run.seed), []).append(run)
    pooled: list[Pooled] = []
    for (row, seed), planned in cells.items():
        if all(states[run.name].phase == "done" for run in planned):
            runs = [open_run(folder.run(run.name).path) for run in planned]
            pooled.append(_read(row, seed, runs))
            if not np.array_equal(pooled[-1].ids, pooled[0].ids):
                raise UserError(
                    f"{pooled[-1].runs[0].path} was not tested on the same images as "
                    f"{pooled[0].runs[0].path}; remove its predictions and run the study again"
                )
    return pooled


def _read(row: str, seed: int, runs: Sequence[Run]) -> Pooled:
    predictions = tuple(stored_predictions(run, "test") for run in runs)
    order = np.argsort(np.concatenate([p.ids for p in predictions]), kind="stable")
    policies = tuple(Policy.load(run.policy) for run in runs)
    group = runs[0].description["group"]
    return Pooled(row, seed, tuple(runs), predictions, policies, order, group)


def run_tables(
    study: Study, folder: Folder, states: Mapping[str, State]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of `results.csv` and `exits.csv`.

    Returns:
        A row for each run, and a row for each exit of each finished run.
    Raises:
        UserError: the metrics of a run are damaged, or were not measured under its stored policy.
    """
    rows, exits = [], []
    for planned in study.runs:
        place = {
            "run": planned.name,
            "dataset": planned.dataset,
            "row": planned.row,
            "seed": planned.seed,
            "fold": planned.fold,
        }
        state = states[planned.name]
        rows.append(place | {"state": state.phase, "note": state.note})
        if state.phase != "done":
            continue
        run = folder.run(planned.name)
        group = run.description["group"]
        metrics = _stored_metrics(run, group)
        ratio = run.description.get("penalty_ratio")
        marks = {"group": group, "penalty_ratio": ratio, "edited": _edited(run)}
        rows[-1] |= marks | _flat(metrics)
        for exit in metrics["exits"]:
            share = {f"share/{g}": s[exit["exit"]] for g, s in metrics["exit_share"].items()}
            exits.append(place | exit | share)
    return pd.DataFrame(rows), pd.DataFrame(exits)


def _stored_metrics(run: Run, group: str) -> dict[str, Any]:
    """The run's `metrics.json` for an attribute, if it was measured under the stored policy."""
    remedy = "evaluate the run again with `fairexit evaluate`"
    metrics = read_json(run.metrics, remedy).get(group)
    if metrics is None:
        raise UserError(f"{run.metrics} has no results for attribute '{group}'; {remedy}")
    measured = Policy.from_dict(metrics["policy"])
    if not measured.answers_as(Policy.load(run.policy)) or metrics.get("empty") == "zero":
        raise UserError(f"{run.metrics} was not evaluated under the run's stored policy; {remedy}")
    return cast(dict[str, Any], metrics)


def _edited(run: Run) -> float:
    """The share of the weights or channels that pruning has edited."""
    if not run.pruning.is_file():
        return 0.0
    record = read_record(run)
    return float(record["path"][record["chosen"]]["fraction"])


def _flat(metrics: dict[str, Any]) -> dict[str, Any]:
    """The metrics of one run on test as one row."""
    policy = metrics["policy"]
    theta = policy["theta"]
    flat = {
        "n": metrics["n"],
        "theta": json.dumps(theta) if isinstance(theta, list) else theta,
        "rule": policy["rule"],
    }
    for key in AVERAGES:
        flat |= {f"{key}/{name}": values[key] for name, values in metrics["groups"].items()}
    return flat | {name: metrics[name] for name in (*METRICS, "auroc") if name in metrics}
