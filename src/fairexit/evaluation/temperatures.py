"""The temperature of each exit, as a policy holds it."""

import math
from dataclasses import dataclass, fields
from typing import Any

from fairexit.errors import UserError
from fairexit.evaluation.policy_parts import check_fields


@dataclass(frozen=True)
class ExitTemperature:
    """The temperature of one exit, fitted on validation.

    Attributes:
        exit: name of the exit, "f" for the final one.
        value: the temperature; above 1 where the exit was too sure.
        low: lower end of its 95 % interval over clusters.
        high: upper end.
        loss_before: mean negative log-likelihood of validation without it, in nats.
        loss_after: the same with it.
    """

    exit: str
    value: float
    low: float
    high: float
    loss_before: float
    loss_after: float


@dataclass(frozen=True)
class Temperatures:
    """Temperatures of all exits.

    Attributes:
        images: number of validation images.
        clusters: number of lesions or patients that they come from.
        exits: one for each exit, the final one last.
    """

    images: int
    clusters: int
    exits: tuple[ExitTemperature, ...]

    @property
    def values(self) -> tuple[float, ...]:
        """The temperatures, (E,)."""
        return tuple(exit.value for exit in self.exits)

    @classmethod
    def from_dict(cls, values: Any) -> "Temperatures":
        """The temperatures with these fields.

        Raises:
            UserError: a field is missing or unknown, or a value is not a number above 0.
        """
        check_fields(values, cls, "temperatures")
        exits = values["exits"]
        if not isinstance(exits, list | tuple) or not exits:
            raise UserError("the temperatures of a policy must have a list of exits")
        for exit in exits:
            check_fields(exit, ExitTemperature, "temperatures")
            numbers = [exit[f.name] for f in fields(ExitTemperature) if f.name != "exit"]
            is_number = all(type(v) in (int, float) and math.isfinite(v) for v in numbers)
            if not is_number or exit["value"] <= 0:
                raise UserError("a temperature of a policy is not a number above 0")
        return cls(
            values["images"],
            values["clusters"],
            tuple(ExitTemperature(**exit) for exit in exits),
        )
