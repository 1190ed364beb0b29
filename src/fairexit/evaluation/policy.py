"""The early-exit policy: who leaves where, how that was decided, and its file."""

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


@dataclass(frozen=True)
class Policy:
    """Who leaves where, and how that was decided.

    Args:
        theta: confidence at which a sample leaves; one for all internal exits, or one for each;
            None: every sample leaves at the final exit.
        fallback: with no confident exit answers the "final" or the "most_confident" one.
        rule: the rule that chose theta (see `choose_theta`), "given", or, for a plain network,
            "single exit".
        tolerance: loss of macro F1 against the final exit that the rule allowed.
        split: the split that it was chosen on.
        group: the attribute that it was chosen for.
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
        """The policy that `to_dict` gave.

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
        return cls(**{**values, "theta": tuple(theta) if isinstance(theta, list) else theta})

    def save(self, path: str | Path) -> None:
        """Write `policy.json`; all of it or nothing."""
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
        except (TypeError, ValueError) as error:
            raise UserError(f"{path} is not a policy: {reason(error)}") from None


def check_theta(theta: Theta, dtype: type[np.floating[Any]] = np.float32) -> NDArray[Any]:
    """Theta as an array of `dtype`, after a look at its range."""
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
    """A `UserError` unless the name is known."""
    if fallback not in FALLBACKS:
        raise UserError(f"there is no fallback '{short(fallback)}'; {nearest(fallback, FALLBACKS)}")
