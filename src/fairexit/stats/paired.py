"""A method compared with a baseline on the same samples: the same draws for both.

Gaps are compared by inversion, because a bootstrap adds the bias of chance to a gap a second time,
and more to the gap of the less accurate model; see `fairexit.stats.inversion`. All other metrics
are compared by bootstrap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from fairexit.metrics.rates import Values
from fairexit.metrics.record import gaps
from fairexit.stats.bootstrap import Bootstrap, IntervalMethod, bootstrap
from fairexit.stats.contrasts import Contrast, Terms
from fairexit.stats.gap_contrasts import GapContrasts
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

    def contrast(
        self,
        name: str,
        terms: Terms,
        *,
        rows: Sequence[Sequence[int]] = (),
        method: IntervalMethod = "bca",
    ) -> Contrast:
        """A weighted sum of models, mean over seeds, with its interval and power.

        Args:
            name: one of the metrics that were drawn.
            terms: weights and models, see `fairexit.stats.contrasts.Terms`; a method minus a
                baseline is [(1, models), (-1, baseline)], each with one model for each seed.
            rows: models of all rows of a study, over which the variance over seeds is pooled; by
                default those of the terms.
            method: of the interval over images, for metrics that do not compare groups.
        Raises:
            UserError: an unknown name or method, or terms that do not fit together.
        """
        rows = rows or [models for _, models in terms]
        if name in self.gaps.point:
            return self._gap_contrasts.contrast(name, terms, rows)
        return self.scores.contrast(name, terms, rows, method=method)

    @cached_property
    def _gap_contrasts(self) -> GapContrasts:
        return GapContrasts(self.gaps)

    def point(self, name: str) -> Values:
        """The metric on the samples themselves, (R, ...)."""
        return {**self.scores.point, **self.gaps.point}[name]


def draw_pairs(
    sample: Sample,
    *,
    metrics: Measures,
    n_resamples: int = 10_000,
    n_gap_resamples: int = 1_000,
    random_state: int = 0,
    plant: bool = False,
) -> Pairs:
    """Draw metrics of all models; arguments and errors as for `bootstrap` and `invert`.

    `n_resamples` is the number of draws of the bootstrap, `n_gap_resamples` that of the inversion,
    which also plants gaps, so that contrasts of gaps know their power, if `plant` is true.
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
            plant=plant,
        ),
    )
