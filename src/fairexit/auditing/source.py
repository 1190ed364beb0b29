"""The source of an audit: predictions under a policy, and what is known of their origin."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.cluster_index import cluster_index
from fairexit.errors import UserError, option, short
from fairexit.evaluation.choice import Choice, choose_policy, stored_predictions
from fairexit.evaluation.policy import Policy
from fairexit.evaluation.thresholds import answering_exits
from fairexit.predictions.data import Names, Predictions, first_row
from fairexit.predictions.files import read_predictions
from fairexit.predictions.reading import Reading
from fairexit.runs import Run, open_run
from fairexit.tabular.names import match

NO_COSTS = {
    "file": "a file of predictions does not say what its exits cost",
    "run": "the run was trained by a version that did not store what its exits cost",
}

STORED = Choice(None)
"""The policy that a run has stored, or one that is chosen on validation."""

DESCRIBED = ("name", "website", "licence", "skipped", "left_out", "leaks", "mixed_clusters")
"""Keys of `dataset.json` that an audit reports."""


@dataclass(frozen=True)
class Source:
    """Predictions of one model on the samples that are measured.

    Attributes:
        name: of the model.
        predictions: the samples; their probabilities, and those of validation, become tempered if
            the policy has temperatures.
        policy: the early-exit policy.
        group: the attribute that a run was trained for, "" for other sources.
        path: file or folder, "" for tables in memory.
        validation: the validation samples, None if there are none.
        cluster_name: the column of clusters, "" if there is none.
        costs: multiply-adds of each exit, None if they are not known.
        cost_reason: why the costs are not known.
        dataset: description of the prepared data that a run was trained on, if they are still in
            the same place and have not changed.
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
    dataset: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        temperatures = self.policy.temperature_values
        tempered = self.predictions.tempered(temperatures)
        object.__setattr__(self, "predictions", tempered)
        if self.validation is not None:
            object.__setattr__(self, "validation", self.validation.tempered(temperatures))

    @cached_property
    def exits(self) -> NDArray[np.int64]:
        """Index of the exit that answers for each sample, (N,)."""
        return answering_exits(self.predictions, self.policy)

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """The probabilities of the exit that answers for each sample, (N, C).

        Raises:
            ValueError: only the answers are known.
        """
        probabilities = self.predictions.probabilities_at(self.exits)
        if probabilities is None:
            raise ValueError("only the answers are known, no probabilities")
        return np.ascontiguousarray(probabilities)

    @cached_property
    def answers(self) -> NDArray[np.int64]:
        """Predicted classes, (N,)."""
        return self.predictions.answers_at(self.exits)

    @property
    def relative_costs(self) -> NDArray[np.float64] | None:
        """Cost of each exit as a share of the full network's cost, (E,)."""
        return None if self.costs is None else np.array(self.costs) / self.costs[-1]


def open_source(
    path: Path,
    groups: Sequence[str] = (),
    *,
    split: str = "test",
    choice: Choice = STORED,
    reading: Reading | None = None,
) -> Source:
    """Open a run's folder or a file of predictions.

    Args:
        path: folder or file.
        groups: attributes to keep, however many values they have. If the threshold is to be
            chosen, it is chosen for the first one, by default for that of the run.
        split: the split to measure; a file without splits is measured as a whole.
        choice: how the threshold is chosen; by default it is the stored one, if there is one.
        reading: how a file is read.
    Raises:
        UserError: the path does not exist or is not readable, or there are no validation rows to
            choose the threshold on.
    """
    if path.is_dir():
        return _run(open_run(path), groups, split, choice=choice, reading=reading or Reading())
    reading = reading or Reading()
    predictions = read_predictions(path, groups, only=False, reading=reading)
    source = source_of(
        predictions,
        path.stem,
        groups,
        split=split,
        choice=choice,
        cluster_name=reading.cluster,
    )
    return replace(source, path=str(path))


def source_of(
    predictions: Predictions,
    name: str,
    groups: Sequence[str] = (),
    *,
    split: str = "test",
    choice: Choice = STORED,
    cluster_name: str = "cluster",
) -> Source:
    """The source of predictions in memory; arguments and errors as for `open_source`."""
    splits = predictions.splits
    measured = predictions if splits == [""] else predictions.of_split(split)
    return Source(
        name,
        measured,
        _choose(choice, groups, predictions, None),
        validation=predictions.of_split("val") if "val" in splits and split != "val" else None,
        cluster_name=cluster_name if (measured.clusters != "").any() else "",
    )


def _run(
    run: Run, groups: Sequence[str], split: str, *, choice: Choice, reading: Reading
) -> Source:
    measured = stored_predictions(run, split, reading)
    policy = _choose(choice, groups or [run.description["group"]], measured, run)
    has_validation = split != "val" and run.predictions("val").is_file()
    costs = run.description.get("exit_costs")
    return Source(
        run.label,
        measured,
        policy,
        run.description["group"],
        str(run.path),
        stored_predictions(run, "val", reading) if has_validation else None,
        "cluster" if (measured.clusters != "").any() else "",
        None if costs is None else tuple(costs),
        NO_COSTS["run"] if costs is None else "",
        dataset=_dataset(run),
    )


