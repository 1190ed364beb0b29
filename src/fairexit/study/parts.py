"""Divide a study into parts, which several processes make at the same time."""

import re
from collections.abc import Sequence
from dataclasses import replace

from fairexit.errors import UserError, option, short
from fairexit.study.plan import Planned, Study


def part_of(study: Study, part: str) -> Study:
    """The runs and searches of one part of a study.

    Parts depend on the study's file alone, and together they are the study. Runs that need each
    other are in the same part, so that none is made twice and none waits for another part. The
    largest groups of such runs are divided first, each to the part that has the fewest epochs.

    Args:
        study: the whole study.
        part: its number and the number of parts, such as `2/8`.
    Raises:
        UserError: the text has another form.
    """
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", part)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UserError(
            f"{option('part')} is '{short(part)}'; give the number of the part and that of all, "
            "such as 2/8"
        )
    number, total = int(match[1]) - 1, int(match[2])
    shares: list[list[Planned]] = [[] for _ in range(total)]
    loads = [0] * total
    for group in sorted(_groups(study.runs), key=_load, reverse=True):
        lightest = loads.index(min(loads))
        shares[lightest] += group
        loads[lightest] += _load(group)
    names = {run.name for run in shares[number]}
    # Counted over all rows: which searches are missing changes while the parts are made.
    cells = list(dict.fromkeys((run.dataset, run.row) for run in study.runs))
    searches = (s for s in study.searches if cells.index((s.dataset, s.row)) % total == number)
    return replace(
        study,
        part=part,
        runs=tuple(run for run in study.runs if run.name in names),
        searches=tuple(searches),
    )


def _load(runs: Sequence[Planned]) -> int:
    """Epochs of the runs; a pruning counts as one."""
    return sum(max(run.epochs, 1) for run in runs)


def _groups(runs: Sequence[Planned]) -> list[list[Planned]]:
    """The runs, grouped so that no run needs one of another group."""
    group_of = {run.name: {run.name} for run in runs}
    for run in runs:
        for name in run.needs:
            joined = group_of[run.name] | group_of[name]
            group_of |= dict.fromkeys(joined, joined)
    groups: dict[int, list[Planned]] = {}
    for run in runs:
        groups.setdefault(id(group_of[run.name]), []).append(run)
    return list(groups.values())
