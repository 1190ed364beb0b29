"""The samples of one attribute, in the form that the statistics take."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.source import Source
from fairexit.errors import UserError, option, short
from fairexit.stats.sample import Sample
from fairexit.types import UNKNOWN

MAX_COUNTS = 2**27
"""Numbers of samples by group, class and answer that an audit holds: 1 GB."""


@dataclass(frozen=True, eq=False)
class AttributeSample:
    """The samples of a source whose value of one attribute is known.

    Attributes:
        rows: mask over all N samples of the source, (N,).
        sample: labels, answers (1, n), groups and clusters of the n selected samples.
        classes, groups: names of the classes and groups.
    """

    rows: NDArray[np.bool_]
    sample: Sample
    classes: tuple[str, ...]
    groups: tuple[str, ...]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Samples by group, true class and predicted class, (M, C, C)."""
        return self.sample.counts[0]


def take_sample(source: Source, attribute: str) -> AttributeSample:
    """The samples of a source whose value of an attribute is known.

    Raises:
        UserError: the attribute is unknown, has a single value, or has so many groups that the
            samples cannot be counted by group, class and answer.
    """
    p = source.predictions
    groups, names = p.group(attribute)
    known = groups != UNKNOWN
    if len(names) * len(p.classes) ** 2 > MAX_COUNTS:
        raise UserError(
            f"attribute '{short(attribute)}' has {len(names):,} groups and the table has "
            f"{len(p.classes):,} classes; an audit counts up to {MAX_COUNTS:,} combinations of "
            f"group, class and answer. Leave out small groups with {option('min_group')}, or "
            "evaluate the table without an audit"
        )
    sample = Sample(
        labels=p.labels[known],
        answers=source.answers[None, known],
        groups=groups[known],
        clusters=p.clusters[known],
        num_classes=len(p.classes),
        num_groups=len(names),
    )
    return AttributeSample(known, sample, p.classes, names)


def by_name(names: Sequence[str], values: NDArray[np.int64]) -> dict[str, int]:
    """Name -> number."""
    return dict(zip(names, values.tolist(), strict=True))
