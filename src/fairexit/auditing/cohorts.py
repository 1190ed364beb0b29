"""The same model on two sets of samples: is the gap the same, and what explains a difference?

Gaps are signed here, one group minus all others, so that chance does not add to them and the
difference of two gaps is unbiased. Clusters of both cohorts are drawn independently. The part of a
difference in accuracy that comes from the mix of classes is found by direct standardisation
(Kitagawa 1955): the rates of this cohort at the mix of classes of the other one.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.estimates import agreeing, bounded, estimates
from fairexit.auditing.gap_results import Estimate
from fairexit.auditing.section_results import CohortComparison, CohortGap, CohortShift
from fairexit.auditing.settings import MIN_CLUSTERS, AuditSettings, verdict_on
from fairexit.auditing.source import Source
from fairexit.errors import UserError, short
from fairexit.metrics.rates import Values, ratio_known
from fairexit.predictions.data import Names
from fairexit.stats.intervals import Interval
from fairexit.stats.multiple import holm
from fairexit.stats.sample import Sample
from fairexit.stats.two_samples import Cells, Comparison, TwoSamples, draw_two

MAX_NUMBERS = 2**24
"""How many numbers the draws of a cohort may hold; with more groups and classes, fewer are made."""

SHIFT = ("here", "there", "difference", "mix", "performance")
"""The five values of a comparison, in the order in which functions give them."""


@dataclass(frozen=True, eq=False)
class _Pair:
    """Both cohorts with common names of groups and classes.

    Attributes:
        samples: here and there.
        groups, classes: names of all groups and classes of either.
        compared: indices of the groups that are large enough in both.
        drawn: draws of both.
        n_resamples: number of draws.
        shared: the classes that every compared group has in both cohorts, (C,).
    """

    samples: tuple[Sample, Sample]
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    compared: list[int]
    drawn: TwoSamples
    n_resamples: int
    shared: NDArray[np.bool_]


def compare_cohorts(
    here: Source,
    there: Source,
    attribute: str,
    *,
    positives: Sequence[str],
    settings: AuditSettings,
) -> CohortComparison:
    """Compare the gaps by one attribute in two cohorts.

    Args:
        here: the audited cohort.
        there: the same model's predictions of other samples.
        attribute: the sensitive attribute.
        positives: the classes whose true positive rates are compared, besides the accuracy.
        settings: number of draws, seed and levels.
    Raises:
        UserError: one of them lacks the attribute; see also `check_cohorts`.
    """
    check_cohorts(here, there, [attribute])
    pair = _pair(here, there, attribute, settings)
    counts = [sample.counts[0].sum(-1) for sample in pair.samples]
    n = np.stack([count.sum(-1) for count in counts], 1).tolist()
    clusters = np.stack([sample.clusters_by_group() for sample in pair.samples], 1).tolist()
    occurs = np.sum(counts, axis=(0, 1)) > 0
    return CohortComparison(
        attribute=attribute,
        here=here.name,
        there=there.name,
        n=dict(zip(pair.groups, map(tuple, n), strict=True)),
        clusters=dict(zip(pair.groups, map(tuple, clusters), strict=True)),
        left_out=tuple(name for g, name in enumerate(pair.groups) if g not in pair.compared),
        missing=tuple(pair.classes[c] for c in np.flatnonzero(occurs & ~pair.shared)),
        gaps=_gaps(pair, positives, settings),
        shifts=tuple(_shifts(pair, settings)),
        n_resamples=pair.n_resamples,
    )


def check_cohorts(here: Source, there: Source, attributes: Sequence[str]) -> None:
    """Raise a UserError if the cohorts share no class, hold the same samples, or one lacks groups.

    This takes no time, so that it can be done before a long audit.
    """
    for attribute in attributes:
        try:
            there.predictions.group(attribute)
        except UserError as error:
            raise error.at(there.name) from None
    a, b = here.predictions, there.predictions
    if not set(a.classes) & set(b.classes):
        raise UserError(
            f"{there.name} has none of the classes of {here.name}, such as '{short(a.classes[0])}'"
        )
    if len(a) == len(b) and all(
        (x == y).all() for x, y in ((a.ids, b.ids), (a.labels, b.labels), (a.clusters, b.clusters))
    ):
        raise UserError(f"{there.name} holds the same samples as {here.name}; give other samples")


def shared_samples(here: Source, there: Source) -> tuple[str, ...]:
    """A note if ids or clusters occur in both cohorts, which are then perhaps not independent."""
    a, b = here.predictions, there.predictions
    notes = []
    given = not are_numbers(a.ids) and not are_numbers(b.ids)
    for what, first, second in (("ids", a.ids, b.ids), ("clusters", a.clusters, b.clusters)):
        shared = np.setdiff1d(np.intersect1d(first, second), [""])
        if len(shared) and (given or what == "clusters"):
            notes.append(
                f"{len(shared)} {what} are in both {here.name} and {there.name}, such as "
                f"'{short(shared[0])}'; if they are the same people, the comparison of the two is "
                "not valid"
            )
    return tuple(notes)


def are_numbers(ids: Names) -> bool:
    """Whether ids are the numbers of the rows, as where a table has none."""
    return bool((ids == np.arange(1, len(ids) + 1).astype(str)).all())


def _pair(here: Source, there: Source, attribute: str, settings: AuditSettings) -> _Pair:
    sources = here, there
    classes = tuple(dict.fromkeys(name for s in sources for name in s.predictions.classes))
    names = [source.predictions.group(attribute)[1] for source in sources]
    groups = tuple(dict.fromkeys((*names[0], *names[1])))
    first, second = (_sample(source, attribute, groups, classes) for source in sources)
    smallest = np.minimum(first.clusters_by_group(), second.clusters_by_group())
    n_resamples = min(settings.n_resamples, max(200, MAX_NUMBERS // (len(groups) * len(classes))))
    compared = np.flatnonzero(smallest >= MIN_CLUSTERS)
    cells = np.stack([sample.counts[0].sum(-1)[compared] for sample in (first, second)])
    return _Pair(
        (first, second),
        groups,
        classes,
        compared.tolist(),
        draw_two(first, second, n_resamples=n_resamples, random_state=settings.random_state),
        n_resamples,
        np.asarray((cells > 0).all((0, 1))),
    )


def _sample(
    source: Source, attribute: str, groups: Sequence[str], classes: Sequence[str]
) -> Sample:
    """The samples of a cohort, with indices into common names of groups and classes."""
    p = source.predictions
    index, names = p.group(attribute)
    # The last entry is that of UNKNOWN, which is -1.
    group_index = np.array([*map(groups.index, names), -1])
    class_index = np.array([classes.index(name) for name in p.classes])
    return Sample(
        labels=class_index[p.labels],
        answers=class_index[source.answers][None],
        groups=group_index[index],
        clusters=p.clusters,
        num_classes=len(classes),
        num_groups=len(groups),
    )


def accuracy_shift(here: Cells, there: Cells, shared: NDArray[np.bool_]) -> Values:
    """Accuracy here and there, their difference, and its two parts, (..., C) -> (..., 5).

    Args:
        here, there: cells of both cohorts.
        shared: the classes that are compared, (C,). NaN where a draw lacks one that has weight.
    """
    weights = [ratio_known(c.actual * shared, _sum(c.actual * shared)) for c in (here, there)]
    rates = [ratio_known(c.hits, c.actual) for c in (here, there)]
    first, standardised, second = (
        np.where(weights[w] == 0, 0.0, weights[w] * rates[r]).sum(-1)
        for w, r in ((0, 0), (1, 0), (1, 1))
    )
    parts = (first, second, second - first, standardised - first, second - standardised)
    return np.stack(np.broadcast_arrays(*parts), -1)


def rate_shift(here: Cells, there: Cells, c: int) -> Values:
    """As `accuracy_shift`, of the true positive rate of class c, (..., C) -> (..., 5).

    A rate of one class does not depend on the mix of classes, so that its part is 0.
    """
    first, second = np.broadcast_arrays(
        *(ratio_known(x.hits[..., c], x.actual[..., c]) for x in (here, there))
    )
    difference = second - first
    return np.stack([first, second, difference, np.zeros_like(difference), difference], -1)


def _sum(values: Values) -> Values:
    return values.sum(-1, keepdims=True)


def _of(cells: Cells, groups: Sequence[int]) -> Cells:
    """The cells of some groups together, (..., C)."""
    return Cells(*(part[..., groups, :].sum(-2) for part in cells))


def _gaps(pair: _Pair, positives: Sequence[str], settings: AuditSettings) -> tuple[CohortGap, ...]:
    """The signed gaps of each group that is compared, and their differences."""
    # With two groups, one gap is the other with its sign changed.
    members = pair.compared[: 1 if len(pair.compared) == 2 else None]
    if len(pair.compared) < 2:
        return ()
    rows = []
    for c in [None, *(pair.classes.index(name) for name in positives)]:
        for g in members:
            rest = [other for other in pair.compared if other != g]
            if c is not None and not _enough(pair, g, rest, c):
                continue
            interval, p_values = pair.drawn.compare(
                gap_of(g, rest, c, pair.shared), settings.confidence_level
            )
            values, p = _estimates(interval, limit=2), p_values[2]
            if c is not None:
                values[3] = Estimate(0.0, 0.0, 0.0)
            rows.append((c, g, values, math.nan if math.isnan(values[2].low) else float(p)))
    adjusted = holm(np.array([p for *_, p in rows])).tolist()
    gaps = []
    for (c, g, values, p), corrected in zip(rows, adjusted, strict=True):
        verdict = verdict_on(corrected, settings.alpha)
        values[2] = agreeing(values[2], verdict)
        gaps.append(
            CohortGap(
                group=pair.groups[g],
                measure="accuracy" if c is None else "tpr",
                name="" if c is None else pair.classes[c],
                **dict(zip(SHIFT, values, strict=True)),
                p_value=p,
                p_adjusted=corrected,
                verdict=verdict,
            )
        )
    return tuple(gaps)


def _enough(pair: _Pair, g: int, rest: Sequence[int], c: int) -> bool:
    """Whether a group and the others have enough clusters of a class in both cohorts."""
    behind = np.stack([sample.clusters_behind_rates()[0][:, c] for sample in pair.samples])
    return bool(
        (behind[:, g] >= MIN_CLUSTERS).all() and (behind[:, rest].sum(1) >= MIN_CLUSTERS).all()
    )


def gap_of(g: int, rest: Sequence[int], c: int | None, shared: NDArray[np.bool_]) -> Comparison:
    """The gap of a group here and there, their difference and its parts, as a function.

    Args:
        g: the group.
        rest: the groups that it is compared with.
        c: the class whose true positive rate is compared; None for the accuracy.
        shared: the classes in which accuracies are compared, (C,).
    """

    def gap(here: Cells, there: Cells) -> Values:
        of_group, of_rest = (
            accuracy_shift(_of(here, m), _of(there, m), shared)
            if c is None
            else rate_shift(_of(here, m), _of(there, m), c)
            for m in ([g], list(rest))
        )
        return of_group - of_rest

    return gap


def _shifts(pair: _Pair, settings: AuditSettings) -> Iterator[CohortShift]:
    """The difference in accuracy of all compared groups together, and of each."""
    if not pair.compared:
        return
    for name, members in [
        ("", pair.compared),
        *((pair.groups[g], [g]) for g in pair.compared),
    ]:

        def shift(here: Cells, there: Cells, members: list[int] = members) -> Values:
            return accuracy_shift(_of(here, members), _of(there, members), pair.shared)

        interval, _ = pair.drawn.compare(shift, settings.confidence_level)
        yield CohortShift(name, *_estimates(interval, limit=1))


def _estimates(interval: Interval, *, limit: float) -> list[Estimate]:
    """The values of a comparison as estimates; none lies beyond the limit."""
    return [bounded(value, -limit, limit) for value in estimates(interval).tolist()]
