"""Labels of all measures, and formats of numbers, for every report."""

import math
import re
from collections.abc import Sequence

from fairexit.auditing.gap_results import Estimate, Proportion
from fairexit.auditing.results import Facts
from fairexit.auditing.settings import MIN_CLUSTERS
from fairexit.metrics.record import METRICS
from fairexit.metrics.scores import SCORES

LABELS = {
    "tpr": "true positive rate",
    "fpr": "false positive rate",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "sensitivity_at": "sensitivity at the cut",
    "specificity_at": "specificity at the cut",
}
"""Label of each rate of a class; the records of metrics and scores hold their own labels."""

BY_IMAGES = (
    "By images: the same gap, but each class counts by its number of images. The plain mean counts "
    "all classes alike, sees a gap in a rare class, and is mostly the noise of the rare classes; "
    "by images, it is the gap that a typical patient meets, and rare classes hardly count. Read "
    "the two together."
)
"""What the gaps weighted by images are, and why they stand beside the others."""

ANY_CLASS = (
    "Any class: a test of whether there is a gap in any class. It takes the more telling of two "
    "statistics, the mean of the gaps and the sum of their squares, each relative to its noise, "
    "and corrects for having taken it. It does not change the verdict."
)
"""What the combined test asks."""

UNDEFINED = "–"
"""Shown instead of a number that is undefined."""

MAX_LISTED = 5
"""Number of items that a sentence lists by name."""


UNITS = {
    "patient": "patients",
    "lesion": "lesions",
    "subject": "subjects",
    "participant": "participants",
    "person": "people",
    "case": "cases",
}
"""What clusters are called if the column's name begins with the word, as in patient_id."""

FEW = " *"
"""Mark behind the name or number of a group with too few clusters for any conclusion."""


def units(facts: Facts) -> str:
    """What the clusters are, in the plural: "patients" if the column says so."""
    return units_of(facts.cluster_name)


def units_of(cluster_name: str) -> str:
    """What the clusters in a column are, in the plural; "samples" without a column.

    >>> units_of("patient_id"), units_of("cluster"), units_of("")
    ('patients', 'clusters', 'samples')
    """
    words = re.findall("[a-z]+", cluster_name.lower())
    for word in words:
        for singular, plural in UNITS.items():
            if word.startswith(singular):
                return plural
    return "clusters" if cluster_name else "samples"


def few_note(facts: Facts) -> str:
    """What the mark of small groups means."""
    return f"* fewer than {MIN_CLUSTERS} {units(facts)}: too few for any conclusion"


def mark(clusters: int) -> str:
    """The mark of a small group, "" for a group that is large enough.

    >>> mark(3), mark(30)
    (' *', '')
    """
    return FEW if clusters < MIN_CLUSTERS else ""


def of(value: Proportion) -> str:
    """The samples behind a share.

    >>> of(Proportion(0.5, hits=7, n=14))
    '7 of 14'
    """
    return f"{value.hits:,} of {value.n:,}"


def whole_percent(value: float) -> str:
    """A share in whole percent for a sentence.

    >>> whole_percent(7 / 15)
    '47 %'
    """
    return f"{100 * value:.0f} %"


def metric_name(key: str) -> str:
    """The label of a measure as a heading.

    >>> metric_name("f1"), metric_name("sensitivity_at")
    ('F1', 'Sensitivity at the cut')
    """
    return capital(label(key))


def metric_heading(key: str) -> str:
    """The label of a metric with an arrow that says whether higher or lower is better.

    >>> metric_heading("f1"), metric_heading("eopp1")
    ('F1 ↑', 'Eopp1 ↓')
    """
    return f"{metric_name(key)} {'↑' if METRICS[key].higher_is_better else '↓'}"


def label(key: str) -> str:
    """The label of a measure within a sentence.

    >>> label("f1"), label("auroc"), label("tpr")
    ('F1', 'AUROC', 'true positive rate')
    """
    if key in METRICS:
        return METRICS[key].label
    return SCORES[key].label if key in SCORES else LABELS[key]


def decimal(value: float, digits: int = 3) -> str:
    """A number with a fixed number of decimal places; a dash for NaN.

    >>> decimal(0.12345), decimal(-0.5), decimal(float("nan")), decimal(-0.0001)
    ('0.123', '−0.500', '–', '0.000')
    """
    if math.isnan(value):
        return UNDEFINED
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def signed(value: float, digits: int = 3) -> str:
    """A difference with its sign.

    >>> signed(0.02), signed(-0.02), signed(0.0)
    ('+0.020', '−0.020', '0.000')
    """
    text = decimal(value, digits)
    return f"+{text}" if text[0].isdigit() and float(text) > 0 else text


