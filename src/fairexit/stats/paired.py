"""Two kinds of models on the same samples: the same draws for both, gaps by inversion.

A bootstrap adds to a gap what chance has added to it already, and more to that of the less accurate
model; see `fairexit.stats.inversion`. All other metrics are safe with it.
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
    """Draws of R models of which some are one kind, some another, a model for each seed."""

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
        """The mean over seeds of one kind minus the other's, with a paired interval.

        Args:
            name: one of the metrics that were drawn.
            models: the kind's models, one for each of S seeds.
            baseline: the other kind's, in the same order of seeds.
            confidence_level: coverage, in (0, 1).
            method: of the interval with one seed; with several it is over the seeds, too.
        Raises:
            UserError: an unknown name or method, a confidence level out of range, kinds of
                different lengths.
        """
        if name in self.gaps.point:
            return self.gaps.difference(name, models, baseline, confidence_level)
        if len(models) == len(baseline) == 1:
            return self.scores.difference(
                name, models[0], baseline[0], confidence_level=confidence_level, method=method
            )
        return self.scores.over_seeds(name, models, baseline, confidence_level)

    def point(self, name: str) -> Values:
        """On the samples themselves, (R, ...)."""
        return {**self.scores.point, **self.gaps.point}[name]

    def draws(self, name: str) -> Values:
        """In draws from populations like the samples, (B, R, ...)."""
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
    """Draw all metrics of all models; arguments and errors as for `bootstrap` and `invert`."""
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
