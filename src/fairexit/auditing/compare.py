"""Model against model on the same samples, in pairs: one seed each, or several."""

from collections.abc import Sequence

import numpy as np

from fairexit.auditing.estimates import estimates
from fairexit.auditing.results import Paired
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
    """Differences to the baseline, every draw the same clusters for both.

    With several seeds the mean difference is drawn over seeds as well, so that the interval speaks
    of another training run and not only of other samples.

    Args:
        seeds: the audited model, one source for each seed, all on the same samples.
        baselines: the baseline, likewise and as many.
        samples: of one attribute.
        settings: draws, seed, level, method.
    """
    answers = np.stack([source.answers[samples.rows] for source in (*seeds, *baselines)])
    drawn = draw_pairs(
        samples.sample.with_answers(answers),
        metrics=[*METRICS],
        n_resamples=settings.n_resamples,
        n_gap_resamples=settings.n_gap_resamples,
        random_state=settings.random_state,
    )
    number = len(seeds)
    mine, its = range(number), range(number, 2 * number)
    found = []
    for metric in METRICS:
        interval = drawn.difference(
            metric,
            mine,
            its,
            confidence_level=settings.confidence_level,
            method=settings.method,
        )
        point = drawn.point(metric)
        values, base = point[:number], point[number:]
        found.append(
            Paired(
                metric,
                float(values.mean()),
                float(base.mean()),
                estimates(
                    interval, exact=bool((answers[:number] == answers[number:]).all())
                ).item(),
                tuple(values.tolist()),
                tuple(base.tolist()),
            )
        )
    return tuple(found)


def over_seeds(seeds: Sequence[Source], samples: AttributeSample) -> dict[str, tuple[float, ...]]:
    """Every metric in each seed; empty with one seed."""
    if len(seeds) == 1:
        return {}
    answers = np.stack([source.answers[samples.rows] for source in seeds])
    values = compute(samples.sample.with_answers(answers).counts)
    return {name: tuple(value.tolist()) for name, value in values.items()}
