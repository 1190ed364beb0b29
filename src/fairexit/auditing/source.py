"""What is audited: predictions under a policy, with all that is known of where they come from."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.cluster_index import cluster_index
from fairexit.errors import UserError, option, short
from fairexit.evaluation.assess import Choice, choose_policy, stored_predictions
from fairexit.evaluation.policy import Policy
from fairexit.evaluation.thresholds import select
from fairexit.predictions.arrow import Columns, attribute_columns
from fairexit.predictions.data import first_row
from fairexit.predictions.files import Predictions, read_predictions
from fairexit.runs import Run, open_run

NO_COSTS = {
    "file": "a file of predictions does not say what its exits cost",
    "run": "the run was trained by a version that did not store what its exits cost",
}

DESCRIBED = ("name", "website", "licence", "skipped", "leaks", "mixed_clusters")
"""What an audit tells of the prepared data."""


@dataclass(frozen=True)
class Source:
    """Predictions of one model on the samples that are measured.

    Attributes:
        name: of the model.
        predictions: the samples.
        policy: who leaves where.
        group: the attribute that a run was trained for, "" for anything else.
        path: file or folder, "" for tables in memory.
        validation: samples of validation, None where there are none.
        cluster_name: the column of clusters, "" where there is none.
        costs: multiply-adds of each exit, None where they are not known.
        cost_reason: why not.
        left_out: columns that take no part, with the reason.
        dataset: what the prepared data of a run say of themselves, if they still lie where it
            found them and have not changed.
    """

    name: str
    predictions: Predictions
    policy: Policy
    group: str = ""
    path: str = ""
    validation: Predictions | None = None
    cluster_name: str = ""
    costs: tuple[float, ...] | None = None
    cost_reason: str = NO_COSTS["file"]
    left_out: dict[str, str] = field(default_factory=dict)
    dataset: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def exits(self) -> NDArray[np.int64]:
        """Index of the exit that answers for each sample, (N,)."""
        p = self.predictions
        return select(p.probabilities, self.policy.theta, self.policy.fallback)

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """The probabilities that the policy answers with, (N, C)."""
        p = self.predictions.probabilities
        return np.ascontiguousarray(p[np.arange(len(p)), self.exits])

    @cached_property
    def answers(self) -> NDArray[np.int64]:
        """Predicted classes, (N,)."""
        return self.probabilities.argmax(-1)

    @property
    def relative_costs(self) -> NDArray[np.float64] | None:
        """Cost of each exit as a share of the full network's, (E,)."""
        return None if self.costs is None else np.array(self.costs) / self.costs[-1]


def open_source(
    path: Path,
    groups: Sequence[str] = (),
    *,
    split: str = "test",
    threshold: str | float | tuple[float, ...] | None = None,
    columns: Columns | None = None,
) -> Source:
    """A run's folder or a file of predictions.

    Args:
        path: folder or file.
        groups: attributes that are kept whatever they hold; the first one is theta's, if it has
            to be chosen. By default the run's own.
        split: the split that is measured; a file that names no split is measured whole.
        threshold: theta; `auto` chooses it on validation; `policy` is the run's stored one, and
            the default where there is one.
        columns: what a file calls its columns.
    Raises:
        UserError: no such thing, or nothing to choose theta on.
    """
    if path.is_dir():
        return _run(open_run(path), groups, split, threshold)
    columns = columns or Columns()
    kept, left_out = attribute_columns(path, columns, groups)
    source = source_of(
        read_predictions(path, kept, columns=columns),
        path.stem,
        groups,
        split=split,
        threshold=threshold,
        cluster_name=columns.cluster,
    )
    return replace(source, path=str(path), left_out=left_out)


