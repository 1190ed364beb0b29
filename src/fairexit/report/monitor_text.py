"""A monitor's results as sentences and tables."""

from collections.abc import Iterator

from fairexit.auditing.settings import MIN_CLUSTERS
from fairexit.evaluation.theta import exit_name
from fairexit.monitoring.results import (
    GAP,
    MIX,
    PERFORMANCE,
    QUIET,
    WORSE,
    MonitorFacts,
    MonitorResults,
    Quantity,
    Watched,
)
from fairexit.report.document import Section
from fairexit.report.vocabulary import (
    capital,
    decimal,
    has_interval,
    listed,
    metric_name,
    p_text,
    p_value,
    signed,
    signed_interval,
    units_of,
)
from fairexit.tables import Table

TITLES = {MIX: "The mix", PERFORMANCE: "The performance", GAP: "The gaps between groups"}

BRIEF = 1
"""Sections that the terminal shows if the page is written to a file."""


def quantity_name(quantity: Quantity, facts: MonitorFacts) -> str:
    """What is watched, as a noun phrase."""
    q = quantity
    if q.measure == "confidence":
        return "mean confidence"
    if q.question == MIX:
        return {
            "group": f"share of {q.attribute} {q.group}",
            "class": f"share of {q.name}",
            "answer": f"share answered {q.name}",
            "exit": f"share leaving at {exit_name(q.name)}",
        }[q.measure]
    what = "accuracy" if q.measure == "accuracy" else f"true positive rate of {q.name}"
    if q.question == PERFORMANCE:
        return f"{what} of {q.attribute} {q.group}" if q.group else what
    others = [group for group in facts.groups[q.attribute] if group != q.group]
    rest = others[0] if len(others) == 1 else "the others"
    return f"gap in {what}, {q.group} minus {rest}"


def summary(results: MonitorResults) -> tuple[str, ...]:
    """The answers to the three questions, then every alarm that says worse."""
    return (*_answers(results), *(_alarm(w, results.facts) for w in results.alarms[:5]))


def _answers(results: MonitorResults) -> Iterator[str]:
    facts = results.facts
    times = "once" if len(facts.looks) == 1 else f"{len(facts.looks)} times"
    seen = f"{facts.clusters[1]:,} {_units(facts)} of {listed(facts.new)}, looked at {times}"
    if results.is_worse:
        yield f"The model does worse than in {facts.base}, after {seen}."
    elif results.alarms:
        worse = f", but nothing is worse by more than {facts.tolerance:g}"
        yield (
            f"Something is different from {facts.base}, after {seen}"
            f"{worse if facts.labelled else ''}."
        )
    else:
        yield (
            f"No alarm after {seen}. This does not prove that nothing has changed: the "
            f"differences in the intervals below fit what was seen."
        )
    for question, number in facts.tests.items():
        alarms = [w for w in results.alarms if w.quantity.question == question]
        if alarms:
            names = listed([quantity_name(w.quantity, facts) for w in alarms])
            yield f"{TITLES[question]}: {len(alarms)} of {number} quantities differ: {names}."
        else:
            yield f"{TITLES[question]}: no alarm in {number} quantities."
    if not facts.labelled:
        yield (
            "The new tables have no labels, so only the mix of answers, confidences, exits and "
            "groups is watched: a fall in performance would not be seen."
        )


def _alarm(watched: Watched, facts: MonitorFacts) -> str:
    w, name = watched, capital(quantity_name(watched.quantity, facts))
    new = w.looks[-1].value
    since = f"first shown at look {w.alarm + 1} ({facts.looks[w.alarm]})"
    values = f"{decimal(w.base)} in {facts.base}, {decimal(new)} since"
    if w.verdict != WORSE:
        return f"{name}: {values}; different, {since}, {p_text(w.p_changed)}."
    how = "wider" if w.quantity.question == GAP else "worse"
    more = f" by more than {facts.tolerance:g}" if facts.tolerance else ""
    return f"{name}: {values}; {how}{more}, {since}, {p_text(w.p_worse)}."


def verdict_text(watched: Watched, facts: MonitorFacts) -> str:
    """The verdict with the look that gave it."""
    w = watched
    if w.verdict == QUIET:
        return QUIET
    word = "wider" if w.verdict == WORSE and w.quantity.question == GAP else w.verdict
    return f"{word} (look {w.alarm + 1}: {facts.looks[w.alarm]})"


