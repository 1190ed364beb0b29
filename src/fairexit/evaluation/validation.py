"""What candidates for theta do on validation: answers, cost, metrics, and metrics in resamples."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairexit.evaluation.per_exit import AnyTheta
from fairexit.evaluation.theta import Fallback
from fairexit.evaluation.thresholds import select
from fairexit.metrics.collapse import COLLAPSED
from fairexit.metrics.counts import count_margins
from fairexit.metrics.rates import Empty, Values
from fairexit.metrics.record import compute
from fairexit.predictions.data import Predictions
from fairexit.stats.clusters import find_clusters
from fairexit.stats.resampling import measure, named_measures, resample
from fairexit.stats.sample import Sample

N_RESAMPLES = 400
"""Draws of validation behind standard errors and stability: errors are known to within 4 %."""


@dataclass(frozen=True, eq=False)
class Validation:
    """N validation samples of known group, and how they are answered.

    Attributes:
        samples: the samples.
        group: name of the sensitive attribute.
        fallback: as for `select`.
        confidence_measure: what is compared with theta.
        empty: value of a rate without samples, see `fairexit.metrics.rates`.
    """

    samples: Predictions
    group: str
    fallback: Fallback
    confidence_measure: str
    empty: Empty

    def depths(self, candidates: Sequence[AnyTheta]) -> NDArray[np.int64]:
        """Up to which exit each sample is computed under each of K candidates, (K, N).

        Until an exit is confident every exit is computed, whichever answers in the end.
        """
        confidence = self.samples.confidence(self.confidence_measure)
        return np.stack([select(confidence, theta) for theta in candidates])

    def answers(self, candidates: Sequence[AnyTheta]) -> NDArray[np.int64]:
        """Predicted classes under each of K candidates, (K, N)."""
        confidence = self.samples.confidence(self.confidence_measure)
        exits = (select(confidence, theta, self.fallback) for theta in candidates)
        return np.stack([self.samples.answers_at(exit) for exit in exits])

    def values(self, answers: NDArray[np.int64], names: Collection[str]) -> dict[str, Values]:
        """Metric -> its value for each candidate, (K,), from their answers (K, N)."""
        samples = self.samples
        margins = count_margins(
            samples.labels,
            answers,
            samples.attributes[self.group],
            num_classes=len(samples.classes),
            num_groups=len(samples.group_names[self.group]),
        )
        return compute(margins, sorted(names), self.empty)

    def draws(
        self, answers: NDArray[np.int64], names: Collection[str]
    ) -> tuple[dict[str, Values], dict[str, Values]]:
        """Metrics of K candidates, (K,), and in each of B draws of whole clusters, (B, K).

        Args:
            answers: predicted classes under each candidate, (K, N).
            names: of the metrics.
        """
        clusters = find_clusters(self._sample(answers))
        measures = named_measures(sorted(names), self.empty)
        rng = np.random.default_rng(0)
        draws = resample(clusters.number, clusters.group, N_RESAMPLES, rng, width=clusters.width)
        values = measure(clusters, [clusters.number[None]], measures)
        drawn = measure(clusters, draws, measures)
        return {name: value[0] for name, value in values.items()}, drawn

    def _sample(self, answers: NDArray[np.int64]) -> Sample:
        samples = self.samples
        return Sample(
            labels=samples.labels,
            answers=answers,
            groups=samples.attributes[self.group],
            clusters=samples.clusters,
            num_classes=len(samples.classes),
            num_groups=len(samples.group_names[self.group]),
        )


def usable(answers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of K candidates have not collapsed to one class, (K,), by their answers (K, N)."""
    return np.array([_main_share(answer) < COLLAPSED for answer in answers])


def _main_share(answers: NDArray[np.int64]) -> float:
    """The largest share of answers (N,) that one class has; 0 without any."""
    return float(np.bincount(answers).max() / len(answers)) if len(answers) else 0.0
