"""Watch a deployed model: is the mix, the performance or a gap different from BASE?

Every quantity is a mean over clusters, or the difference of two. E-processes by betting (see
`fairexit.stats.betting`) compare it with BASE after each look, so that all looks together give a
false alarm with probability alpha at most. Each question has an equal share of alpha, and within a
question each quantity (Bonferroni).
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

from fairexit.auditing.settings import MIN_CLUSTERS
from fairexit.auditing.source import Source
from fairexit.metrics.counts import count
from fairexit.metrics.record import compute
from fairexit.monitoring.check_new import check_new, new_groups
from fairexit.monitoring.new_tables import NewTable
from fairexit.monitoring.quantities import quantities, tallies
from fairexit.monitoring.results import (
    MonitorFacts,
    MonitorResults,
    Quantity,
)
from fairexit.monitoring.settings import MonitorSettings
from fairexit.monitoring.stream import Ints, Stream, stream_of_base, stream_of_new
from fairexit.monitoring.watch import watch
from fairexit.progress import track
from fairexit.version import __version__

SHOWN = ("eopp1", "eopp1_weighted", "eodd", "eodd_weighted")
"""Metrics of gaps that are shown, without a test."""

LONG = 5_000
"""Quantities times looks above which progress is shown."""


def monitor_sources(
    base: Source, tables: Sequence[NewTable], attributes: Sequence[str], settings: MonitorSettings
) -> MonitorResults:
    """Watch every quantity.

    Args:
        base: answers of known quality.
        tables: later answers of the same model, in order, named as in BASE.
        attributes: the sensitive attributes.
        settings: the level, the tolerance, and when to look.
    Raises:
        UserError: the tables do not fit BASE or each other, see `check_new` and `stream_of_new`.
    """
    notes = check_new(base, tables)
    p = base.predictions
    names: dict[str, Any] = {
        "groups": {name: p.group(name)[1] for name in attributes},
        "classes": p.classes,
        "exits": p.exit_names,
    }
    for name in attributes:
        notes += new_groups(base, tables, name)
    before = stream_of_base(base, attributes)
    after, left_out = stream_of_new(
        base, tables, attributes, time=settings.time, every=settings.every
    )
    chosen, not_watched = _watchable(before, after, names)
    tests = {
        question: sum(quantity.question == question for quantity, _ in chosen)
        for question in dict.fromkeys(quantity.question for quantity, _ in chosen)
    }
    is_long = len(chosen) * len(after.look_names) > LONG
    watched = []
    for quantity, sides in track(chosen, "quantities", len(chosen)) if is_long else chosen:
        number = len(tests) * tests[quantity.question]
        new_sides = tallies(after, quantity, **names)
        watched.append(watch(quantity, sides, new_sides, tests=number, settings=settings))
    facts = MonitorFacts(
        base=base.name,
        new=tuple(table.source.name for table in tables),
        date=date.today().isoformat(),
        n=(len(before), len(after)),
        clusters=(len(before.looks), len(after.looks)),
        cluster_name=base.cluster_name,
        labelled=after.labels is not None,
        time=settings.time or "",
        looks=after.look_names,
        tests=tests,
        alpha=settings.alpha,
        tolerance=settings.tolerance,
        not_watched=tuple(not_watched),
        notes=tuple(dict.fromkeys([*_table_notes(base, tables), *notes, *left_out])),
        version=__version__,
        **names,
    )
    return MonitorResults(facts, tuple(watched), _metrics(before, after, names))


def _watchable(
    before: Stream, after: Stream, names: dict[str, Any]
) -> tuple[list[tuple[Quantity, list[Ints]]], list[Quantity]]:
    """The quantities with their tallies in BASE, and those with too few clusters there."""
    chosen, too_few = [], []
    for quantity in quantities(before, after, **names):
        sides = tallies(before, quantity, **names)
        if min(int(side[-1].sum()) for side in sides) >= MIN_CLUSTERS:
            chosen.append((quantity, sides))
        else:
            too_few.append(quantity)
    return chosen, too_few


def _table_notes(base: Source, tables: Sequence[NewTable]) -> list[str]:
    named = [f"{t.source.name}: {note}" for t in tables for note in t.source.predictions.notes]
    return [*base.predictions.notes, *named]


def _metrics(before: Stream, after: Stream, names: Any) -> dict[str, Any]:
    """Metrics of gaps in BASE and NEW; empty without labels."""
    if after.labels is None:
        return {}
    metrics = {}
    for attribute, groups in names["groups"].items():
        values = []
        for stream in (before, after):
            assert stream.labels is not None
            counts = count(
                stream.labels,
                stream.answers,
                stream.groups[attribute],
                num_classes=len(names["classes"]),
                num_groups=len(groups),
            )
            values.append(compute(counts, SHOWN))
        metrics[attribute] = {name: tuple(float(v[name]) for v in values) for name in SHOWN}
    return metrics