def source_of(
    predictions: Predictions,
    name: str,
    groups: Sequence[str] = (),
    *,
    split: str = "test",
    threshold: str | float | tuple[float, ...] | None = None,
    cluster_name: str = "cluster",
) -> Source:
    """Predictions in memory; arguments and errors as for `open_source`."""
    splits = np.unique(predictions.split).tolist()
    measured = predictions if splits == [""] else predictions.of_split(split)
    choice = Choice("auto" if threshold is None else threshold)
    return Source(
        name,
        measured,
        _choose(choice, groups, predictions, None),
        validation=predictions.of_split("val") if "val" in splits and split != "val" else None,
        cluster_name=cluster_name if (measured.clusters != "").any() else "",
    )


def _run(run: Run, groups: Sequence[str], split: str, threshold: Any) -> Source:
    measured = stored_predictions(run, split)
    stored = run.policy.is_file()
    choice = Choice(("policy" if stored else "auto") if threshold is None else threshold)
    policy = _choose(choice, groups or [run.description["group"]], measured, run)
    has_validation = split != "val" and run.predictions("val").is_file()
    costs = run.description.get("exit_costs")
    return Source(
        run.label,
        measured,
        policy,
        run.description["group"],
        str(run.path),
        stored_predictions(run, "val") if has_validation else None,
        "cluster" if (measured.clusters != "").any() else "",
        None if costs is None else tuple(costs),
        NO_COSTS["run"] if costs is None else "",
        dataset=_dataset(run),
    )


def _dataset(run: Run) -> dict[str, Any]:
    file = run.config.data.path / "dataset.json"
    try:
        info = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(info, dict) or info.get("checksums") != run.description["data"]["checksums"]:
        return {}
    return {key: info[key] for key in DESCRIBED if key in info}


def _choose(
    choice: Choice, groups: Sequence[str], predictions: Predictions, run: Run | None
) -> Policy:
    several = len(predictions.exit_names) > 1
    if several and choice.threshold == "auto" and not groups:
        raise UserError(
            "the threshold is chosen for a sensitive attribute; name its column with "
            f"{option('groups')}"
        )
    return choose_policy(
        choice, groups[0] if groups else "", "exclude", predictions=predictions, run=run
    )


def align(other: Source, to: Source) -> Source:
    """Another model's predictions in the order of this one's, for paired comparisons.

    Raises:
        UserError: ids, labels, classes or clusters of the two differ.
    """
    mine, its = to.predictions, other.predictions
    who = f"{other.name} and {to.name}"
    order, place = np.argsort(its.ids), np.argsort(mine.ids)
    only = np.setxor1d(mine.ids, its.ids)
    if len(only):
        where = to.name if only[0] in mine.ids else other.name
        raise UserError(
            f"{who} were not measured on the same samples: {len(only)} ids occur in only one of "
            f"them, such as '{short(only[0])}' in {where}; use predictions of the same split"
        )
    if set(mine.classes) != set(its.classes):
        extra = sorted(set(mine.classes) ^ set(its.classes))
        raise UserError(f"{who} have different classes: only one has '{short(extra[0])}'")
    rows = np.empty(len(order), np.int64)
    rows[place] = order
    to_mine = np.array([mine.classes.index(name) for name in its.classes])
    labels = to_mine[its.labels[rows]]
    if (labels != mine.labels).any():
        raise UserError(
            f"{first_row(mine.ids, labels != mine.labels)}: {who} have different labels for it"
        )
    if not same_partition(its.clusters[rows], mine.clusters):
        raise UserError(
            f"{who} have different clusters for the same samples; use the same column of clusters "
            "for both"
        )
    classes = np.argsort(to_mine)
    aligned = replace(
        mine,
        probabilities=its.probabilities[rows][:, :, classes],
        exit_names=its.exit_names,
        hard=its.hard,
    )
    return replace(other, predictions=aligned)


def same_partition(one: NDArray[np.str_], two: NDArray[np.str_]) -> bool:
    """Whether two lists of clusters, whatever their names, keep the same samples together.

    >>> same_partition(np.array(["a", "a", ""]), np.array(["1", "1", "2"]))
    True
    """
    first, second = cluster_index(one), cluster_index(two)
    pairs = np.unique(np.stack([first, second]), axis=1).shape[1]
    return bool(pairs == first.max(initial=-1) + 1 == second.max(initial=-1) + 1)