def percent(value: float) -> str:
    """A share in percent.

    >>> percent(0.1234), percent(float("nan"))
    ('12.3\\xa0%', '–')
    """
    return UNDEFINED if math.isnan(value) else f"{decimal(100 * value, 1)}\u00a0%"


def whole(value: int) -> str:
    """A count with thousands separators.

    >>> whole(12345)
    '12,345'
    """
    return f"{value:,}"


def p_value(value: float) -> str:
    """A p-value as tables show it.

    >>> p_value(0.0312), p_value(0.0002), p_value(float("nan"))
    ('0.031', '< 0.001', '–')
    """
    return "< 0.001" if value < 0.001 else decimal(value)


def has_interval(estimate: Estimate) -> bool:
    """Whether both ends of the interval are known."""
    return math.isfinite(estimate.low) and math.isfinite(estimate.high)


def interval(estimate: Estimate) -> str:
    """The interval as text, blank if there is none.

    >>> interval(Estimate(0.5, 0.4, 0.6)), interval(Estimate(0.5))
    ('0.400 to 0.600', '')
    """
    if not has_interval(estimate):
        return ""
    return f"{decimal(estimate.low)} to {decimal(estimate.high)}"


def p_text(p: float) -> str:
    """A p-value in a sentence.

    >>> p_text(0.012), p_text(0.0002)
    ('p = 0.012', 'p < 0.001')
    """
    if math.isnan(p):
        return "p not defined"
    return f"p {p_value(p)}" if p < 0.001 else f"p = {p_value(p)}"


def interval_text(estimate: Estimate) -> str:
    """A number with its interval and its note, and the samples behind a share.

    >>> interval_text(Estimate(0.09, 0.051, 0.132)), interval_text(Estimate(1.0, note="no spread"))
    ('0.090 (0.051 to 0.132)', '1.000 (no spread)')
    >>> interval_text(Proportion(0.5, 0.2, 0.8, hits=4, n=8))
    '0.500 (4 of 8; 0.200 to 0.800)'
    """
    if math.isnan(estimate.value):
        return estimate.note or "not defined"
    samples = of(estimate) if isinstance(estimate, Proportion) else ""
    remarks = "; ".join(part for part in (samples, interval(estimate), estimate.note) if part)
    value = decimal(estimate.value)
    return f"{value} ({remarks})" if remarks else value


def capital(text: str) -> str:
    """The text with its first letter in upper case.

    >>> capital("worst group's F1")
    "Worst group's F1"
    """
    return text[:1].upper() + text[1:]


def listed(words: Sequence[str], limit: int = MAX_LISTED) -> str:
    """The first items by name and the number of the others: "a, b and 3 more".

    >>> listed(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    """
    more = len(words) - limit
    return ", ".join(words[:limit]) + (f" and {more} more" if more > 0 else "")


def slice_text(values: dict[str, str]) -> str:
    """The name of a slice.

    >>> slice_text({"sex": "f", "age": "60"})
    'sex = f and age = 60'
    """
    return " and ".join(f"{name} = {value}" for name, value in values.items())


def signed_interval(estimate: Estimate) -> str:
    """A difference with its sign, its interval and its note.

    >>> signed_interval(Estimate(-0.09, -0.13, 0.05))
    '−0.090 (−0.130 to +0.050)'
    """
    if math.isnan(estimate.value):
        return estimate.note or "not defined"
    ends = f"{signed(estimate.low)} to {signed(estimate.high)}" if has_interval(estimate) else ""
    remarks = "; ".join(part for part in (ends, estimate.note) if part)
    value = signed(estimate.value)
    return f"{value} ({remarks})" if remarks else value


def unbroken(text: str) -> str:
    """The text with no line break inside a p-value or before a percent sign.

    >>> unbroken("47 % (p < 0.001)")
    '47\xa0% (p\xa0<\xa00.001)'
    """
    text = re.sub(r"\bp ([<=]) (?=\d)", "p\u00a0\\1\u00a0", text)
    return re.sub(r"(?<=\d) %", "\u00a0%", text)
