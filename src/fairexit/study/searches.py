"""What a study searches for each of its rows, and how."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairexit.errors import UserError
from fairexit.evaluation.rules import DEFAULT_GAP, check_rule
from fairexit.search_space import Axis


@dataclass(frozen=True)
class TuneSettings:
    """The section `tune`: how every row is tuned before its runs, see `fairexit tune`.

    Attributes:
        trials: number of trials of every row.
        rule: how the best trial is chosen on validation.
        tolerance: loss of macro F1 that is allowed.
        seed: seed of the proposals.
    """

    trials: int = 8
    rule: str = DEFAULT_GAP
    tolerance: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise UserError(f"tune.trials is {self.trials}; it must be at least 1")
        try:
            check_rule(self.rule)
        except UserError as error:
            raise UserError(error.render("tune.{}".format)) from None


@dataclass(frozen=True)
class Search:
    """The search of one row.

    Attributes:
        dataset, row: its cell of the study.
        tree: the settings that are not searched.
        axes: the settings that are searched.
        out: its folder.
        how: number of trials, rule, tolerance and seed.
    """

    dataset: str
    row: str
    tree: dict[str, Any]
    axes: tuple[Axis, ...]
    out: Path
    how: TuneSettings

    @property
    def name(self) -> str:
        return f"{self.dataset}-{self.row}"
