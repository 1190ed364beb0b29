"""From a run's folder, or a file of predictions, to its numbers: what `fairexit evaluate` does."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from fairexit.errors import UserError, option, short
from fairexit.evaluation.evaluate import Evaluation, evaluate
from fairexit.evaluation.policy import Fallback, Policy, check_fallback, check_theta
from fairexit.evaluation.thresholds import DEFAULT_RULE, GRID, check_rule, choose_theta
from fairexit.files import write_atomically
from fairexit.metrics.rates import Empty
from fairexit.predictions.files import Predictions, read_predictions
from fairexit.runs import Run, open_run


@dataclass(frozen=True)
class Choice:
    """How theta is come by.

    Attributes:
        threshold: `auto` (by `rule`, on validation), `policy` (the run's stored one) or numbers.
        grid: the thresholds that `auto` tries.
        rule: the name of a metric, see `choose_theta`.
        tolerance: the loss of F1 that the rule allows.
        fallback: which exit answers when none reaches the threshold.
    Raises:
        UserError: no such rule or fallback, or a value out of range.
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
    """An evaluation with what it was made from."""

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
    prob_prefix: str | None = None,
    store: bool = True,
) -> Assessment:
    """Evaluate a run, a file of predictions, or predictions in memory.

    A run's numbers go into its metrics.json; a theta chosen for the run's own attribute becomes its
    policy.json.

    Args:
        source: a run's folder, a file of predictions, or predictions.
        split: the split that is measured; a table that names no split is measured whole.
        group: the attribute; by default the run's, or the only one of the table.
        choice: how theta is come by.
        empty: what a rate without samples counts.
        prob_prefix: of a file's probability columns.
        store: whether a run's files are written at all.
    Raises:
        UserError: no such thing, or theta would have to be chosen without validation rows.
    """
    choice = choice or Choice()
    if isinstance(source, Path) and source.is_dir():
        run = open_run(source)
        if prob_prefix is not None:
            raise UserError(
                f"{option('prob_prefix')} applies to a file of predictions, but {source} is a run"
            )
        group = group or run.description["group"]
        predictions = of_run(run, split)
        policy = choose_policy(choice, group, empty, predictions=predictions, run=run)
        evaluation = evaluate(predictions, group, policy, empty)
        if store:
            chosen = policy.split is not None or policy.rule == "single exit"
            # Looking at another attribute must not change what the run answers.
            if chosen and group == run.description["group"]:
                policy.save(run.policy)
            _store(run, split, group, evaluation)
        return Assessment(run.label, group, evaluation, predictions)
    if isinstance(source, Predictions):
        name, everything = "the predictions", source
    else:
        name = str(source)
        everything = read_predictions(source, None if group is None else [group], prob_prefix)
    group = group or _only_attribute(everything, name)
    splits = np.unique(everything.split).tolist()
    if splits == [""] and split != "test":
        raise UserError(
            f"{name} has no column 'split', so there is no split '{short(split)}'; leave out "
            f"{option('split')}"
        )
    predictions = everything if splits == [""] else everything.of_split(split)
    policy = choose_policy(choice, group, empty, predictions=everything, run=None)
    evaluation = evaluate(predictions, group, policy, empty)
    return Assessment(Path(name).name, group, evaluation, predictions)


def assess_as_stored(
    path: Path, group: str | None = None, otherwise: Choice | None = None
) -> Assessment:
    """Evaluate on test under a run's stored policy; where there is none, as `otherwise` says.

    Nothing is written.
    """
    stored = path.is_dir() and Run(path).policy.is_file()
    choice = Choice("policy") if stored else otherwise
    return assess(path, group=group, choice=choice, store=False)


def of_run(run: Run, split: str) -> Predictions:
    """The predictions of one split that a run has stored.

    Raises:
        UserError: there are none.
    """
    file = run.predictions(split)
    if not file.is_file():
        raise UserError(
            f"{run.path} has no predictions for split '{short(split)}'; make them with "
            "`fairexit predict`"
        )
    return read_predictions(file)


def choose_policy(
    choice: Choice, group: str, empty: Empty, *, predictions: Predictions, run: Run | None
) -> Policy:
    """The policy of a run or of a file's rows; on validation where theta is to be chosen.

    Raises:
        UserError: no stored policy, or no rows of validation.
    """
    if len(predictions.exit_names) == 1:
        policy = Policy(None, choice.fallback, "single exit")
    elif choice.threshold == "policy":
        if run is None or not run.policy.is_file():
            raise UserError(
                f"there is no stored policy; set {option('threshold')} to auto to choose one"
            )
        return Policy.load(run.policy)
    elif choice.threshold != "auto":
        return Policy(cast(float | tuple[float, ...], choice.threshold), choice.fallback)
    else:
        if run is not None:
            validation = of_run(run, "val")
        elif "val" in predictions.split:
            validation = predictions.of_split("val")
        else:
            raise UserError(
                "the threshold is chosen on validation, but this file has no rows of split 'val'; "
                f"set {option('threshold')} to a number"
            )
        policy = choose_theta(
            validation,
            group,
            thetas=choice.grid,
            rule=choice.rule,
            tolerance=choice.tolerance,
            fallback=choice.fallback,
            empty=empty,
        )
    return policy


def _store(run: Run, split: str, group: str, evaluation: Evaluation) -> None:
    """metrics.json: attribute -> numbers on test; other splits under `<attribute>@<split>`."""
    try:
        known = json.loads(run.metrics.read_text())
    except (OSError, ValueError):
        known = {}
    known = known if isinstance(known, dict) else {}
    known[group if split == "test" else f"{group}@{split}"] = evaluation.to_dict()
    write_atomically(run.metrics, json.dumps(known, indent=2) + "\n")


def unnamed_attribute(names: Sequence[str], parameter: str) -> str:
    """What to say where the sensitive attribute is not named and there is not exactly one.

    Args:
        names: of the attributes that there are.
        parameter: the parameter that names one.
    """
    there = f"available: {short(', '.join(names), 300)}" if names else "the table has none"
    return f"name the column of the sensitive attribute with {option(parameter)}; {there}"


def _only_attribute(predictions: Predictions, name: str) -> str:
    names = list(predictions.attributes)
    if len(names) != 1:
        raise UserError(f"{name}: {unnamed_attribute(names, 'group')}")
    return names[0]
