"""The early-exit policy: at which exit samples leave, how it was chosen, and its file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError, nearest, reason, short
from fairexit.files import write_json

Fallback = Literal["final", "most_confident"]
Theta = float | Sequence[float]

FALLBACKS = ("final", "most_confident")
_KINDS: dict[str, tuple[type, ...]] = {
    "fallback": (str,),
    "rule": (str,),
    "tolerance": (int, float, type(None)),
    "split": (str, type(None)),
    "group": (str, type(None)),
    "reason": (str,),
}
"""Key of `policy.json` -> the types of its value; theta and candidates are checked apart."""


@dataclass(frozen=True)
class Candidate:
    """What a theta among which a rule chose does on validation; None where a value is not known.

    Attributes:
        theta: None for the final exit.
        chosen: share of the resamples of validation in which the same rule chooses it.
        early: share of the samples that leave before the final exit.
        cost: mean cost of a sample as a share of the full network's.
        f1: macro F1, mean over groups.
        eopp1: Eopp1.
        eodd: Eodd.
    """

    theta: float | None
    chosen: float
    early: float
    cost: float | None
    f1: float | None
    eopp1: float | None
    eodd: float | None

    @classmethod
    def from_dict(cls, values: Any) -> "Candidate":
        """The candidate with these fields.

        Raises:
            UserError: a field is missing or unknown, or is not a finite number where it must be.
        """
        names = [field.name for field in fields(cls)]
        if not isinstance(values, Mapping) or set(values) != set(names):
            raise UserError(f"each candidate of a policy must have the keys {', '.join(names)}")
        for name, value in values.items():
            finite = type(value) in (int, float) and abs(value) < float("inf")
            if not finite and (value is not None or name in ("chosen", "early")):
                raise UserError(
                    f"{name} of a candidate is {short(repr(value))}; it must be a number"
                )
        return cls(**values)


@dataclass(frozen=True)
class Policy:
    """At which exit each sample leaves, and how that was chosen.

    Args:
        theta: confidence from which a sample leaves, one value for all internal exits or one for
            each; with None every sample leaves at the final exit.
        fallback: the exit that answers if no exit reaches theta, "final" or "most_confident".
        rule: the rule that chose theta (see `choose_theta`), "given", or, for a plain network,
            "single exit".
        tolerance: loss of macro F1 against the final exit that the rule allowed.
        split: the split on which theta was chosen.
        group: the attribute for which theta was chosen.
        reason: why the rule chose theta, as a clause; empty where no rule did.
        candidates: all among which the rule chose, the largest theta first and the final exit
            last; empty where no rule did.
    Raises:
        UserError: theta is not in (0, 1] or not one of the candidates, or the fallback is unknown.
    """

    theta: float | tuple[float, ...] | None
    fallback: Fallback = "final"
    rule: str = "given"
    tolerance: float | None = None
    split: str | None = None
    group: str | None = None
    reason: str = ""
    candidates: tuple[Candidate, ...] = ()

    def __post_init__(self) -> None:
        if self.theta is not None:
            check_theta(self.theta)
        if self.theta is not None and not isinstance(self.theta, tuple):
            object.__setattr__(self, "theta", float(self.theta))
        check_fallback(self.fallback)
        if self.candidates and sum(c.theta == self.theta for c in self.candidates) != 1:
            raise UserError("theta is not one of the candidates of the policy; choose it again")

    def to_dict(self) -> dict[str, Any]:
        """The fields, for JSON."""
        return asdict(self) | {"candidates": [asdict(c) for c in self.candidates]}

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
        theta = values["theta"]
        several = theta if isinstance(theta, list | tuple) else [theta]
        if theta is not None and not all(type(value) in (int, float) for value in several):
            raise UserError(
                f"theta is {short(repr(theta))}; it must be a number, a list of numbers or null"
            )
        for key, kinds in _KINDS.items():
            if key in values and type(values[key]) not in kinds:
                raise UserError(
                    f"{key} is {short(repr(values[key]))}, which is not what a policy holds there"
                )
        candidates = values.get("candidates", ())
        if not isinstance(candidates, list | tuple):
            raise UserError(f"candidates is {short(repr(candidates))}; it must be a list")
        changed = {
            "theta": tuple(theta) if isinstance(theta, list) else theta,
            "candidates": tuple(map(Candidate.from_dict, candidates)),
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


def theta_name(theta: float | None) -> str:
    """A candidate within a sentence.

    >>> theta_name(0.85), theta_name(None)
    ('0.85', 'the final exit')
    """
    return "the final exit" if theta is None else f"{theta:g}"


def check_theta(theta: Theta, dtype: type[np.floating[Any]] = np.float32) -> NDArray[Any]:
    """Theta as an array of `dtype`.

    Raises:
        UserError: there is no value, or one is not in (0, 1].
    """
    values = np.asarray(theta, np.float64)
    if not values.size:
        raise UserError("there is no threshold; give at least one, above 0 and at most 1")
    wrong = ~((values > 0) & (values <= 1))
    if wrong.any():
        raise UserError(
            f"threshold {values[wrong].flat[0]:g} is out of range; it must be above 0 and at most 1"
        )
    return values.astype(dtype)


def check_fallback(fallback: str) -> None:
    """Raise a UserError if the name of the fallback is unknown."""
    if fallback not in FALLBACKS:
        raise UserError(f"there is no fallback '{short(fallback)}'; {nearest(fallback, FALLBACKS)}")
