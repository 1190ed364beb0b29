"""How a table of predictions is read: the names of its columns and what their cells mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from fairexit.errors import UserError, nearest, option, short
from fairexit.tabular.groupings import Grouping
from fairexit.types import PROBABILITY, RESERVED

MAX_VALUES = 100
"""A column with more values than this is not an attribute unless the caller names it."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a table of predictions is read.

    Attributes:
        label, prediction, id, cluster, split: the names of columns.
        prob_prefix: what the names of the probability columns begin with, instead of `p/`; with ""
            the columns are called like the classes.
        prob: class -> the column of its probabilities, if the names have no common beginning.
        score: the column of the probabilities of `positive`, for two classes.
        positive: the class of the score.
        cut: the smallest score that is an answer `positive`; by default the answers in the column
            `prediction`, or 0.5 if there is none.
        logits: whether the numbers are logits, which become probabilities by softmax (a score by
            the logistic function).
        classes: the class names, in order; by default those that occur.
        drop_missing: whether rows without a label or an answer are left out; otherwise they are
            an error.
        bins, merge, min_group, unknown_values: how groups are made, see
            `fairexit.tabular.groupings.Grouping`.
    Raises:
        UserError: options exclude or need each other.
    """

    label: str = "label"
    prediction: str = "prediction"
    id: str = "id"
    cluster: str = "cluster"
    split: str = "split"
    prob_prefix: str | None = None
    prob: Mapping[str, str] = field(default_factory=dict)
    score: str | None = None
    positive: str | None = None
    cut: float | None = None
    logits: bool = False
    classes: Sequence[str] | None = None
    drop_missing: bool = False
    bins: Mapping[str, Sequence[float]] = field(default_factory=dict)
    merge: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    min_group: int = 0
    unknown_values: Sequence[str] = ()

    def __post_init__(self) -> None:
        ways = [
            name
            for name in ("prob_prefix", "prob", "score")
            if getattr(self, name) not in (None, {})
        ]
        if len(ways) > 1:
            names = " and ".join(map(option, ways))
            raise UserError(f"{names} exclude each other; give one of them")
        if self.score is not None and self.positive is None:
            raise UserError(
                f"{option('score')} needs {option('positive')}, the class whose probability it is"
            )
        if self.score is not None and self.classes is not None:
            raise UserError(
                f"{option('score')} is of two classes, so {option('classes')} has no meaning; "
                "leave it out"
            )
        if self.cut is not None and self.score is None:
            raise UserError(f"{option('cut')} needs {option('score')}, the column that is cut")
        _ = self.grouping  # is checked as it is made
        columns = {self.label, self.prediction, *([] if self.score is None else [self.score])}
        if len(columns) < 2 + (self.score is not None):
            raise UserError(
                f"{option('label')}, {option('prediction')} and {option('score')} must be "
                f"different columns, not '{short(self.label)}', '{short(self.prediction)}'"
            )
        if self.cut is not None and not 0 <= self.cut <= 1:
            raise UserError(f"{option('cut')} is {self.cut}; it must be between 0 and 1")

    @property
    def grouping(self) -> Grouping:
        """How groups are made."""
        return Grouping(self.bins, self.merge, self.min_group, self.unknown_values)

    @property
    def columns(self) -> dict[str, str]:
        """Meaning -> name, of the columns with one meaning."""
        names = {key: getattr(self, key) for key in MEANINGS}
        return names if self.score is None else names | {"score": self.score}

    def changed(self) -> list[str]:
        """The options about columns that are not at their defaults."""
        return [
            f.name
            for f in fields(self)
            if f.name not in OF_GROUPS and getattr(self, f.name) != getattr(Reading(), f.name)
        ]

    def check(self, names: Sequence[str]) -> None:
        """Raise a UserError if the label or a column with a name of the caller's is missing."""
        for key, name in [*self.columns.items(), *(("prob", c) for c in self.prob.values())]:
            named = name != getattr(_DEFAULTS, key, None)
            if name not in names and (named or key == "label"):
                raise UserError(
                    f"there is no column '{short(name)}'; {nearest(name, names)}; name the column "
                    f"with {option(key)}"
                )

    def probability_columns(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """Exit -> class -> column of its probabilities; empty if there are none.

        Raises:
            UserError: two columns are of the same class and exit, or no column has the prefix.
        """
        columns: dict[str, dict[str, str]] = {}
        for name in names:
            place = self._place(name)
            if place is None:
                continue
            exit_, class_ = place
            other = columns.setdefault(exit_, {}).setdefault(class_, name)
            if other != name:
                raise UserError(
                    f"columns '{short(other)}' and '{short(name)}' are both of class "
                    f"'{short(class_)}' at the final exit; leave one of them out"
                )
        if self.prob_prefix and not columns:
            raise UserError(
                f"no column begins with '{short(self.prob_prefix)}'; available: "
                f"{short(', '.join(names), 300)}"
            )
        return columns

    def _place(self, name: str) -> tuple[str, str] | None:
        """The exit and class whose probabilities a column holds."""
        if self.prob:
            classes = [class_ for class_, column in self.prob.items() if column == name]
            return ("f", classes[0]) if classes else None
        if self.score is not None or self.prob_prefix == "" or name in self.columns.values():
            return None
        if self.prob_prefix:
            starts = name.startswith(self.prob_prefix)
            return ("f", name.removeprefix(self.prob_prefix)) if starts else None
        match = PROBABILITY.fullmatch(name)
        return None if match is None else (match[1] or "f", match[2])

    def may_be_attribute(self, name: str) -> bool:
        """Whether a column may be an attribute because it has no other meaning."""
        special = name in RESERVED or name in self.columns.values() or name == ""
        return not special and self._place(name) is None


MEANINGS = ("label", "prediction", "id", "cluster", "split")
OF_GROUPS = ("bins", "merge", "min_group", "unknown_values", "drop_missing")
_DEFAULTS: Any = Reading()