def sections(results: MonitorResults) -> list[Section]:
    """The whole report, the most important first."""
    facts = results.facts
    return [
        Section("Summary", summary(results)),
        *(
            Section(TITLES[question], (), (quantity_table(results, question),))
            for question in facts.tests
        ),
        *(
            [Section("Metrics of gaps", METRICS_NOTE, metric_tables(results))]
            if results.metrics
            else []
        ),
        Section("The tables", tuple(table_points(facts))),
        Section("Method", tuple(method_points(facts))),
    ]


def quantity_table(results: MonitorResults, question: str) -> Table:
    """All quantities of a question: BASE, NEW, the difference and the verdict."""
    facts = results.facts
    columns = [
        capital(question),
        "Base",
        "New",
        "Difference",
        "p, different",
        *(["p, worse"] if question != MIX else []),
        "Verdict",
    ]
    rows = []
    for w in results.watched:
        if w.quantity.question == question:
            last = w.looks[-1]
            row = [
                capital(quantity_name(w.quantity, facts)),
                _with_clusters(w.base, w.base_clusters, facts),
                _with_clusters(last.value, last.clusters, facts),
                signed_interval(w.difference) if has_interval(w.difference) else _varies(w),
                p_value(w.p_changed),
                *([p_value(w.p_worse)] if question != MIX else []),
                verdict_text(w, facts),
            ]
            rows.append(row)
    return Table(f"{TITLES[question]}, {facts.base} and since", columns, rows)


def _with_clusters(value: float, clusters: int, facts: MonitorFacts) -> str:
    return f"{decimal(value)} ({clusters:,} {_units(facts)})"


def _varies(watched: Watched) -> str:
    return f"{signed(watched.difference.value)} (varies over time)"


METRICS_NOTE = (
    "These are the values of the samples, without a test: chance alone makes every one of them "
    "larger than zero, and the more so the fewer samples there are. The tests are those of the "
    "gaps above, from which these metrics are made.",
)


def metric_tables(results: MonitorResults) -> list[Table]:
    """Eopp1 and Eodd, plain and by images, in BASE and NEW."""
    return [
        Table(
            f"By {attribute}",
            ["Metric", "Base", "New"],
            [[metric_name(name), decimal(a), decimal(b)] for name, (a, b) in values.items()],
        )
        for attribute, values in results.metrics.items()
    ]


def table_points(facts: MonitorFacts) -> Iterator[str]:
    """What was read, in which order, and what was left out."""
    for name, n, clusters in zip(
        (facts.base, listed(facts.new)), facts.n, facts.clusters, strict=True
    ):
        inside = f" of {clusters:,} {_units(facts)}" if facts.cluster_name else ""
        yield f"{name}: {n:,} images{inside}."
    order = f"the column '{facts.time}'" if facts.time else "the rows, table after table"
    yield f"The order of time is that of {order}. Looks: {listed(facts.looks)}."
    if facts.not_watched:
        names = listed([quantity_name(q, facts) for q in facts.not_watched])
        yield (
            f"Not watched, as {facts.base} has fewer than {MIN_CLUSTERS} {_units(facts)} behind "
            f"them: {names}."
        )
    yield from (f"{capital(note)}." for note in facts.notes)


def method_points(facts: MonitorFacts) -> Iterator[str]:
    """What the numbers mean."""
    yield (
        f"If nothing has changed, all looks together, however many there will be, give any alarm "
        f"with probability {facts.alpha:g} at most (e-processes by betting, Ville 1939, "
        "Waudby-Smith and Ramdas 2024)."
    )
    yield (
        f"p-values and intervals are corrected for the questions, which share {facts.alpha:g} "
        "equally, and for the quantities of each (Bonferroni). The uncertainty of "
        f"{facts.base} is in them."
    )
    yield (
        f"Every one of the {_units(facts)} counts once, with the mean over its images; a group or "
        "class with the mean over its images of that group or class."
    )
    if facts.labelled:
        yield (
            f"Worse: a rate is lower by more than {facts.tolerance:g}, or a gap is wider by more "
            f"than {facts.tolerance:g} on either side. Macro accuracy is the mean of the true "
            "positive rates: if it falls, one of them falls at least as much."
        )


def _units(facts: MonitorFacts) -> str:
    return units_of(facts.cluster_name)
