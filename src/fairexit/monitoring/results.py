"""The results of a monitor as plain data."""

from dataclasses import dataclass

from fairexit.auditing.gap_results import Estimate

MIX, PERFORMANCE, GAP = "mix", "performance", "gap"
"""The questions of a monitor: is the mix, the performance, a gap different?"""

WORSE, CHANGED, QUIET = "worse", "changed", "no alarm"
"""Verdicts on a quantity."""


@dataclass(frozen=True)
class Quantity:
    """What is watched.

    Attributes:
        question: `MIX`, `PERFORMANCE` or `GAP`.
        measure: "group", "class", "answer" or "exit" for the share of one, "confidence",
            "accuracy", or "tpr" for the true positive rate of a class.
        attribute: the sensitive attribute, "" if all images count together.
        group: the group, "" for all. A gap is that of this group minus all others.
        name: the class or exit, "" for all.
    """

    question: str
    measure: str
    attribute: str = ""
    group: str = ""
    name: str = ""


@dataclass(frozen=True)
class Look:
    """What was known of a quantity after a look.

    Attributes:
        clusters: clusters of NEW behind it so far; of the smaller side of a gap.
        value: in NEW so far; NaN without a cluster.
        p_changed, p_worse: as in `Watched`, by this look.
    """

    clusters: int
    value: float
    p_changed: float
    p_worse: float


@dataclass(frozen=True)
class Watched:
    """A quantity in BASE and in NEW.

    Attributes:
        quantity: what it is.
        base: its value in BASE.
        base_clusters: clusters of BASE behind it.
        difference: NEW minus BASE after the last look. The intervals of all quantities and looks
            cover together; an interval is NaN if no single value fits all of NEW.
        p_changed: p-value of "as in BASE", over all looks so far and corrected for all quantities.
        p_worse: likewise of "not worse than BASE by more than the tolerance"; 1 for a quantity of
            the mix, which is neither better nor worse.
        verdict: `WORSE`, `CHANGED` or `QUIET`.
        alarm: index of the look that first gave the verdict; -1 without an alarm.
        looks: the trajectory, one for each look.
    """

    quantity: Quantity
    base: float
    base_clusters: int
    difference: Estimate
    p_changed: float
    p_worse: float
    verdict: str
    alarm: int
    looks: tuple[Look, ...]


@dataclass(frozen=True)
class MonitorFacts:
    """The tables and settings of a monitor.

    Attributes:
        base, new: names of the tables.
        date: day of the report, as YYYY-MM-DD.
        n, clusters: images and clusters of BASE and of NEW.
        cluster_name: the column of clusters, "" if every image is a cluster of its own.
        classes: class names.
        groups: attribute -> its groups in BASE.
        exits: exit names.
        labelled: whether NEW has true classes.
        time: the column of time, "" if the order of the rows is that of time.
        looks: names of the looks.
        tests: number of quantities of each question.
        alpha: allowed probability of any false alarm, however often one looks.
        tolerance: difference that is not called worse.
        not_watched: quantities with too few clusters in BASE.
        notes: what a reader should know about how the tables were read.
        version: of fairexit.
    """

    base: str
    new: tuple[str, ...]
    date: str
    n: tuple[int, int]
    clusters: tuple[int, int]
    cluster_name: str
    classes: tuple[str, ...]
    groups: dict[str, tuple[str, ...]]
    exits: tuple[str, ...]
    labelled: bool
    time: str
    looks: tuple[str, ...]
    tests: dict[str, int]
    alpha: float
    tolerance: float
    not_watched: tuple[Quantity, ...]
    notes: tuple[str, ...]
    version: str


@dataclass(frozen=True)
class MonitorResults:
    """What a monitor has seen after the last look.

    Attributes:
        facts: tables and settings.
        watched: every quantity, in the order of the questions.
        metrics: attribute -> metric of gaps -> value in BASE and in NEW, without a test; empty
            without labels.
    """

    facts: MonitorFacts
    watched: tuple[Watched, ...]
    metrics: dict[str, dict[str, tuple[float, float]]]

    @property
    def alarms(self) -> tuple[Watched, ...]:
        """The quantities that gave an alarm, what is worse first, then by time."""
        rows = [w for w in self.watched if w.verdict != QUIET]
        return tuple(sorted(rows, key=lambda w: (w.verdict != WORSE, w.alarm)))

    @property
    def is_worse(self) -> bool:
        """Whether anything is worse than in BASE by more than the tolerance."""
        return any(w.verdict == WORSE for w in self.watched)
