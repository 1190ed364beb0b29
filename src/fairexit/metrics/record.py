"""Metrics as records, read by all code that lists, labels, plots, tabulates or selects by metrics.

A new metric of the counts is one file in `fairexit/metrics/records`, or in a plugin: a function
with one of the two decorators of this module.

    @gap("eopp1", label="Eopp1", rates=[tpr])
    def eopp1(hits: Values) -> Values:
        return mean_known(range_known(hits, -2))
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from fairexit.errors import UserError
from fairexit.metrics.counts import Counts, Margins, margins
from fairexit.metrics.rates import Empty, Rate, Values
from fairexit.registry import Registry


@dataclass(frozen=True, eq=False)
class Metric:
    """One number computed from the counts, with its names and properties.

    Attributes:
        name: its key in tables, files and Python.
        label: its name in text.
        function: takes the rates if it compares groups, else the margins; any leading axes.
        compares_groups: whether it is a gap between the groups, so that permuting the groups
            shows what chance alone gives.
        higher_is_better: False for a gap.
        main: whether headlines, curves and short tables show it.
        rates: the rates that a gap compares, each (..., M, C) or (..., M).
        moved: for each rate, whether the computation of power shifts it to simulate a true gap;
            all by default.
        weighted_form_of: name of the gap that this one repeats with classes weighted by images,
            "" for none. Text gives both together.
    """

    name: str
    label: str
    function: Callable[..., Values]
    compares_groups: bool = False
    higher_is_better: bool = True
    main: bool = False
    rates: tuple[Rate, ...] = ()
    moved: tuple[bool, ...] = field(default=())
    weighted_form_of: str = ""

    def __post_init__(self) -> None:
        # As `functools.wraps` does: the registry reads the origin of a metric from these.
        for name in ("__doc__", "__module__", "__qualname__"):
            object.__setattr__(self, name, getattr(self.function, name))

    def __call__(self, counts: Counts | Margins, empty: Empty = "exclude") -> Values:
        """The metric's value, (...).

        Args:
            counts: (..., M, C, C), or their margins.
            empty: value of a rate without samples, see `fairexit.metrics.rates`.
        """
        if not self.compares_groups:
            return self.function(margins(counts))
        return self.gap([rate(counts, empty) for rate in self.rates])

    def gap(self, rates: Sequence[Values]) -> Values:
        """The gap between groups, (...), in its rates, each (..., M, C) or (..., M)."""
        return self.function(*rates)

    @property
    def summary(self) -> str:
        """The first line of the metric's docstring."""
        return (self.function.__doc__ or "").strip().split("\n")[0]


class MetricRegistry(Mapping[str, Metric]):
    """Metrics of the counts by name: measures of accuracy first, then gaps."""

    def __init__(self, package: str) -> None:
        self.registry: Registry[Any] = Registry("metric", package)

    def enter(self, record: Metric) -> Metric:
        """Register a record under its name."""
        self.registry.register(record.name)(cast(Any, record))
        return record

    def __getitem__(self, name: str) -> Metric:
        return cast(Metric, self.registry[name])

    def __iter__(self) -> Iterator[str]:
        def order(name: str) -> tuple[bool, bool, str]:
            return self[name].compares_groups, not self[name].main, name

        return iter(sorted(self.registry.names(), key=order))

    def __len__(self) -> int:
        return len(self.registry.names())

    def __contains__(self, name: object) -> bool:
        return name in self.registry.names()


METRICS = MetricRegistry("fairexit.metrics.records")
"""Every metric of the counts by name."""


def metric(
    name: str, *, label: str, main: bool = False
) -> Callable[[Callable[..., Values]], Metric]:
    """Decorator that registers a function of the margins, `(margins) -> (...)`, as a metric.

    Args:
        name: its key.
        label: its name in text.
        main: whether headlines, curves and short tables show it.
    """

    def enter(function: Callable[..., Values]) -> Metric:
        _check_arguments(name, function, 1)
        return METRICS.enter(Metric(name, label, function, main=main))

    return enter


def gap(
    name: str,
    *,
    label: str,
    rates: Sequence[Rate],
    moved: Sequence[bool] | None = None,
    main: bool = False,
    weighted_form_of: str = "",
) -> Callable[[Callable[..., Values]], Metric]:
    """Decorator that registers a gap between groups, a function of their rates, as a metric.

    Args:
        name: its key.
        label: its name in text.
        rates: functions of the counts that the gap compares; the decorated function takes their
            values, one argument each, (..., M, C) or (..., M), and gives (...).
        moved: for each rate, whether the computation of power shifts it to simulate a true gap;
            all by default.
        main: whether headlines, curves and short tables show it.
        weighted_form_of: name of the gap that this one repeats with classes weighted by images.
    """

    def enter(function: Callable[..., Values]) -> Metric:
        _check_arguments(name, function, len(rates))
        return METRICS.enter(
            Metric(
                name,
                label,
                function,
                compares_groups=True,
                higher_is_better=False,
                main=main,
                rates=tuple(rates),
                moved=tuple(moved or [True] * len(rates)),
                weighted_form_of=weighted_form_of,
            )
        )

    return enter


def _check_arguments(name: str, function: Callable[..., Values], number: int) -> None:
    try:
        inspect.signature(function).bind(*range(number))
    except TypeError:
        values = "the margins, or one array of rates" if number == 1 else "arrays of rates"
        raise UserError(
            f"metric '{name}': its function must take {number} argument{'s' * (number > 1)} "
            f"({values})"
        ) from None


def gaps() -> list[str]:
    """Names of the metrics that compare groups, those of headlines first."""
    return [name for name, record in METRICS.items() if record.compares_groups]


def main_metrics() -> list[str]:
    """Names of the metrics of headlines, curves and short tables: accuracy first, then gaps."""
    return [name for name, record in METRICS.items() if record.main]


def weighted_form(name: str) -> str:
    """Name of the form of a gap that is weighted by images, "" if it has none."""
    return next((key for key in gaps() if METRICS[key].weighted_form_of == name), "")


def main_gaps() -> list[str]:
    """Names of the gaps between groups that headlines show."""
    return [name for name in gaps() if METRICS[name].main]


def compute(
    counts: Counts | Margins, names: Sequence[str] | None = None, empty: Empty = "exclude"
) -> dict[str, Values]:
    """Compute metrics by name.

    Args:
        counts: (..., M, C, C), or their margins.
        names: keys of `METRICS`; all of them by default.
        empty: value of a rate without samples, see `fairexit.metrics.rates`.
    Returns:
        Name -> value, (...).
    Raises:
        UserError: an unknown name.
    """
    m = margins(counts)
    return {name: METRICS[name](m, empty) for name in (METRICS if names is None else names)}
