"""At which exit the samples of each group leave, and whether the groups differ beyond chance."""

from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.estimates import proportions
from fairexit.auditing.samples import AttributeSample
from fairexit.auditing.section_results import Curve, ExitRow, ExitUsage
from fairexit.auditing.settings import AuditSettings, verdict_on
from fairexit.auditing.source import Source
from fairexit.evaluation.thresholds import sweep
from fairexit.metrics.counts import Margins
from fairexit.metrics.rates import Values, ratio_known
from fairexit.metrics.record import compute, main_metrics
from fairexit.predictions.confidence import check_confidence_measure
from fairexit.stats.permutation import permute
from fairexit.stats.proportions import accuracies, true_positives
from fairexit.stats.sample import Sample

MAX_IDS = 8
"""Number of samples that are named as the first and the last to leave."""

MAX_PAIRED = 50
"""Groups up to which every pair is compared; pairs grow with their square."""

CONFUSIONS = 3
"""Number of confusions that are named for each exit and group."""


def measure_exits(source: Source, samples: AttributeSample, settings: AuditSettings) -> ExitUsage:
    """Exit shares, accuracy and errors by group, and a test of the shares.

    Args:
        source: predictions of several exits under a policy.
        samples: the samples of one attribute.
        settings: numbers of draws and permutations, levels.
    """
    exits = source.exits[samples.rows]
    number, names, sample = len(source.predictions.exit_names), samples.groups, samples.sample
    correct = sample.answers[0] == sample.labels
    # Exits take the place of classes: the "answer" of a correct sample is its exit, so that the
    # true positive rate of an exit is its accuracy; that of a wrong sample is none of the exits.
    by_exit = replace(
        sample,
        labels=exits,
        answers=np.where(correct, exits, number)[None],
        num_classes=number + 1,
    )
    accuracy = proportions(true_positives(by_exit, settings.confidence_level))
    share = [
        proportions(accuracies(_leaving(sample, exits == e), settings.confidence_level))
        for e in range(number)
    ]
    costs = source.relative_costs
    place = exits * len(names) + sample.groups
    leaving = np.bincount(place, minlength=number * len(names)).tolist()
    confusions = _confusions(samples, place, ~correct)
    rows = [
        ExitRow(
            exit_name,
            group,
            leaving[e * len(names) + g],
            share[e][g],
            accuracy[g, e],
            float("nan") if costs is None else float(costs[e]),
            confusions.get(e * len(names) + g, ()),
        )
        for e, exit_name in enumerate(source.predictions.exit_names)
        for g, group in enumerate(names)
    ]
    statistic, null_mean, p_value = _test(sample, exits, number, settings)
    first, last = _extremes(source, samples)
    mean_cost = {}
    if costs is not None:
        for g, group in enumerate(names):
            group_costs = costs[exits[sample.groups == g]]
            mean_cost[group] = float(group_costs.mean()) if len(group_costs) else float("nan")
    return ExitUsage(
        tuple(rows),
        mean_cost,
        source.cost_reason,
        statistic,
        null_mean,
        p_value,
        verdict_on(p_value, settings.alpha),
        first,
        last,
    )


def theta_curve(source: Source, attribute: str) -> Curve:
    """Accuracy, fairness, exit shares and cost at many thresholds, to look at only."""
    p = source.predictions
    policy = source.policy
    lowest = check_confidence_measure(policy.confidence_measure).lowest(len(p.classes))
    near_one = 1 - np.logspace(-1, -4, 31)
    theta = policy.theta
    used = [theta] if isinstance(theta, float) else []
    values = [*np.linspace(lowest, 1, 41), *near_one, *used]
    thetas = np.unique(np.round(values, 5).clip(max(lowest, 1e-5), 1))
    counts, share = sweep(
        p,
        attribute,
        thetas.tolist(),
        fallback=policy.fallback,
        confidence_measure=policy.confidence_measure,
    )
    metrics = compute(counts, main_metrics())
    sizes = counts.actual.sum(-1)[0]
    mean = np.einsum("tme,m->te", np.nan_to_num(share), sizes / sizes.sum())
    costs = source.relative_costs
    return Curve(
        thetas,
        metrics,
        {name: mean[:, e] for e, name in enumerate(p.exit_names)},
        np.empty(0) if costs is None else mean @ costs,
        theta if isinstance(theta, float) else float("nan"),
    )


