"""What is promised about a threshold, as the policy holds it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from fairexit.errors import UserError, short

LOSSES = {
    "error": "is wrong where the final exit is right",
    "disagreement": "differs from that of the final exit",
}
"""Name of a loss -> what the early answer of a bad image does."""

BOUNDS = ("binomial", "hoeffding-bentkus", "conformal")
"""How the promise is computed, see `fairexit.evaluation.risk.Risk`."""


@dataclass(frozen=True)
class Promise:
    """What the images of one group, or all, say about the chosen threshold.

    Attributes:
        name: of the group; "" for all images.
        images: number of images on validation.
        units: number of clusters (lesions, patients) that they come from.
        bad: sum of the clusters' losses: with the bound "binomial" the number of those with a bad
            image, otherwise the sum of their shares of bad images.
        bound: the smallest epsilon that these numbers could promise, with the probability of the
            certificate; for "conformal" the bound of the expected loss.
    """

    name: str
    images: int
    units: int
    bad: float
    bound: float

    @classmethod
    def from_dict(cls, values: Any) -> "Promise":
        """The promise with these fields; raises a UserError if they do not fit."""
        _check(values, cls, {"name": (str,), "images": (int,), "units": (int,)})
        return cls(**values)


@dataclass(frozen=True)
class Certificate:
    """The promise that comes with a threshold.

    With probability 1 - delta over validation sets, the expected loss of a cluster is at most
    epsilon in every group that is named. The promise is about images that are drawn as those of
    validation were.

    Attributes:
        loss: a key of `LOSSES`.
        epsilon: largest risk.
        delta: probability with which the promise may be broken.
        method: one of `BOUNDS`; with "conformal" the promise holds on average, whatever delta is.
        attribute: whose groups all have the promise; None if it is one for all images.
        promises: the numbers, one for each group.
        tested: number of thresholds that were tested, the safest first.
        date: day of the choice, as YYYY-MM-DD.
        data: SHA-256 of the validation images' ids, labels, groups and answers.
    """

    loss: str
    epsilon: float
    delta: float
    method: str
    attribute: str | None
    promises: tuple[Promise, ...]
    tested: int
    date: str
    data: str

    def __post_init__(self) -> None:
        if self.loss not in LOSSES or self.method not in BOUNDS:
            raise UserError("the certificate of the policy names an unknown loss or method")

    @classmethod
    def from_dict(cls, values: Any) -> "Certificate":
        """The certificate with these fields.

        Raises:
            UserError: a field is missing or unknown, or has another type.
        """
        kinds: dict[str, tuple[type, ...]] = {
            "loss": (str,), "method": (str,), "attribute": (str, type(None)), "tested": (int,),
            "date": (str,), "data": (str,), "promises": (list, tuple),
        }  # fmt: skip
        _check(values, cls, kinds)
        return cls(**{**values, "promises": tuple(map(Promise.from_dict, values["promises"]))})


def _check(values: Any, kind: type, kinds: Mapping[str, tuple[type, ...]]) -> None:
    """Raise a UserError unless the values have the fields of a class; the others are numbers."""
    names, what = [field.name for field in fields(kind)], kind.__name__.lower()
    if not isinstance(values, Mapping) or set(values) != set(names):
        raise UserError(f"a {what} of a policy must have the keys {', '.join(names)}")
    for name, value in values.items():
        if type(value) not in kinds.get(name, (int, float)):
            raise UserError(
                f"{name} of a {what} is {short(repr(value))}, which is not what a policy holds "
                "there"
            )