def _dataset(run: Run) -> dict[str, Any]:
    """The description of a run's prepared data; empty if they are missing or have changed."""
    file = run.config.data.path / "dataset.json"
    try:
        info = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(info, dict) or info.get("checksums") != run.description["data"]["checksums"]:
        return {}
    if not all(isinstance(info.get(key, {}), dict) for key in ("skipped", "left_out", "leaks")):
        raise UserError(f"{file} is damaged; prepare the data again")
    return described(info)


def described(info: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the content of `dataset.json` that an audit reports."""
    return {key: info[key] for key in DESCRIBED if key in info}


def _choose(
    choice: Choice, groups: Sequence[str], predictions: Predictions, run: Run | None
) -> Policy:
    """The policy, chosen for the first attribute if it is not given or stored."""
    several_exits = len(predictions.exit_names) > 1
    if several_exits and choice.threshold in ("auto", None) and not groups:
        raise UserError(
            "the threshold is chosen for a sensitive attribute; name its column with "
            f"{option('groups')}"
        )
    return choose_policy(
        choice, groups[0] if groups else "", "exclude", predictions=predictions, run=run
    )


def named_alike(source: Source, reference: Source) -> Source:
    """A source with its classes and groups named as in a reference, where only the form differs.

    Raises:
        UserError: two names are one name of the reference.
    """
    p, ref = source.predictions, reference.predictions
    classes, notes = _named_as(p.classes, ref.classes, "class")
    groups = dict(p.group_names)
    for name in p.group_names.keys() & ref.group_names.keys():
        groups[name], more = _named_as(p.group_names[name], ref.group_names[name], name)
        notes += more
    if not notes:
        return source
    renamed = replace(p, classes=classes, group_names=groups, notes=(*p.notes, *notes))
    return replace(source, predictions=renamed)


def _named_as(
    names: tuple[str, ...], reference: tuple[str, ...], what: str
) -> tuple[tuple[str, ...], list[str]]:
    new = tuple(match(name, reference) or name for name in names)
    if len(set(new)) < len(new):
        twice = next(name for name in new if new.count(name) > 1)
        raise UserError(f"two names of {short(what)} both mean '{short(twice)}'; rename one")
    changed = [(a, b) for a, b in zip(names, new, strict=True) if a != b]
    return new, [f"{what} '{short(a)}' is read as '{short(b)}'" for a, b in changed]


def align(source: Source, reference: Source) -> Source:
    """A model's predictions in the order of a reference's samples, for paired comparisons.

    Raises:
        UserError: ids, labels, classes or clusters of the two differ.
    """
    p, ref = source.predictions, reference.predictions
    models = f"{source.name} and {reference.name}"
    unmatched = np.setxor1d(ref.ids, p.ids)
    if len(unmatched):
        model = reference.name if unmatched[0] in ref.ids else source.name
        raise UserError(
            f"{models} were not measured on the same samples: {len(unmatched)} ids occur in only "
            f"one of them, such as '{short(unmatched[0])}' in {model}; use predictions of the same "
            "split"
        )
    if set(ref.classes) != set(p.classes):
        extra = sorted(set(ref.classes) ^ set(p.classes))
        raise UserError(f"{models} have different classes: only one has '{short(extra[0])}'")
    rows = np.empty(len(p), np.int64)
    rows[np.argsort(ref.ids)] = np.argsort(p.ids)
    class_index = np.array([ref.classes.index(name) for name in p.classes])
    wrong = class_index[p.labels[rows]] != ref.labels
    if wrong.any():
        raise UserError(f"{first_row(ref.ids, wrong)}: {models} have different labels for it")
    if not same_partition(p.clusters[rows], ref.clusters):
        raise UserError(
            f"{models} have different clusters for the same samples; use the same column of "
            "clusters for both"
        )
    probabilities = p.probabilities
    if probabilities is not None:
        probabilities = probabilities[rows][:, :, np.argsort(class_index)]
    aligned = replace(
        ref,
        probabilities=probabilities,
        temperatures=p.temperatures,
        exit_names=p.exit_names,
        given=None if p.given is None else class_index[p.given[rows]],
    )
    if np.array_equal(p.ids.astype(str), np.arange(1, len(p) + 1).astype(str)):
        note = "the rows have no ids and were paired with the other table's by their number"
        aligned = replace(aligned, notes=(*p.notes, note))
    return replace(source, predictions=aligned)


def same_partition(a: Names, b: Names) -> bool:
    """Whether two lists of clusters put the same samples together, whatever the names.

    >>> same_partition(np.array(["a", "a", ""]), np.array(["1", "1", "2"]))
    True
    """
    first, second = cluster_index(a), cluster_index(b)
    pairs = np.unique(np.stack([first, second]), axis=1).shape[1]
    return bool(pairs == first.max(initial=-1) + 1 == second.max(initial=-1) + 1)
