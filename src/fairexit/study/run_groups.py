"""Runs of a study of which one line says the same."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from fairexit.study.plan import Planned, Study

Key = TypeVar("Key", bound=Hashable)


def grouped(keys: Iterable[Key]) -> dict[Key, list[int]]:
    """Key -> positions at which it stands, in the order of the first ones.

    >>> grouped("aba")
    {'a': [0, 2], 'b': [1]}
    """
    groups: dict[Key, list[int]] = {}
    for i, key in enumerate(keys):
        groups.setdefault(key, []).append(i)
    return groups


def describe(runs: Sequence[Planned], study: Study) -> str:
    """The name of a single run, or the number, rows, seeds and folds of several."""
    if len(runs) == 1:
        return runs[0].name
    rows = dict.fromkeys(run.row for run in runs)
    listed = "all rows" if {*study.rows} <= {*rows} else ", ".join(filter(None, rows))
    text = f"{len(runs)} runs of {listed}" if listed else f"{len(runs)} runs that are no row"
    if len(study.datasets) > 1:
        text += f" on {', '.join(dict.fromkeys(run.dataset for run in runs))}"
    seeds = sorted({run.seed for run in runs})
    folds = sorted({run.fold for run in runs if run.fold is not None})
    numbers = (("seed", seeds), ("fold", folds))
    parts = [f"{name}{'s' * (len(n) > 1)} {', '.join(map(str, n))}" for name, n in numbers if n]
    return f"{text} ({'; '.join(parts)})"


def by_reason(study: Study, failed: Mapping[str, str]) -> list[str]:
    """A line for each reason, which says of which runs it is true.

    Args:
        study: the study.
        failed: run -> why it failed.
    """
    runs = [run for run in study.runs if run.name in failed]
    groups = grouped(failed[run.name] for run in runs)
    return [f"{describe([runs[i] for i in at], study)}: {why}" for why, at in groups.items()]
