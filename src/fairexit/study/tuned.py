"""The searches of a study: every row is tuned on validation, with the same number of trials."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairexit.config_files import build_config, build_section
from fairexit.errors import UserError
from fairexit.evaluation.rules import DEFAULT_GAP, check_rule
from fairexit.files import read_json, read_yaml
from fairexit.search_space import Axis
from fairexit.study.rows import Best, merge
from fairexit.terminal import note

FOLDER = "tuning"
"""Folder of the searches in that of the study."""


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

    def result(self) -> Best | None:
        """The best settings; none of them where every trial is marked; None if trials are missing.

        Raises:
            UserError: the folder holds a search with other settings.
        """
        from fairexit.study.search import search_stamp

        file = self.out / "search.json"
        if not file.is_file():
            return None
        hint = f"remove {self.out} to search again"
        stamp = search_stamp(build_config(self.tree), self.axes, self.how.seed)
        if read_json(file, hint) != json.loads(json.dumps(stamp)):
            raise UserError(f"{self.out} holds a search with other settings; {hint}")
        if self._made(hint) != self.how.trials:
            return None
        best = self.out / "best.yaml"
        if not best.is_file():
            return Best(self.how.trials, {})
        result: Best = build_section(str(best), Best, read_yaml(best))
        return result if result.trials == self.how.trials else None

    def _made(self, hint: str) -> int:
        """The number of trials that are made; raises a UserError if their file is damaged."""
        file = self.out / "trials.json"
        if not file.is_file():
            return 0
        try:
            return len(json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            raise UserError(f"{file} is damaged; {hint}") from None

    def run(self) -> None:
        """Make the trials that are missing."""
        from fairexit.study.search import search

        how = self.how
        best, _ = search(
            self.tree,
            self.axes,
            self.out,
            trials=how.trials,
            rule=how.rule,
            tolerance=how.tolerance,
            seed=how.seed,
        )
        if best is None:
            note(f"{self.row}: every trial is marked, so the row keeps its settings")
        else:
            chosen = ", ".join(f"{key} {_text(value)}" for key, value in best.settings.items())
            note(f"{self.dataset}: {self.row} is tuned: {chosen}")


def tuned_rows(
    rows: dict[str, dict[str, dict[str, Any]]],
    trials: dict[str, int],
    parts: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    how: TuneSettings,
    folder: Path,
) -> list[Search]:
    """Put the settings that were searched into the rows, and list the searches that are missing.

    Rows whose settings were searched elsewhere (`best`), and rows that have nothing to search, stay
    as they are.

    Args:
        rows: dataset -> row -> changed settings; changed in place.
        trials: row -> number of trials; changed in place.
        parts: dataset -> the settings under its rows, base first.
        how: the section `tune`.
        folder: folder of the searches.
    Raises:
        UserError: a folder holds a search with other settings, or `best` names another number of
            trials.
    """
    from fairexit.study.search import searchable

    for row, number in trials.items():
        if number != how.trials:
            raise UserError(
                f"tune.trials is {how.trials}, but row '{row}' was searched over {number} trials; "
                "every method must have the same number of trials"
            )
    elsewhere, missing = set(trials), []
    for dataset, of_dataset in rows.items():
        for row, changes in of_dataset.items():
            tree: dict[str, Any] = {}
            for part in (*parts[dataset], changes):
                tree = merge(tree, part)
            axes = () if row in elsewhere else searchable(build_config(tree))
            if not axes:
                continue
            search = Search(dataset, row, tree, axes, folder / dataset / row, how)
            best = search.result()
            trials[row] = how.trials
            if best is None:
                missing.append(search)
            else:
                of_dataset[row] = {**changes, **best.settings}
    return missing


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
