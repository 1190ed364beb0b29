"""Paired comparison of a model with a baseline on the same samples, for one or several seeds."""

from collections.abc import Sequence

import numpy as np

from fairexit.auditing.estimates import bounded, estimates
from fairexit.auditing.gap_results import Paired
from fairexit.auditing.samples import AttributeSample
from fairexit.auditing.settings import AuditSettings
from fairexit.auditing.source import Source
from fairexit.metrics.record import METRICS, compute
from fairexit.stats.paired import draw_pairs


def compare(
    seeds: Sequence[Source],
    baselines: Sequence[Source],
    samples: AttributeSample,
    settings: AuditSettings,
) -> tuple[Paired, ...]:
    """Differences from the baseline, with the same clusters for both in every draw.

    With several seeds the interval of the mean difference includes the variation between seeds, so
    that it covers other training runs and not only other samples.

    Args:
        seeds: the audited model, one source for each seed, all on the same samples.
        baselines: the baseline, one source for each of the same seeds.
        samples: the samples of one attribute.
        settings: numbers of draws, random seed, confidence level, method.
    """
    answers = np.stack([source.answers[samples.rows] for source in (*seeds, *baselines)])
    drawn = draw_pairs(
        samples.sample.with_answers(answers),
        metrics=[*METRICS],
        n_resamples=settings.n_resamples,
        n_gap_resamples=settings.n_gap_resamples,
        random_state=settings.random_state,
        plant=True,
    )
    number = len(seeds)
    models, others = range(number), range(number, 2 * number)
    identical = bool((answers[:number] == answers[number:]).all())
    comparisons = []
    for metric in METRICS:
        contrast = drawn.contrast(metric, [(1, models), (-1, others)], method=settings.method)
        interval = contrast.interval(settings.confidence_level)
        point = drawn.point(metric)
        values, baseline_values = point[:number], point[number:]
        comparisons.append(
            Paired(
                metric,
                float(values.mean()),
                float(baseline_values.mean()),
                bounded(estimates(interval, exact=identical).item(), -1, 1),
                contrast.smallest(1 if METRICS[metric].higher_is_better else -1),
                tuple(values.tolist()),
                tuple(baseline_values.tolist()),
            )
        )
    return tuple(comparisons)


def over_seeds(seeds: Sequence[Source], samples: AttributeSample) -> dict[str, tuple[float, ...]]:
    """Metric -> value of each seed; empty with a single seed."""
    if len(seeds) == 1:
        return {}
    answers = np.stack([source.answers[samples.rows] for source in seeds])
    values = compute(samples.sample.with_answers(answers).counts)
    return {name: tuple(value.tolist()) for name, value in values.items()}
