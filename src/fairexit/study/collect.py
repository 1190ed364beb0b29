"""What a study's runs say: tables of all runs, and answers pooled over folds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairexit.errors import UserError
from fairexit.evaluation.assess import stored_predictions
from fairexit.evaluation.policy import Policy
from fairexit.evaluation.thresholds import select
from fairexit.files import read_json
from fairexit.metrics.rates import AVERAGES, BY_GROUP
from fairexit.metrics.record import compute
from fairexit.predictions.files import Predictions
from fairexit.runs import Run, open_run, read_record
from fairexit.stats.sample import Sample
from fairexit.study.folder import Folder, State
from fairexit.study.plan import Planned, Study

POLICY = "policy"
"""The answers under each run's own policy."""


@dataclass(frozen=True, eq=False)
class Pooled:
    """The test answers of one row and seed; with folds those of all images, each out of fold.

    Attributes:
        row, seed: place in the study.
        runs: where the answers come from, one for each fold.
        predictions: theirs, in the same order.
        policies: theirs, in the same order.
        order: rows of the joined predictions by id, (N,).
        group: the attribute.
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
        """The images by id, as answered by the policy and by each exit, see `options`."""
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

    def answers(self, what: str | float) -> NDArray[np.int64]:
        """Predicted classes, (N,), by id.

        Args:
            what: "policy", the name of an exit at which everybody leaves, or theta.
        """
        found = []
        for p, own in zip(self.predictions, self.policies, strict=True):
            if isinstance(what, str) and what != POLICY:
                exits: Any = np.full(len(p), p.exit_names.index(what))
            else:
                theta = own.theta if what == POLICY else float(what)
                exits = select(p.probabilities, theta, own.fallback)
            found.append(p.probabilities[np.arange(len(p)), exits].argmax(-1))
        answers: NDArray[np.int64] = np.concatenate(found)[self.order]
        return answers

    @cached_property
    def options(self) -> dict[str, int]:
        """The rows of `sample.answers` and `counts`: the policy and each exit."""
        return {name: i for i, name in enumerate((POLICY, *self.exit_names))}

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Counts of the policy and of each exit, (1 + E, M, C, C)."""
        return self.sample.counts

    @cached_property
    def values(self) -> dict[str, NDArray[np.float64]]:
        """Every metric, (1 + E,); `precision/<group>` and so on for each group."""
        values = compute(self.counts)
        for name in AVERAGES:
            of_group = BY_GROUP[name](self.counts)
            values |= {f"{name}/{g}": of_group[:, i] for i, g in enumerate(self.group_names)}
        return values


def pool(study: Study, folder: Folder, states: Mapping[str, State], dataset: str) -> list[Pooled]:
    """Everything finished of one dataset, in the order of the study.

    A row and seed of which a fold is missing is left out.

    Raises:
        UserError: runs were tested on different images.
    """
    cells: dict[tuple[str, int], list[Planned]] = {}
    for run in study.runs:
        if run.dataset == dataset and run.row:
            cells.setdefault((run.row, run.seed), []).append(run)
    found: list[Pooled] = []
    for (row, seed), planned in cells.items():
        if all(states[run.name].what == "done" for run in planned):
            found.append(_read(row, seed, [open_run(folder.run(run.name).path) for run in planned]))
            if not np.array_equal(found[-1].ids, found[0].ids):
                raise UserError(
                    f"{found[-1].runs[0].path} was not tested on the same images as "
                    f"{found[0].runs[0].path}; remove its predictions and run the study again"
                )
    return found


def _read(row: str, seed: int, runs: Sequence[Run]) -> Pooled:
    predictions = tuple(stored_predictions(run, "test") for run in runs)
    order = np.argsort(np.concatenate([p.ids for p in predictions]), kind="stable")
    policies = tuple(Policy.load(run.policy) for run in runs)
    group = runs[0].description["group"]
    return Pooled(row, seed, tuple(runs), predictions, policies, order, group)


def run_tables(
    study: Study, folder: Folder, states: Mapping[str, State]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A row for each run, and a row for each exit of each finished run."""
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
        rows.append(place | {"state": state.what, "note": state.note})
        if state.what != "done":
            continue
        run = folder.run(planned.name)
        group = run.description["group"]
        remedy = "evaluate the run again with `fairexit evaluate`"
        found = read_json(run.metrics, remedy).get(group)
        if found is None:
            raise UserError(f"{run.metrics} has no results for attribute '{group}'; {remedy}")
        own = Policy.load(run.policy).theta
        theta = list(own) if isinstance(own, tuple) else own
        if found["policy"]["theta"] != theta or found.get("empty", "exclude") != "exclude":
            raise UserError(
                f"{run.metrics} was not evaluated under the run's stored policy; {remedy}"
            )
        ratio = run.description.get("penalty_ratio")
        rows[-1] |= {"group": group, "penalty_ratio": ratio, "zeros": _zeros(run)} | _flat(found)
        for exit in found["exits"]:
            share = {f"share/{g}": s[exit["exit"]] for g, s in found["exit_share"].items()}
            exits.append(place | exit | share)
    return pd.DataFrame(rows), pd.DataFrame(exits)


def _zeros(run: Run) -> float:
    """The share of prunable parameters that pruning has set to zero."""
    if not run.pruning.is_file():
        return 0.0
    record = read_record(run)
    return float(record["path"][record["chosen"]]["fraction"])


def _flat(found: dict[str, Any]) -> dict[str, Any]:
    """One run's numbers on test as one row."""
    policy = found["policy"]
    theta = policy["theta"]
    flat = {
        "n": found["n"],
        "theta": json.dumps(theta) if isinstance(theta, list) else theta,
        "rule": policy["rule"],
    }
    for key in AVERAGES:
        flat |= {f"{key}/{name}": values[key] for name, values in found["groups"].items()}
    return flat | found["metrics"]
