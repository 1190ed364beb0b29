"""Model against model on the same samples, in pairs: one seed each, or several."""

from collections.abc import Sequence

import numpy as np

from fairexit.auditing.found import Paired
from fairexit.auditing.pairs import draw_pairs
from fairexit.auditing.samples import Samples, Settings, estimates
from fairexit.auditing.source import Source
from fairexit.evaluation.counts import count
from fairexit.evaluation.metrics import compute

METRICS = (
    "accuracy",
    "balanced_accuracy",
    "f1",
    "f1_diff",
    "eopp0",
    "eopp1",
    "eodd",
    "eodd_usual",
    "worst_group_accuracy",
    "worst_group_recall",
    "worst_group_f1",
)


def compare(
    seeds: Sequence[Source], baselines: Sequence[Source], samples: Samples, settings: Settings
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
    arrays = (samples.labels, answers, samples.groups, samples.clusters, *samples.sizes)
    drawn = draw_pairs(
        *arrays,
        metrics=METRICS,
        draws=settings.draws,
        gap_draws=settings.gap_draws,
        seed=settings.seed,
    )
    number = len(seeds)
    mine, its = range(number), range(number, 2 * number)
    found = []
    for metric in METRICS:
        interval = drawn.difference(metric, mine, its, settings.level, settings.method)
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


def over_seeds(seeds: Sequence[Source], samples: Samples) -> dict[str, tuple[float, ...]]:
    """Every metric in each seed; empty with one seed."""
    if len(seeds) == 1:
        return {}
    answers = np.stack([source.answers[samples.rows] for source in seeds])
    values = compute(count(samples.labels, answers, samples.groups, *samples.sizes), METRICS)
    return {name: tuple(value.tolist()) for name, value in values.items()}
