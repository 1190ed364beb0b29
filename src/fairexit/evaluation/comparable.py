"""Validation answers of several runs for the same samples, between which one chooses."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fairexit.cluster_index import cluster_index
from fairexit.errors import UserError, option, short
from fairexit.evaluation.choice import stored_predictions
from fairexit.evaluation.policy import Policy
from fairexit.evaluation.temperatures import Temperatures
from fairexit.predictions.data import Predictions, first_row
from fairexit.runs import Run, open_run
from fairexit.stats.clusters import common_group
from fairexit.terminal import note
from fairexit.types import UNKNOWN

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Answers:
    """What one run answers for N samples.

    Attributes:
        run: the run.
        name: its name, different for every run.
        confidence: what is compared with theta, of each sample at each exit, (N, E).
        answers: predicted classes, (N, E).
        costs: multiply-adds up to each exit, (E,).
        exit_names: names of the exits.
        temperatures: those of the run's stored policy, by which the confidence is tempered.
    """

    run: Run
    name: str
    confidence: NDArray[np.float32]
    answers: NDArray[np.int16]
    costs: NDArray[np.float64]
    exit_names: tuple[str, ...]
    temperatures: Temperatures | None = None

    @property
    def num_exits(self) -> int:
        return len(self.costs)


@dataclass(frozen=True, eq=False)
class Comparable:
    """Validation samples of known group, and what each of several runs answers for them.

    Attributes:
        models: the answers of each run.
        labels: true classes, (N,).
        groups: groups, (N,), all known.
        clusters: names of the lesions or patients, (N,).
        group: name of the sensitive attribute.
        num_classes: C.
        num_groups: M.
    """

    models: tuple[Answers, ...]
    labels: Ints
    groups: Ints
    clusters: NDArray[np.object_]
    group: str
    num_classes: int
    num_groups: int

    @cached_property
    def cluster(self) -> Ints:
        """Index of each sample's cluster, (N,)."""
        return cluster_index(self.clusters)

    @cached_property
    def strata(self) -> Ints:
        """The group of each cluster, within which clusters are drawn."""
        return common_group(self.cluster, self.groups, self.num_groups)

    @property
    def full_cost(self) -> float:
        """Multiply-adds of the largest full network."""
        return float(max(model.costs[-1] for model in self.models))


def finished_runs(paths: Sequence[Path]) -> list[Run]:
    """Open runs; a warning names each whose training did not finish or diverged.

    Raises:
        UserError: a folder is no run or is given twice, or no run is finished.
    """
    for path in paths:
        if [other.resolve() for other in paths].count(path.resolve()) > 1:
            raise UserError(f"{path} is given twice; give each run once")
    opened = []
    for path in paths:
        if (path / "started.json").is_file() and not Run(path).finished:
            note(f"warning: {path} has not finished training, or diverged, and is left out")
        else:
            opened.append(open_run(path))
    if not opened:
        raise UserError("there is no finished run to choose from; train one with `fairexit train`")
    return opened


def read_comparable(runs: Sequence[Run], group: str | None, confidence_measure: str) -> Comparable:
    """Read the stored validation predictions of runs, in the order of the first run's samples.

    Args:
        runs: finished runs with validation predictions.
        group: the attribute; by default that of the runs.
        confidence_measure: what is compared with theta.
    Raises:
        UserError: runs differ in data, split or attribute, or lack predictions or costs.
    """
    group = group or _shared_group(runs)
    names = run_names([run.path for run in runs])
    first, models = None, []
    for run, name in zip(runs, names, strict=True):
        if _checksums(run) != _checksums(runs[0]):
            raise UserError(
                f"{run.path} was trained on other data than {runs[0].path}; compare runs of the "
                "same data"
            )
        predictions = stored_predictions(run, "val")
        if predictions.hard:
            raise UserError(f"{run.predictions('val')} has no probabilities; predict the run again")
        temperatures = Policy.load(run.policy).temperatures if run.policy.is_file() else None
        predictions = predictions.tempered(() if temperatures is None else temperatures.values)
        first = first or predictions
        rows = _rows(predictions, first, (run, runs[0]))
        known = first.group(group)[0] != UNKNOWN
        models.append(
            Answers(
                run,
                name,
                predictions.confidence(confidence_measure)[rows][known],
                predictions.answers.astype(np.int16)[rows][known],
                _costs(run, predictions),
                predictions.exit_names,
                temperatures,
            )
        )
    assert first is not None
    samples = first.take(known)
    return Comparable(
        tuple(models),
        samples.labels,
        samples.attributes[group],
        samples.clusters,
        group,
        num_classes=len(samples.classes),
        num_groups=len(samples.group_names[group]),
    )


def run_names(paths: Sequence[Path]) -> list[str]:
    """The names of the folders or, if two are alike, the paths."""
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else list(map(str, paths))


def _shared_group(runs: Sequence[Run]) -> str:
    for run in runs:
        own, other = run.description["group"], runs[0].description["group"]
        if own != other:
            raise UserError(
                f"the attribute of {run.path} is '{short(own)}', that of {runs[0].path} is "
                f"'{short(other)}'; name the one to choose by with {option('group')}"
            )
    return str(runs[0].description["group"])


def _checksums(run: Run) -> dict[str, str]:
    checksums: dict[str, str] = run.description["data"]["checksums"]
    return checksums


def _rows(predictions: Predictions, first: Predictions, runs: tuple[Run, Run]) -> Ints:
    """Rows of the predictions in the order of the first run's.

    Raises:
        UserError: the two are of other samples, classes or labels.
    """
    run, reference = (each.path for each in runs)
    rows = np.arange(len(first))
    # Sorting texts takes longer than all else here.
    if not np.array_equal(predictions.ids, first.ids):
        if len(apart := np.setxor1d(predictions.ids, first.ids)):
            raise UserError(
                f"{run} and {reference} were not validated on the same samples: {len(apart)} ids "
                "are in only one of them; compare runs of the same split"
            )
        rows[np.argsort(first.ids)] = np.argsort(predictions.ids)
    if predictions.classes != first.classes:
        raise UserError(f"{run} and {reference} have different classes; predict both again")
    wrong = predictions.labels[rows] != first.labels
    if wrong.any():
        raise UserError(
            f"{first_row(first.ids, wrong)}: {run} and {reference} have different labels for it; "
            "predict both again"
        )
    return rows


def _costs(run: Run, predictions: Predictions) -> NDArray[np.float64]:
    costs, exits = np.array(run.exit_costs), len(predictions.exit_names)
    if len(costs) != exits:
        raise UserError(
            f"{run.path}/config.json is damaged: it has {len(costs)} exit_costs, but the "
            f"predictions are of {exits} exits"
        )
    return costs
