"""Who leaves where: exits by group, and whether the groups differ by more than chance."""

from collections import Counter
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.estimates import measured
from fairexit.auditing.results import Curve, ExitRow, Leaving
from fairexit.auditing.samples import AttributeSample
from fairexit.auditing.settings import AuditSettings, verdict_on
from fairexit.auditing.source import Source
from fairexit.evaluation.thresholds import sweep
from fairexit.metrics.counts import Margins
from fairexit.metrics.rates import Values, tpr
from fairexit.metrics.record import compute, main_metrics
from fairexit.stats.bootstrap import bootstrap
from fairexit.stats.permutation import permute
from fairexit.stats.sample import Sample

SHOWN = 8
CONFUSIONS = 3


def who_leaves(source: Source, samples: AttributeSample, settings: AuditSettings) -> Leaving:
    """Exit shares, accuracy and errors by group, and a test of the shares.

    Args:
        source: predictions of several exits under a policy.
        samples: of one attribute.
        settings: draws, permutations, level.
    """
    exits = source.exits[samples.rows]
    number, names, sample = len(source.predictions.exit_names), samples.groups, samples.sample
    right = sample.answers[0] == sample.labels
    # Exits in the place of classes: a sample that is right is given its exit, another one none.
    drawn = bootstrap(
        replace(
            sample,
            labels=exits,
            answers=np.where(right, exits, number)[None],
            num_classes=number + 1,
        ),
        metrics={"share": _shares, "right": tpr},
        n_resamples=settings.n_resamples,
        random_state=settings.random_state,
    )
    share, accuracy = (measured(drawn, name, settings) for name in ("share", "right"))
    costs = source.relative_costs
    rows = []
    for e, exit_name in enumerate(source.predictions.exit_names):
        for g, group in enumerate(names):
            here = (exits == e) & (sample.groups == g)
            rows.append(
                ExitRow(
                    exit_name,
                    group,
                    int(here.sum()),
                    share[g, e],
                    accuracy[g, e],
                    float("nan") if costs is None else float(costs[e]),
                    _confusions(samples, here & ~right),
                )
            )
    statistic, null_mean, p_value = _test(sample, exits, number, settings)
    first, last = _extremes(source, samples)
    mean_cost = {}
    if costs is not None:
        for g, group in enumerate(names):
            spent = costs[exits[sample.groups == g]]
            mean_cost[group] = float(spent.mean()) if len(spent) else float("nan")
    return Leaving(
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
    """Accuracy, fairness, exit shares and cost at many thresholds, for a reader to look at."""
    p = source.predictions
    lowest = 1 / len(p.classes)
    near_one = 1 - np.logspace(-1, -4, 31)
    theta = source.policy.theta
    used = [theta] if isinstance(theta, float) else []
    spread = [*np.linspace(lowest, 1, 41), *near_one, *used]
    thetas = np.unique(np.round(spread, 5).clip(lowest, 1))
    counts, share = sweep(p, attribute, thetas.tolist(), source.policy.fallback)
    metrics = compute(counts, main_metrics())
    sizes = counts.sum((-2, -1))[0]
    mean = np.einsum("tme,m->te", np.nan_to_num(share), sizes / sizes.sum())
    costs = source.relative_costs
    return Curve(
        thetas,
        metrics,
        {name: mean[:, e] for e, name in enumerate(p.exit_names)},
        np.empty(0) if costs is None else mean @ costs,
        theta if isinstance(theta, float) else float("nan"),
    )


def _shares(m: Margins) -> Values:
    """Share of each group that leaves at each exit, (..., M, E + 1)."""
    total = m.actual.sum(-1, keepdims=True)
    empty = np.full(m.actual.shape, np.nan)
    share: Values = np.divide(m.actual, total, out=empty, where=total > 0)
    return share


def _test(
    sample: Sample, exits: NDArray[np.int64], number: int, settings: AuditSettings
) -> tuple[float, float, float]:
    """How far the groups' exits lie apart within classes, its null mean and p-value."""
    num_classes, num_groups = sample.num_classes, sample.num_groups

    def apart(m: Margins) -> Values:
        # Answers are class and exit in one number, so the predicted margin is the whole tensor.
        left = m.predicted.reshape(*m.predicted.shape[:-1], num_classes, number)
        of_class = left.sum(-1, keepdims=True)
        share = np.divide(left, of_class, out=np.zeros(left.shape), where=of_class > 0)
        there = of_class[..., 0] > 0
        pairs = []
        for a, b in combinations(range(num_groups), 2):
            both = there[..., a, :] & there[..., b, :]
            weight = (of_class[..., a, :, 0] + of_class[..., b, :, 0]) * both
            distance = np.abs(share[..., a, :, :] - share[..., b, :, :]).sum(-1) / 2
            total = weight.sum(-1)
            mean = np.zeros(total.shape)
            pairs.append(np.divide((weight * distance).sum(-1), total, out=mean, where=total > 0))
        return np.max(pairs, axis=0)

    chance = permute(
        replace(
            sample,
            answers=(sample.labels * number + exits)[None],
            num_classes=num_classes * number,
        ),
        metrics={"apart": apart},
        n_resamples=settings.n_permutations,
        random_state=settings.random_state,
    )
    values = (chance.point["apart"], chance.null_mean("apart"), chance.p_value("apart"))
    statistic, null_mean, p_value = (float(value[0]) for value in values)
    return statistic, null_mean, p_value


def _confusions(
    samples: AttributeSample, wrong: NDArray[np.bool_]
) -> tuple[tuple[str, str, int], ...]:
    pairs = zip(
        samples.sample.labels[wrong].tolist(),
        samples.sample.answers[0][wrong].tolist(),
        strict=True,
    )
    return tuple(
        (samples.classes[label], samples.classes[answer], times)
        for (label, answer), times in Counter(sorted(pairs)).most_common(CONFUSIONS)
    )


def _extremes(source: Source, samples: AttributeSample) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ids that leave first and surest, and last and least sure."""
    order = np.lexsort((-source.probabilities.max(-1), source.exits))
    ids = source.predictions.ids[order][samples.rows[order]].tolist()
    return tuple(ids[:SHOWN]), tuple(reversed(ids[-SHOWN:]))
