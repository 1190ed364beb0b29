"""The searches of a study: every row is tuned on validation, with the same number of trials."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fairexit.config_files import build_config, build_section
from fairexit.errors import UserError
from fairexit.files import read_json, read_yaml, write_json
from fairexit.study.rows import Best, merge
from fairexit.study.searches import Search, TuneSettings

FOLDER = "tuning"
"""Folder of the searches in that of the study."""

CHOSEN_BY = "chosen_by.json"
"""Written when a search is finished: number of trials, rule and tolerance."""


def result_of(search: Search) -> Best | None:
    """The best settings; none of them where every trial is marked; None if trials are missing.

    Raises:
        UserError: the folder holds a search with other settings.
    """
    from fairexit.study.search import check_search, search_stamp

    file = search.out / "search.json"
    if not file.is_file():
        return None
    hint = f"remove {search.out} to search again"
    stamp = search_stamp(build_config(search.tree), search.axes, search.how.seed)
    check_search(file, stamp, hint)
    chosen_by = search.out / CHOSEN_BY
    if not chosen_by.is_file() or read_json(chosen_by, hint) != _chosen_by(search):
        return None
    best = search.out / "best.yaml"
    if not best.is_file():
        return Best(search.how.trials, {})
    result: Best = build_section(str(best), Best, read_yaml(best))
    return result if result.trials == search.how.trials else None


def run_search(search: Search) -> None:
    """Make the trials that are missing, one after the other."""
    from fairexit.study.search import search as make_trials

    how = search.how
    make_trials(
        search.tree,
        search.axes,
        search.out,
        trials=how.trials,
        rule=how.rule,
        tolerance=how.tolerance,
        seed=how.seed,
    )
    write_json(search.out / CHOSEN_BY, _chosen_by(search))


def report(search: Search) -> str:
    """What a finished search has found, in one line."""
    best = result_of(search)
    if best is None or not best.settings:
        return f"{search.row}: every trial is marked, so the row keeps its settings"
    chosen = ", ".join(f"{key} {_text(value)}" for key, value in best.settings.items())
    return f"{search.dataset}: {search.row} is tuned: {chosen}"


def _chosen_by(search: Search) -> dict[str, Any]:
    """What decides, beside the trials themselves, which one is the best."""
    how = search.how
    return {"trials": how.trials, "rule": how.rule, "tolerance": how.tolerance}


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
            best = result_of(search)
            trials[row] = how.trials
            if best is None:
                missing.append(search)
            else:
                of_dataset[row] = {**changes, **best.settings}
    return missing


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
