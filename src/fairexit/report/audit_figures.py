"""SVG figures for the pages, which scale with the window and use the page's colours.

Every figure is next to a table with the same numbers, so it is hidden from screen readers.
Positions are percentages, so that text and strokes keep their size at any width.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from fairexit.auditing.gap_results import Estimate
from fairexit.auditing.section_results import ReliabilityBin
from fairexit.report.vocabulary import decimal

ROW = 26
"""Height of a figure in a row of a table, in pixels."""


@dataclass(frozen=True)
class AxisScale:
    """A linear axis from `low` to `high` with ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Position on the axis in percent of its length, clipped to its ends."""
        return min(100.0, max(0.0, 100 * (value - self.low) / (self.high - self.low)))

    @property
    def digits(self) -> int:
        """Number of decimal places that the ticks need.

        >>> scale_of([0.07]).digits
        2
        """
        step = self.ticks[1] - self.ticks[0]
        return max(0, -math.floor(math.log10(step) + 1e-9))


def scale_of(values: Iterable[float], include: Sequence[float] = (0.0,)) -> AxisScale:
    """An axis with round ends that contains all finite values.

    >>> scale_of([0.07, 0.021]).ticks
    (0.0, 0.02, 0.04, 0.06, 0.08)
    """
    finite = [v for v in (*values, *include) if math.isfinite(v)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    if high - low < 1e-9:
        high = low + 0.1
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = min(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(round(k * step, 10) for k in range(first, last + 1))
    return AxisScale(ticks[0], ticks[-1], ticks)


def _line(kind: str, x1: float, x2: float, *, y1: str = "0", y2: str = "100%") -> str:
    return f'<line class="{kind}" x1="{x1:.2f}%" x2="{x2:.2f}%" y1="{y1}" y2="{y2}"/>'


def forest_axis(scale: AxisScale) -> Markup:
    """The axis above a column of `forest` figures."""
    shown = scale.ticks[:: 1 if len(scale.ticks) <= 6 else 2]
    body = "".join(
        f'<text x="{scale.at(t):.2f}%" y="12" text-anchor="middle">'
        f"{decimal(t, scale.digits)}</text>"
        for t in shown
    )
    return Markup(f'<svg class="axis" height="16" aria-hidden="true">{body}</svg>')


def forest(
    scale: AxisScale,
    estimate: Estimate,
    *,
    null_mean: float = math.nan,
    null_quantile: float = math.nan,
    strong: bool = False,
    tip: str = "",
) -> Markup:
    """An estimate with its interval, and what chance alone gives.

    Args:
        scale: the axis of the column.
        estimate: drawn as a dot and a line.
        null_mean: mean under chance alone, drawn as a tick.
        null_quantile: quantile under chance alone, drawn as the end of a band from zero.
        strong: whether the dot is filled because the estimate is more than chance.
        tip: text that appears under the pointer.
    """
    parts = [_line("zero" if t == 0 else "grid", scale.at(t), scale.at(t)) for t in scale.ticks]
    middle = ROW / 2
    if math.isfinite(null_quantile):
        start, width = scale.at(0), scale.at(null_quantile) - scale.at(0)
        parts.append(
            f'<rect class="chance" x="{start:.2f}%" width="{width:.2f}%" y="4" height="{ROW - 8}"/>'
        )
    if math.isfinite(null_mean):
        parts.append(
            _line("floor", scale.at(null_mean), scale.at(null_mean), y1="4", y2=str(ROW - 4))
        )
    if math.isfinite(estimate.low) and math.isfinite(estimate.high):
        ends = scale.at(estimate.low), scale.at(estimate.high)
        parts.append(_line("range", *ends, y1=str(middle), y2=str(middle)))
    if math.isfinite(estimate.value):
        kind = "dot strong" if strong else "dot"
        x = scale.at(estimate.value)
        parts.append(f'<circle class="{kind}" cx="{x:.2f}%" cy="{middle}" r="5"/>')
    shown = f' data-tip="{escape(tip)}"' if tip else ""
    return Markup(
        f'<svg class="forest" height="{ROW}" aria-hidden="true"{shown}>{"".join(parts)}</svg>'
    )


def lines(
    series: Mapping[str, NDArray[np.float64]], colours: Mapping[str, int], share: bool = False
) -> Markup:
    """Curves over equally spaced positions, with a cursor that the page's script moves.

    Args:
        series: key -> values, each (T,); NaN interrupts the curve.
        colours: key -> number of its colour and dash pattern.
        share: whether the ticks are in percent.
    """
    scale = scale_of(np.concatenate(list(series.values())), include=())
    drawn = "".join(
        f'<path class="curve c{colours[key]}" d="{_path(scale, values)}"/>'
        for key, values in series.items()
    )
    return _plot(_grid(scale, share) + _stretched(drawn))


def reliability(bins: Mapping[int, Sequence[ReliabilityBin]]) -> Markup:
    """Accuracy over confidence, a dot for each bin whose area grows with its samples.

    On the diagonal, confidence is the share of right answers.

    Args:
        bins: number of a colour -> the bins of one group.
    """
    scale = AxisScale(0, 1, (0, 0.5, 1))
    parts = _line("floor", 0, 100, y1="100%", y2="0%")
    for colour, group in bins.items():
        total = sum(b.n for b in group)
        for b in group:
            parts += (
                f'<circle class="bin b{colour}" cx="{100 * b.confidence:.2f}%" '
                f'cy="{100 - 100 * b.accuracy:.2f}%" r="{2 + 14 * math.sqrt(b.n / total):.1f}"/>'
            )
    ticks = "".join(
        f'<text x="{100 * x:g}%" y="100%" dy="14" text-anchor="middle">{100 * x:g} %</text>'
        for x in scale.ticks
    )
    body = _grid(scale, share=True) + parts + ticks
    return Markup(f'<svg class="diagram" height="190" aria-hidden="true">{body}</svg>')


def bin_dot(colour: int) -> Markup:
    """The dot of a group for a legend."""
    return Markup(
        '<svg class="swatch" width="14" height="14" aria-hidden="true">'
        f'<circle class="bin b{colour}" cx="7" cy="7" r="5"/></svg>'
    )


def areas(shares: Mapping[str, NDArray[np.float64]]) -> Markup:
    """Shares that add up to one, stacked from the bottom over equally spaced positions."""
    base = np.zeros(len(next(iter(shares.values()))))
    drawn = ""
    for k, values in enumerate(shares.values()):
        top = base + values
        upper = [f"{x:.2f},{100 * (1 - y):.2f}" for x, y in zip(_positions(top), top, strict=True)]
        lower = [
            f"{x:.2f},{100 * (1 - y):.2f}" for x, y in zip(_positions(base), base, strict=True)
        ]
        points = " ".join([*upper, *reversed(lower)])
        drawn += f'<polygon class="exit e{_shade(k, len(shares))}" points="{points}"/>'
        base = top
    return _plot(_stretched(drawn) + _grid(AxisScale(0, 1, (0, 0.5, 1)), share=True))


def stack(shares: Mapping[str, float], label: str = "") -> Markup:
    """A single bar of shares that add up to one."""
    start, parts = 0.0, ""
    for k, (name, share) in enumerate(shares.items()):
        if share > 0:
            tip = escape(f"{label}{name}: {100 * share:.1f} %")
            parts += (
                f'<rect class="exit e{_shade(k, len(shares))}" x="{100 * start:.2f}%" y="0" '
                f'width="{100 * share:.2f}%" height="100%" data-tip="{tip}"/>'
            )
        start += share
    return Markup(f'<svg class="stack" height="{ROW}" aria-hidden="true">{parts}</svg>')


def swatch(k: int, n: int) -> Markup:
    """The colour of the k-th of n exits for a legend."""
    return Markup(
        '<svg class="swatch" width="14" height="14" aria-hidden="true">'
        f'<rect class="exit e{_shade(k, n)}" width="14" height="14" rx="3"/></svg>'
    )


def dash(colour: int) -> Markup:
    """The line of a curve for a legend."""
    return Markup(
        '<svg class="swatch" width="26" height="14" aria-hidden="true">'
        f'<path class="curve c{colour}" d="M0,7H26"/></svg>'
    )


def _grid(scale: AxisScale, share: bool) -> str:
    parts = ""
    for tick in scale.ticks:
        y = f"{100 - scale.at(tick):.2f}%"
        text = f"{100 * tick:.0f} %" if share else decimal(tick, scale.digits)
        parts += f'<line class="grid" x1="0" x2="100%" y1="{y}" y2="{y}"/>'
        parts += f'<text x="-6" y="{y}" dy="4" text-anchor="end">{text}</text>'
    return parts


def _shade(k: int, n: int) -> int:
    """One of seven shades, from light for the first exit to dark for the last."""
    return 6 if n == 1 else round(6 * k / (n - 1))


def _positions(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.linspace(0, 100, len(values))


def _path(scale: AxisScale, values: NDArray[np.float64]) -> str:
    parts, pen = [], "M"
    for x, value in zip(_positions(values), values.tolist(), strict=True):
        if not math.isfinite(value):
            pen = "M"
            continue
        parts.append(f"{pen}{x:.2f},{100 - scale.at(value):.2f}")
        pen = "L"
    return "".join(parts)


def _stretched(body: str) -> str:
    return (
        '<svg width="100%" height="100%" viewBox="0 0 100 100" preserveAspectRatio="none">'
        f"{body}</svg>"
    )


def _plot(body: str) -> Markup:
    cursor = "".join(
        f'<line class="cursor{halo}" x1="0" x2="0" y1="0" y2="100%"/>' for halo in (" halo", "")
    )
    return Markup(f'<svg class="plot" height="170" aria-hidden="true">{body}{cursor}</svg>')
