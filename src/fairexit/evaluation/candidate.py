"""What a theta among which a rule chose does on validation."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from fairexit.errors import UserError, short

ExitThetas = tuple[float | None, ...]
"""A theta for each internal exit, None where no sample leaves."""


@dataclass(frozen=True)
class Candidate:
    """What a theta among which a rule chose does on validation; None where a value is not known.

    Attributes:
        theta: one for all internal exits or one for each; None for the final exit.
        chosen: share of the resamples of validation in which the same rule chooses it.
        early: share of the samples that leave before the final exit.
        cost: mean cost of a sample as a share of the full network's.
        f1: macro F1, mean over groups.
        eopp1: Eopp1.
        eodd: Eodd.
    """

    theta: float | ExitThetas | None
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
            is_known = _is_finite(value) or (value is None and name not in ("chosen", "early"))
            if name != "theta" and not is_known:
                raise UserError(
                    f"{name} of a candidate is {short(repr(value))}; it must be a number"
                )
        return cls(**{**values, "theta": theta_of_json(values["theta"])})


def theta_of_json(theta: Any) -> float | ExitThetas | None:
    """Theta as a file holds it, with a tuple in place of a list.

    Raises:
        UserError: it is neither a number, a list of numbers and nulls, nor null.
    """
    several = theta if isinstance(theta, list | tuple) else [theta]
    if not all(value is None or _is_finite(value) for value in several):
        raise UserError(
            f"theta is {short(repr(theta))}; it must be a number, a list of numbers or null"
        )
    return tuple(theta) if isinstance(theta, list) else theta


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < float("inf")
