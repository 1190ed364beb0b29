"""Answers in the order of time, one value for each cluster: what a monitor counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairexit.auditing.source import Source
from fairexit.cluster_index import cluster_index
from fairexit.errors import UserError, option
from fairexit.monitoring.new_tables import NewTable
from fairexit.monitoring.times import time_order
from fairexit.stats.betting import LEVELS
from fairexit.types import UNKNOWN

MAX_LOOKS = 1_000
"""Looks that a monitor takes at most."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Stream:
    """N images, each cluster with those of one visit, and the looks at them.

    Attributes:
        units: index of the cluster of each image, (N,), in the order of time.
        looks: index of the look that first sees a cluster, (K,).
        look_names: the T looks.
        answers: predicted classes, (N,).
        labels: true classes, (N,); None if they are not known.
        groups: attribute -> group among those of BASE, (N,), or UNKNOWN.
        exits: index of the exit that answered, (N,); None if it is not known.
        confidence: the largest probability, (N,); None if no probability is known.
    """

    units: Ints
    looks: Ints
    look_names: tuple[str, ...]
    answers: Ints
    labels: Ints | None
    groups: dict[str, Ints]
    exits: Ints | None
    confidence: NDArray[np.float64] | None

    def __len__(self) -> int:
        return len(self.units)

    def tally(self, images: NDArray[np.bool_], values: NDArray[Any]) -> Ints:
        """How often each value of a cluster has occurred until each look, (T, LEVELS + 1).

        A cluster's value is the mean over those of its images that are selected, as a multiple of
        1 / LEVELS; clusters without any are not counted.

        Args:
            images: mask, (N,).
            values: in [0, 1], (N,).
        """
        units = self.units[images]
        number = np.bincount(units, minlength=len(self.looks))
        total = np.bincount(units, values[images], minlength=len(self.looks))
        counted = number > 0
        level = np.rint(total[counted] / number[counted] * LEVELS).astype(np.int64)
        tally = np.zeros((len(self.look_names), LEVELS + 1), np.int64)
        np.add.at(tally, (self.looks[counted], level), 1)
        return tally.cumsum(0)


def stream_of_base(base: Source, attributes: Sequence[str]) -> Stream:
    """All images of BASE as one look; a cluster's value is the mean over all of its images."""
    p = base.predictions
    units = cluster_index(p.clusters)
    return Stream(
        units=units,
        looks=np.zeros(int(units.max()) + 1, np.int64),
        look_names=("BASE",),
        answers=base.answers,
        labels=p.labels,
        groups={name: p.attributes[name] for name in attributes},
        exits=base.exits if len(p.exit_names) > 1 else None,
        confidence=_confidence(base),
    )


def stream_of_new(
    base: Source,
    tables: Sequence[NewTable],
    attributes: Sequence[str],
    *,
    time: str | None,
    every: int | None,
) -> tuple[Stream, list[str]]:
    """The images of later tables in the order of time.

    A cluster enters once, with the images of its first visit: those of its first time, or without
    a column of time those that follow each other in the table.

    Args:
        base: the source of BASE.
        tables: the later tables, in order, with classes and groups named as in BASE.
        attributes: the sensitive attributes.
        time: the column of time, or None for the order of the rows.
        every: clusters between two looks; None for a look after each time, or after each table.
    Returns:
        The stream, and notes about images that are not in it.
    Raises:
        UserError: there are too many looks, or too few clusters for one.
    """
    sources = [table.source for table in tables]
    table = np.repeat(np.arange(len(tables)), [len(s.predictions) for s in sources])
    units = cluster_index(np.concatenate([s.predictions.clusters for s in sources]))
    names = tuple(source.name for source in sources)
    if time is None:
        order = np.arange(len(table))
        visits = np.cumsum(np.diff(table, prepend=-1) | np.diff(units, prepend=-1) != 0)
    else:
        times = np.concatenate([t.times for t in tables if t.times is not None])
        visits, names = time_order(times, time)
        order = np.argsort(visits, kind="stable")
    first = _first_visits(units[order], visits[order])
    notes = _later_images(int((~first).sum()), len(first))
    order = order[first]
    units = pd.factorize(units[order])[0].astype(np.int64)
    start = np.unique(units, return_index=True)[1]
    if every is not None:
        looks, names = _every(len(start), every)
    else:
        looks = (table if time is None else visits)[order][start]
    if len(names) > MAX_LOOKS:
        raise UserError(
            f"there would be {len(names):,} looks, and at most {MAX_LOOKS:,} are taken; give a "
            f"column of days or weeks as {option('time')}, or a larger {option('every')}"
        )
    if waiting := int((looks < 0).sum()):
        notes.append(f"the last {waiting} clusters wait for the next look")
    seen = (looks >= 0)[units]
    rows = order[seen]
    return Stream(
        units=units[seen],
        looks=looks[looks >= 0],
        look_names=names,
        answers=_joined([_classes(s, base)[s.answers] for s in sources])[rows],
        labels=_joined([_classes(s, base)[s.predictions.labels] for s in sources])[rows]
        if tables[0].labelled
        else None,
        groups={
            name: _joined([_groups(s, base, name) for s in sources])[rows] for name in attributes
        },
        exits=_rows([t.exits for t in tables], rows),
        confidence=_rows([_confidence(s) for s in sources], rows),
    ), notes


def _first_visits(units: Ints, visits: Ints) -> NDArray[np.bool_]:
    """Which images, in the order of time, are of the first visit of their cluster, (N,)."""
    number, first = np.unique(units, return_index=True)
    first_visit = np.empty(int(number.max()) + 1, np.int64)
    first_visit[number] = visits[first]
    return visits == first_visit[units]


def _later_images(left_out: int, n: int) -> list[str]:
    if not left_out:
        return []
    return [f"{left_out} of {n} images are of later visits of a cluster and are left out"]


def _every(clusters: int, every: int) -> tuple[Ints, tuple[str, ...]]:
    """The look of each cluster, -1 where too few follow for a look, and the names of the looks."""
    full = clusters // every
    if not full:
        raise UserError(
            f"there are {clusters} clusters, too few for a look after every {every}; wait for "
            f"more, or lower {option('every')}"
        )
    looks = np.arange(clusters) // every
    return np.where(looks < full, looks, -1), tuple(
        f"{(k + 1) * every:,} clusters" for k in range(full)
    )


def _classes(source: Source, base: Source) -> Ints:
    """The index in BASE of each class."""
    return np.array([base.predictions.classes.index(name) for name in source.predictions.classes])


def _groups(source: Source, base: Source, attribute: str) -> Ints:
    """The group of each image among those of BASE, (N,)."""
    known, p = base.predictions.group_names[attribute], source.predictions
    places = [known.index(n) if n in known else UNKNOWN for n in p.group_names[attribute]]
    return np.array([*places, UNKNOWN])[p.attributes[attribute]]


def _confidence(source: Source) -> NDArray[np.float64] | None:
    if source.predictions.hard:
        return None
    return source.probabilities.max(1).clip(0, 1).astype(np.float64)


def _rows(parts: Sequence[NDArray[Any] | None], rows: Ints) -> NDArray[Any] | None:
    """Rows of joined columns; None if one of them is not known."""
    known = [part for part in parts if part is not None]
    return _joined(known)[rows] if len(known) == len(parts) else None


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(parts)
