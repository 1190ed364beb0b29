"""Evaluate a run's folder, a file of predictions, or predictions in memory."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from fairexit.errors import UserError, option, short
from fairexit.evaluation.choose import DEFAULT_RULE, GRID, choose_theta
from fairexit.evaluation.evaluate import Evaluation, evaluate
from fairexit.evaluation.policy import Fallback, Policy, check_fallback, check_theta
from fairexit.evaluation.rules import check_rule
from fairexit.files import write_json
from fairexit.metrics.rates import Empty
from fairexit.predictions.data import Predictions
from fairexit.predictions.files import read_predictions
from fairexit.predictions.reading import Reading
from fairexit.runs import Run, open_run


@dataclass(frozen=True)
class Choice:
    """How the threshold is chosen.

    Attributes:
        threshold: `auto` (by `rule`, on validation), `policy` (the one that the run has stored) or
            numbers.
        grid: the thresholds that `auto` tries.
        rule: "f1" or the name of another metric, see `choose_theta`.
        tolerance: the loss of F1 that the rule allows.
        fallback: which exit answers when none reaches the threshold.
    Raises:
        UserError: the rule or fallback is unknown, or a value is out of range.
    """

    threshold: str | float | tuple[float, ...] = "auto"
    grid: tuple[float, ...] = GRID
    rule: str = DEFAULT_RULE
    tolerance: float = 0.01
    fallback: Fallback = "final"

    def __post_init__(self) -> None:
        check_fallback(self.fallback)
        check_theta(self.grid)
        check_rule(self.rule)
        if not 0 <= self.tolerance <= 1:
            raise UserError(
                f"{option('tolerance')} is {self.tolerance}; it is a loss of F1 and must be "
                "between 0 and 1"
            )
        if not isinstance(self.threshold, str):
            check_theta(self.threshold)
        elif self.threshold not in ("auto", "policy"):
            raise UserError(
                f"{option('threshold')} is '{short(self.threshold)}'; give auto, policy or a number"
            )


@dataclass(frozen=True)
class Assessment:
    """An evaluation and its input.

    Attributes:
        name: of the model.
        group: the sensitive attribute.
        evaluation: the numbers.
        predictions: the predictions of the measured split.
    """

    name: str
    group: str
    evaluation: Evaluation
    predictions: Predictions

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
) -> Assessment:
    """Evaluate a run, a file of predictions, or predictions in memory.

    The numbers of a run are stored in its metrics.json; a threshold chosen for the attribute that
    the run was trained for is stored in its policy.json.

    Args:
        source: a run's folder, a file of predictions, or predictions.
        split: the split to measure; a table without splits is measured as a whole.
        group: the attribute; by default the run's, or the only one of the table.
        choice: how the threshold is chosen.
        empty: value of a rate without samples, see `fairexit.metrics.rates`.
        reading: the names of a file's columns and what their cells mean; of a run, only how
            groups are made.
        store: whether the files of a run are written.
    Raises:
        UserError: the source does not exist or does not hold what is asked for, or there are no
            validation rows to choose the threshold on.
    """
    choice = choice or Choice()
    if isinstance(source, Path) and source.is_dir():
        run = open_run(source)
        return _assess_run(run, split, group, choice, empty=empty, reading=reading, store=store)
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
) -> Assessment:
    """Evaluate the stored predictions of a run, and store the numbers and a chosen policy."""
    group = group or run.description["group"]
    reading = reading or Reading()
    predictions = stored_predictions(run, split, reading)
    policy = choose_policy(choice, group, empty, predictions=predictions, run=run, reading=reading)
    evaluation = evaluate(predictions, group, policy, empty)
    if store and reading == Reading():
        chosen = policy.split is not None or policy.rule == "single exit"
        # Evaluating another attribute must not change the predictions that the run makes.
        if chosen and group == run.description["group"]:
            policy.save(run.policy)
        _store(run, split, group, evaluation)
    return Assessment(run.label, group, evaluation, predictions)


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


def stored_predictions(run: Run, split: str, reading: Reading | None = None) -> Predictions:
    """The predictions of one split that a run has stored.

    Args:
        run: the run.
        split: the split.
        reading: how groups are made of the values of an attribute.
    Raises:
        UserError: the run has no predictions of this split, or the reading names columns, which
            those of a run need not.
    """
    if changed := (reading or Reading()).changed():
        raise UserError(f"{option(changed[0])} is about a table, but {run.path} is a run")
    file = run.predictions(split)
    if not file.is_file():
        raise UserError(
            f"{run.path} has no predictions for split '{short(split)}'; make them with "
            "`fairexit predict`"
        )
    return read_predictions(file, reading=reading)


def choose_policy(
    choice: Choice,
    group: str,
    empty: Empty,
    *,
    predictions: Predictions,
    run: Run | None,
    reading: Reading | None = None,
) -> Policy:
    """The policy of a run or a table: given, stored, or chosen on validation.

    Args:
        choice: how the threshold is chosen.
        group: the attribute for which it is chosen.
        empty: value of a rate without samples, see `fairexit.metrics.rates`.
        predictions: the rows; those of split "val" are used if there is no run.
        run: the run that the predictions belong to, if any.
        reading: how the groups of a run's validation rows are made.
    Raises:
        UserError: there is no stored policy, or there are no validation rows.
    """
    if len(predictions.exit_names) == 1:
        return Policy(None, choice.fallback, "single exit")
    if choice.threshold == "policy":
        if run is None or not run.policy.is_file():
            raise UserError(
                f"there is no stored policy; set {option('threshold')} to auto to choose one"
            )
        return Policy.load(run.policy)
    if choice.threshold != "auto":
        return Policy(cast(float | tuple[float, ...], choice.threshold), choice.fallback)
    if run is not None:
        validation = stored_predictions(run, "val", reading)
    elif "val" in predictions.splits:
        validation = predictions.of_split("val")
    else:
        raise UserError(
            "the threshold is chosen on validation, but this file has no rows of split 'val'; "
            f"set {option('threshold')} to a number"
        )
    return choose_theta(
        validation,
        group,
        thetas=choice.grid,
        rule=choice.rule,
        tolerance=choice.tolerance,
        fallback=choice.fallback,
        empty=empty,
        costs=None if run is None else run.description.get("exit_costs"),
    )


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
