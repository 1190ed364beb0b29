"""The early-exit policy: at which exit samples leave, how it was chosen, and its file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError, nearest, reason, short
from fairexit.files import write_atomically

Fallback = Literal["final", "most_confident"]
Theta = float | Sequence[float]

FALLBACKS = ("final", "most_confident")
_KINDS: dict[str, tuple[type, ...]] = {
    "fallback": (str,),
    "rule": (str,),
    "tolerance": (int, float, type(None)),
    "split": (str, type(None)),
    "group": (str, type(None)),
}
"""Key of `policy.json` -> the types of its value; theta is checked apart."""


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
    Raises:
        UserError: theta is not in (0, 1], or the fallback is unknown.
    """

    theta: float | tuple[float, ...] | None
    fallback: Fallback = "final"
    rule: str = "given"
    tolerance: float | None = None
    split: str | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        if self.theta is not None:
            check_theta(self.theta)
        if self.theta is not None and not isinstance(self.theta, tuple):
            object.__setattr__(self, "theta", float(self.theta))
        check_fallback(self.fallback)

    def to_dict(self) -> dict[str, Any]:
        """The fields, for JSON."""
        return asdict(self)

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
        several = theta if isinstance(theta, list) else [theta]
        if theta is not None and not all(type(value) in (int, float) for value in several):
            raise UserError(
                f"theta is {short(repr(theta))}; it must be a number, a list of numbers or null"
            )
        for key, kinds in _KINDS.items():
            if key in values and type(values[key]) not in kinds:
                raise UserError(
                    f"{key} is {short(repr(values[key]))}, which is not what a policy holds there"
                )
        return cls(**{**values, "theta": tuple(theta) if isinstance(theta, list) else theta})

    def save(self, path: str | Path) -> None:
        """Write `policy.json` atomically."""
        write_atomically(Path(path), json.dumps(self.to_dict(), indent=2) + "\n")

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
