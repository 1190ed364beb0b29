"""A method compared with a baseline on the same samples: the same draws for both.

Gaps are compared by inversion, because a bootstrap adds the bias of chance to a gap a second time,
and more to the gap of the less accurate model; see `fairexit.stats.inversion`. All other metrics
are compared by bootstrap.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fairexit.metrics.rates import Values
from fairexit.metrics.record import gaps
from fairexit.stats.bootstrap import Bootstrap, IntervalMethod, bootstrap
from fairexit.stats.intervals import Interval
from fairexit.stats.inversion import Inversion, invert
from fairexit.stats.resampling import Measures, named_measures
from fairexit.stats.sample import Sample


@dataclass(frozen=True, eq=False)
class Pairs:
    """Draws of R models: those of a method and of a baseline, one for each seed.

    Attributes:
        scores: draws of the metrics that do not compare groups.
        gaps: draws of the metrics that compare groups.
    """

    scores: Bootstrap
    gaps: Inversion

    def difference(
        self,
        name: str,
        models: Sequence[int],
        baseline: Sequence[int],
        *,
        confidence_level: float = 0.95,
        method: IntervalMethod = "bca",
    ) -> Interval:
        """The mean over seeds of the method minus that of the baseline, with a paired interval.

        Args:
            name: one of the metrics that were drawn.
            models: indices of the method's models, one for each of S seeds.
            baseline: indices of the baseline's models, in the same order of seeds.
            confidence_level: coverage, in (0, 1).
            method: of the interval for one seed; with several seeds the interval includes their
                variation and is a percentile interval.
        Raises:
            UserError: an unknown name or method, a confidence level out of range, or `models` and
                `baseline` of different lengths.
        """
        if name in self.gaps.point:
            return self.gaps.difference(name, models, baseline, confidence_level)
        if len(models) == len(baseline) == 1:
            return self.scores.difference(
                name, models[0], baseline[0], confidence_level=confidence_level, method=method
            )
        return self.scores.over_seeds(name, models, baseline, confidence_level)

    def point(self, name: str) -> Values:
        """The metric on the samples themselves, (R, ...)."""
        return {**self.scores.point, **self.gaps.point}[name]

    def draws(self, name: str) -> Values:
        """The metric in draws from a population like the sample, (B, R, ...)."""
        if name in self.gaps.point:
            last: Values = self.gaps.draws[name][-1]
            return last
        return self.scores.draws[name]


def draw_pairs(
    sample: Sample,
    *,
    metrics: Measures,
    n_resamples: int = 10_000,
    n_gap_resamples: int = 1_000,
    random_state: int = 0,
) -> Pairs:
    """Draw metrics of all models; arguments and errors as for `bootstrap` and `invert`.

    `n_resamples` is the number of draws of the bootstrap, `n_gap_resamples` that of the inversion.
    """
    measures = named_measures(metrics)
    inverted = {name: measure for name, measure in measures.items() if name in gaps()}
    scores = {name: measure for name, measure in measures.items() if name not in inverted}
    return Pairs(
        bootstrap(
            sample,
            metrics=scores,
            n_resamples=n_resamples if scores else 1,
            random_state=random_state,
        ),
        invert(
            sample,
            metrics=inverted,
            n_resamples=n_gap_resamples if inverted else 1,
            random_state=random_state,
        ),
    )
