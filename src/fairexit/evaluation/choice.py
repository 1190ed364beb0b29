"""How the threshold of a run or a table is chosen, and the policy that follows."""

from dataclasses import dataclass, replace
from typing import Any

from fairexit.errors import UserError, option, short
from fairexit.evaluation.calibrate import fit_temperatures
from fairexit.evaluation.choose import DEFAULT_RULE, choose_theta
from fairexit.evaluation.choose_risk import choose_by_risk
from fairexit.evaluation.policy import SINGLE_EXIT, Policy
from fairexit.evaluation.risk import RISK, Risk
from fairexit.evaluation.rules import check_rule
from fairexit.evaluation.theta import Fallback, Theta, check_fallback, check_theta, check_thetas
from fairexit.metrics.rates import Empty
from fairexit.predictions.confidence import MAX_PROBABILITY, check_confidence_measure
from fairexit.predictions.data import Predictions
from fairexit.predictions.files import read_predictions
from fairexit.predictions.reading import Reading
from fairexit.runs import Run


@dataclass(frozen=True)
class Choice:
    """How the threshold is chosen.

    Attributes:
        threshold: `auto` (by `rule`, on validation), `policy` (the one that the run has stored), or
            a number, or one for each internal exit, None where no sample leaves; None alone is
            `policy` where one is stored and `auto` otherwise.
        grid: the thresholds that `auto` tries; None for those of the rule.
        per_exit: whether `auto` searches a threshold for each internal exit.
        rule: "f1" or the name of another metric, see `choose_theta`, or "risk", see
            `fairexit.evaluation.choose_risk`.
        tolerance: the loss of F1 that the rule allows.
        fallback: which exit answers when none reaches the threshold.
        confidence_measure: what is compared with the threshold.
        risk: the promise, for the rule "risk" only; None for the default one.
        calibrate: whether the policy gets a temperature for each exit, fitted on validation before
            the threshold is chosen.
        policy: a policy from elsewhere, in place of all else; None for none.
    Raises:
        UserError: the rule, fallback or confidence measure is unknown, a value is out of range, or
            a threshold for each exit is to be searched, but one is given.
    """

    threshold: str | Theta | None = "auto"
    grid: tuple[float, ...] | None = None
    per_exit: bool = False
    rule: str = DEFAULT_RULE
    tolerance: float = 0.01
    fallback: Fallback = "final"
    confidence_measure: str = MAX_PROBABILITY
    risk: Risk | None = None
    calibrate: bool = False
    policy: Policy | None = None

    def __post_init__(self) -> None:
        if self.policy is not None and self.threshold is not None:
            raise UserError(
                f"{option('policy')} has a threshold of its own; leave out {option('threshold')}"
            )
        if self.policy is not None and self.fallback != "final":
            raise UserError(
                f"{option('policy')} has a fallback of its own; leave out {option('fallback')}"
            )
        if self.policy is not None and self.confidence_measure != MAX_PROBABILITY:
            raise UserError(
                f"{option('policy')} has a confidence measure of its own; leave out "
                f"{option('confidence_measure')}"
            )
        check_fallback(self.fallback)
        check_confidence_measure(self.confidence_measure)
        if self.grid is not None:
            check_thetas(self.grid)
        if self.rule != RISK:
            check_rule(self.rule)
            if self.risk is not None:
                raise UserError(f"a promise is given, which needs {option('rule')} {RISK}")
        elif self.per_exit:
            raise UserError(
                f"{option('rule')} {RISK} tests one threshold for all exits; leave out "
                f"{option('per_exit')}"
            )
        if not 0 <= self.tolerance <= 1:
            raise UserError(
                f"{option('tolerance')} is {self.tolerance}; it is a loss of F1 and must be "
                "between 0 and 1"
            )
        if isinstance(self.threshold, str):
            if self.threshold not in ("auto", "policy"):
                raise UserError(
                    f"{option('threshold')} is '{short(self.threshold)}'; give auto, policy or a "
                    "number"
                )
        elif self.threshold is not None:
            check_theta(self.threshold)
        if self.per_exit and self.threshold not in ("auto", None):
            raise UserError(
                f"{option('per_exit')} searches thresholds on validation, so that "
                f"{option('threshold')} must be auto"
            )
        if self.calibrate and self.threshold == "policy":
            raise UserError(
                f"{option('calibrate')} makes another policy than the stored one; leave it out, or "
                f"set {option('threshold')} to auto or a number"
            )

    def check_stored(self, stored: Policy) -> None:
        """Raise a UserError if a stored policy has another confidence measure than is asked for."""
        if self.confidence_measure not in (MAX_PROBABILITY, stored.confidence_measure):
            raise UserError(
                f"{option('confidence_measure')} is {self.confidence_measure}, but that of the "
                f"stored policy is {stored.confidence_measure}; leave it out, or set "
                f"{option('threshold')} to auto to choose another policy"
            )


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
    if choice.policy is not None:
        return choice.policy
    stored = run is not None and run.policy.is_file()
    is_single = len(predictions.exit_names) == 1
    if choice.threshold == "policy" or (choice.threshold is None and stored):
        if run is not None and stored:
            policy = Policy.load(run.policy)
            if not is_single:
                choice.check_stored(policy)
            return policy
        if not is_single:
            raise UserError(
                f"there is no stored policy; set {option('threshold')} to auto to choose one"
            )
    validation = temperatures = None
    if choice.calibrate:
        if run is None and "val" not in predictions.splits:
            raise UserError(
                "temperatures are fitted on validation, but this file has no rows of split 'val'; "
                f"leave out {option('calibrate')}"
            )
        validation = _validation(predictions, run, reading)
        temperatures = fit_temperatures(validation)
        validation = validation.tempered(temperatures.values)
    theta = choice.threshold
    if is_single:
        policy = Policy(None, choice.fallback, SINGLE_EXIT)
    elif not isinstance(theta, str | None):
        theta = theta if isinstance(theta, float | int) else tuple(theta)
        policy = Policy(theta, choice.fallback, confidence_measure=choice.confidence_measure)
    else:
        if validation is None:
            validation = _validation(predictions, run, reading)
        costs = None if run is None else run.description.get("exit_costs")
        policy = _choose(choice, validation, group, empty, costs=costs)
    return replace(policy, temperatures=temperatures)


def _choose(
    choice: Choice, validation: Predictions, group: str, empty: Empty, *, costs: Any
) -> Policy:
    """The policy with the threshold that a rule chooses; arguments as for `choose_policy`."""
    settings: dict[str, Any] = {
        "fallback": choice.fallback,
        "confidence_measure": choice.confidence_measure,
        "empty": empty,
        "costs": costs,
    }
    if choice.grid is not None:
        settings["thetas"] = choice.grid
    if choice.rule == RISK:
        return choose_by_risk(validation, group, choice.risk or Risk(), **settings)
    return choose_theta(
        validation,
        group,
        per_exit=choice.per_exit,
        rule=choice.rule,
        tolerance=choice.tolerance,
        **settings,
    )


def _validation(predictions: Predictions, run: Run | None, reading: Reading | None) -> Predictions:
    """The validation rows of a run, or of a table.

    Raises:
        UserError: there are none.
    """
    if run is not None:
        return stored_predictions(run, "val", reading)
    if "val" in predictions.splits:
        return predictions.of_split("val")
    raise UserError(
        "the threshold is chosen on validation, but this file has no rows of split 'val'; "
        f"set {option('threshold')} to a number"
    )


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