def _leaving(sample: Sample, leaves: NDArray[np.bool_]) -> Sample:
    """A sample whose accuracy is the share of the samples that leave at one exit."""
    stays = (~leaves).astype(np.int64)
    return replace(sample, labels=np.zeros_like(stays), answers=stays[None], num_classes=2)


def _test(
    sample: Sample, exits: NDArray[np.int64], number: int, settings: AuditSettings
) -> tuple[float, float, float]:
    """Distance between the groups' exit shares within classes, its null mean and p-value.

    The distance is the total variation distance between the exit shares of two groups in a class,
    averaged over the classes that both groups have, weighted by their samples; the largest over all
    pairs of groups. More than `MAX_PAIRED` groups are each compared with all others together.

    Args:
        sample: N samples.
        exits: exit of each sample, (N,).
        number: number of exits.
        settings: number of permutations and random seed.
    """
    num_classes, num_groups = sample.num_classes, sample.num_groups

    def distance(m: Margins) -> Values:
        # Answers are class and exit as one number, so the predicted margin holds all counts.
        counts = m.predicted.reshape(*m.predicted.shape[:-1], num_classes, number)
        if num_groups > MAX_PAIRED:
            return _variation(counts, counts.sum(-3, keepdims=True) - counts).max(-1)
        pairs = combinations(range(num_groups), 2)
        return np.max([_variation(counts[..., a, :, :], counts[..., b, :, :]) for a, b in pairs], 0)

    permutation = permute(
        replace(
            sample,
            answers=(sample.labels * number + exits)[None],
            num_classes=num_classes * number,
        ),
        metrics={"distance": distance},
        n_resamples=settings.n_permutations,
        random_state=settings.random_state,
    )
    return (
        float(permutation.point["distance"][0]),
        float(permutation.null_mean("distance")[0]),
        float(permutation.p_value("distance")[0]),
    )


def _variation(a: NDArray[np.int64], b: NDArray[np.int64]) -> Values:
    """Distance between the exit shares of two groups, of counts (..., C, E) each."""
    totals = [counts.sum(-1, keepdims=True) for counts in (a, b)]
    share, other = (ratio_known(c, total, 0.0) for c, total in zip((a, b), totals, strict=True))
    both = (totals[0][..., 0] > 0) & (totals[1][..., 0] > 0)
    weight = (totals[0][..., 0] + totals[1][..., 0]) * both
    variation = np.abs(share - other).sum(-1) / 2
    return ratio_known((weight * variation).sum(-1), weight.sum(-1), 0.0)


def _confusions(
    samples: AttributeSample, place: NDArray[np.int64], wrong: NDArray[np.bool_]
) -> dict[int, tuple[tuple[str, str, int], ...]]:
    """The most frequent confusions at each place: true class, answer, number.

    Args:
        samples: N samples.
        place: exit and group of each sample as one number, (N,).
        wrong: which answers are wrong, (N,).
    """
    labels, answers = samples.sample.labels[wrong], samples.sample.answers[0][wrong]
    num_classes = len(samples.classes)
    cells, times = np.unique(
        (place[wrong] * num_classes + labels) * num_classes + answers, return_counts=True
    )
    order = np.lexsort((cells, -times, cells // num_classes**2))
    confusions: dict[int, tuple[tuple[str, str, int], ...]] = {}
    for cell, n in zip(cells[order].tolist(), times[order].tolist(), strict=True):
        where, pair = divmod(cell, num_classes**2)
        label, answer = (samples.classes[c] for c in divmod(pair, num_classes))
        if len(frequent := confusions.get(where, ())) < CONFUSIONS:
            confusions[where] = (*frequent, (label, answer, n))
    return confusions


def _extremes(source: Source, samples: AttributeSample) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ids of the samples that leave first with the highest and last with the lowest confidence."""
    confidence = source.predictions.confidence(source.policy.confidence_measure)
    order = np.lexsort((-confidence[np.arange(len(confidence)), source.exits], source.exits))
    order, ids = order[samples.rows[order]], source.predictions.ids
    return tuple(ids[order[:MAX_IDS]].tolist()), tuple(ids[order[: -MAX_IDS - 1 : -1]].tolist())
