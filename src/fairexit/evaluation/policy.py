"""The early-exit policy: at which exit samples leave, how it was chosen, and its file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from fairexit.errors import UserError, nearest, reason, short
from fairexit.evaluation.candidate import Candidate, ExitThetas, theta_of_json
from fairexit.evaluation.certificate import Certificate
from fairexit.evaluation.sets import PredictionSets
from fairexit.evaluation.temperatures import Temperatures
from fairexit.evaluation.theta import Fallback, check_fallback, check_theta
from fairexit.files import write_json
from fairexit.predictions.confidence import MAX_PROBABILITY, check_confidence_measure

BY_HAND = "by hand"
"""The rule of a theta that a person set."""
CHOSEN_POINT = "choose"
"""The rule of an operating point that was chosen among those of several runs."""
SINGLE_EXIT = "single exit"
"""The rule of a plain network, which has nothing to choose."""

_KINDS: dict[str, tuple[type, ...]] = {
    "fallback": (str,),
    "rule": (str,),
    "tolerance": (int, float, type(None)),
    "split": (str, type(None)),
    "group": (str, type(None)),
    "reason": (str,),
    "confidence_measure": (str,),
}
"""Key of `policy.json` -> the types of its value; theta and candidates are checked apart."""


@dataclass(frozen=True)
class Policy:
    """At which exit each sample leaves, and how that was chosen.

    Args:
        theta: confidence from which a sample leaves, one value for all internal exits or one for
            each, of which None means that no sample leaves there; with None alone every sample
            leaves at the final exit.
        fallback: the exit that answers if no exit reaches theta, "final" or "most_confident".
        rule: the rule that chose theta (see `choose_theta`), "by hand" for a theta that a person
            set, "choose" for one among the operating points of several runs, or, for a plain
            network, "single exit".
        tolerance: loss of macro F1 against the final exit that the rule allowed.
        split: the split on which theta was chosen.
        group: the attribute for which theta was chosen.
        reason: why the rule chose theta, as a clause; empty where no rule did.
        candidates: all among which the rule chose, the largest theta first and the final exit
            last; empty where no rule did.
        confidence_measure: what is compared with theta, a key of
            `fairexit.predictions.confidence.CONFIDENCE_MEASURES`. A file that does not name it is
            of the time when there was only the default.
        certificate: what is promised about theta, if the rule was "risk".
        sets: how sets of classes are made, and with them who is referred; None if nobody is.
        temperatures: by which each exit's logits are divided before anything else; None for none.
        compared: the runs among whose operating points this one was chosen; empty where a rule
            chose within one run.
    Raises:
        UserError: theta is not in (0, 1] or not one of the candidates, or the fallback or
            confidence measure is unknown.
    """

    theta: float | ExitThetas | None
    fallback: Fallback = "final"
    rule: str = BY_HAND
    tolerance: float | None = None
    split: str | None = None
    group: str | None = None
    reason: str = ""
    candidates: tuple[Candidate, ...] = ()
    confidence_measure: str = MAX_PROBABILITY
    certificate: Certificate | None = None
    sets: PredictionSets | None = None
    temperatures: Temperatures | None = None
    compared: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.theta is not None:
            check_theta(self.theta)
        if self.theta is not None and not isinstance(self.theta, tuple):
            object.__setattr__(self, "theta", float(self.theta))
        check_fallback(self.fallback)
        check_confidence_measure(self.confidence_measure)
        if self.candidates and sum(c.theta == self.theta for c in self.candidates) != 1:
            raise UserError("theta is not one of the candidates of the policy; choose it again")

    @property
    def temperature_values(self) -> tuple[float, ...]:
        """The temperature of each exit, (E,); empty if there are none."""
        return () if self.temperatures is None else self.temperatures.values

    def answers_as(self, other: "Policy") -> bool:
        """Whether every sample leaves at the same exit as under another policy."""
        names = ("theta", "fallback", "confidence_measure", "temperature_values")
        return all(getattr(self, name) == getattr(other, name) for name in names)

    def to_dict(self) -> dict[str, Any]:
        """The fields, for JSON."""
        lists = {"candidates": [asdict(c) for c in self.candidates], "compared": [*self.compared]}
        return asdict(self) | lists

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Policy":
        """The policy with the fields that `to_dict` returned.

        Raises:
            UserError: a key is missing or unknown, or a value does not fit.
        """
        known = [field.name for field in fields(cls)]
        for key in values:
            if key not in known:
                raise UserError(f"a policy has no key '{short(key)}'; {nearest(key, known)}")
        if "theta" not in values:
            raise UserError("the policy lacks the key 'theta'")
        for key, kinds in _KINDS.items():
            if key in values and type(values[key]) not in kinds:
                raise UserError(
                    f"{key} is {short(repr(values[key]))}, which is not what a policy holds there"
                )
        candidates = values.get("candidates", ())
        if not isinstance(candidates, list | tuple):
            raise UserError(f"candidates is {short(repr(candidates))}; it must be a list")
        certificate, sets = values.get("certificate"), values.get("sets")
        temperatures = values.get("temperatures")
        compared = values.get("compared", ())
        is_list = isinstance(compared, list | tuple)
        if not is_list or not all(isinstance(name, str) for name in compared):
            raise UserError(f"compared is {short(repr(compared))}; it must be a list of names")
        changed = {
            "theta": theta_of_json(values["theta"]),
            "compared": tuple(compared),
            "candidates": tuple(map(Candidate.from_dict, candidates)),
            "certificate": None if certificate is None else Certificate.from_dict(certificate),
            "sets": None if sets is None else PredictionSets.from_dict(sets),
            "temperatures": None if temperatures is None else Temperatures.from_dict(temperatures),
        }
        return cls(**{**values, **changed})

    def save(self, path: str | Path) -> None:
        """Write `policy.json` atomically."""
        write_json(Path(path), self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> "Policy":
        """Read `policy.json`.

        Raises:
            UserError: the file cannot be read or holds no policy.
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
            if not isinstance(values, dict):
                raise UserError("the file does not hold a policy")
            return cls.from_dict(values)
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}") from None
        except UserError as error:
            raise error.at(str(path)) from None
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise UserError(f"{path} is not a policy: {short(reason(error))}") from None
