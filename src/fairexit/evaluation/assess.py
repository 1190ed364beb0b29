"""Evaluate a run's folder, a file of predictions, or predictions in memory."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fairexit.errors import UserError, option, short
from fairexit.evaluation.choice import Choice, choose_policy, stored_predictions
from fairexit.evaluation.evaluate import Evaluation, evaluate
from fairexit.evaluation.policy import SINGLE_EXIT
from fairexit.evaluation.referral import fit_sets
from fairexit.files import write_json
from fairexit.metrics.rates import Empty
from fairexit.predictions.data import Predictions
from fairexit.predictions.files import read_predictions
from fairexit.predictions.reading import Reading
from fairexit.runs import Run, open_run


@dataclass(frozen=True)
class Assessment:
    """An evaluation and its input.

    Attributes:
        name: of the model.
        group: the sensitive attribute.
        evaluation: the numbers.
        predictions: the predictions of the measured split.
        policy_stored: whether the policy was stored as the run's own.
    """

    name: str
    group: str
    evaluation: Evaluation
    predictions: Predictions
    policy_stored: bool = False

    def __repr__(self) -> str:
        return f"Assessment of {self.name} by {self.group}: {self.evaluation!r}"


def assess(
    source: Path | Predictions,
    *,
    split: str = "test",
    group: str | None = None,
    choice: Choice | None = None,
    empty: Empty = "exclude",
    reading: Reading | None = None,
    store: bool = True,
    coverage: float | None = None,
) -> Assessment:
    """Evaluate a run, a file of predictions, or predictions in memory.

    The numbers of a run are stored in its metrics.json. A threshold for the attribute that the run
    was trained for, chosen on validation or set by hand, becomes its policy and is stored in its
    policy.json, so that the numbers are those of the policy.

    Args:
        source: a run's folder, a file of predictions, or predictions.
        split: the split to measure; a table without splits is measured as a whole.
        group: the attribute; by default the run's, or the only one of the table.
        choice: how the threshold is chosen.
        empty: value of a rate without samples, see `fairexit.metrics.rates`.
        reading: the names of a file's columns and what their cells mean; of a run, only how
            groups are made.
        store: whether the files of a run are written.
        coverage: with which the policy gets prediction sets, fitted on validation; None for none.
    Raises:
        UserError: the source does not exist or does not hold what is asked for, or there are no
            validation rows to choose the threshold on.
    """
    choice = choice or Choice()
    if isinstance(source, Path) and source.is_dir():
        run = open_run(source)
        return _assess_run(
            run,
            split,
            group,
            choice,
            empty=empty,
            reading=reading,
            store=store,
            coverage=coverage,
        )
    if isinstance(source, Predictions):
        name, everything = "the predictions", source
    else:
        name = str(source)
        everything = read_predictions(
            source, None if group is None else [group], reading=reading or Reading()
        )
    group = group or _only_attribute(everything, name)
    splits = everything.splits
    if splits == [""] and split != "test":
        raise UserError(
            f"{name} has no column 'split', so there is no split '{short(split)}'; leave out "
            f"{option('split')}"
        )
    predictions = everything if splits == [""] else everything.of_split(split)
    policy = choose_policy(choice, group, empty, predictions=everything, run=None)
    if coverage is not None:
        if "val" not in splits:
            raise UserError(
                f"{name} has no rows of split 'val', on which prediction sets are fitted; leave "
                f"out {option('coverage')}"
            )
        policy = replace(policy, sets=fit_sets(everything.of_split("val"), group, policy, coverage))
    predictions = predictions.tempered(policy.temperature_values)
    evaluation = evaluate(predictions, group, policy, empty)
    return Assessment(Path(name).name, group, evaluation, predictions)


def _assess_run(
    run: Run,
    split: str,
    group: str | None,
    choice: Choice,
    *,
    empty: Empty,
    reading: Reading | None,
    store: bool,
    coverage: float | None,
) -> Assessment:
    """Evaluate the stored predictions of a run, and store the numbers and a chosen policy."""
    group = group or run.description["group"]
    reading = reading or Reading()
    predictions = stored_predictions(run, split, reading)
    policy = choose_policy(choice, group, empty, predictions=predictions, run=run, reading=reading)
    if coverage is not None:
        validation = stored_predictions(run, "val", reading)
        policy = replace(policy, sets=fit_sets(validation, group, policy, coverage))
    predictions = predictions.tempered(policy.temperature_values)
    evaluation = evaluate(predictions, group, policy, empty)
    store = store and reading == Reading()
    # Evaluating another attribute must not change the predictions that the run makes, and the
    # policy of an export is a part of it, as its checksum says.
    is_new = choice.threshold != "policy" or policy.rule == SINGLE_EXIT or coverage is not None
    is_own = group == run.description["group"] and not run.is_export
    policy_stored = store and is_new and is_own
    if policy_stored:
        policy.save(run.policy)
    if store:
        _store(run, split, group, evaluation)
    return Assessment(run.label, group, evaluation, predictions, policy_stored)


def assess_as_stored(
    path: Path,
    group: str | None = None,
    default: Choice | None = None,
    reading: Reading | None = None,
) -> Assessment:
    """Evaluate on test under a run's stored policy, or by `default` if there is none.

    Nothing is written.
    """
    stored = path.is_dir() and Run(path).policy.is_file()
    choice = Choice("policy") if stored else default
    return assess(path, group=group, choice=choice, reading=reading, store=False)


def _store(run: Run, split: str, group: str, evaluation: Evaluation) -> None:
    """Add an evaluation to metrics.json, under `<attribute>`, or `<attribute>@<split>` off test."""
    try:
        stored = json.loads(run.metrics.read_text())
    except (OSError, ValueError, RecursionError):
        stored = {}
    stored = stored if isinstance(stored, dict) else {}
    stored[group if split == "test" else f"{group}@{split}"] = evaluation.to_dict()
    write_json(run.metrics, stored)


def unnamed_attribute(names: Sequence[str], parameter: str) -> str:
    """Message for a missing name of the sensitive attribute, if there is not exactly one.

    Args:
        names: of the attributes that the table has.
        parameter: the parameter that names the attribute.
    """
    hint = f"available: {short(', '.join(names), 300)}" if names else "the table has none"
    return f"name the column of the sensitive attribute with {option(parameter)}; {hint}"


def _only_attribute(predictions: Predictions, name: str) -> str:
    names = list(predictions.attributes)
    if len(names) != 1:
        raise UserError(f"{name}: {unnamed_attribute(names, 'group')}")
    return names[0]
