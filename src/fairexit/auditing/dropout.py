"""Samples whose attribute is unknown: whether they differ from the others beyond chance."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.estimates import proportions
from fairexit.auditing.section_results import Dropout
from fairexit.auditing.settings import AuditSettings
from fairexit.auditing.source import Source
from fairexit.metrics.counts import Margins
from fairexit.metrics.rates import Values, ratio_known
from fairexit.stats.multiple import holm
from fairexit.stats.permutation import permute
from fairexit.stats.proportions import accuracies
from fairexit.stats.resampling import chunks
from fairexit.stats.sample import Ints, Sample

DRAWS = 2_000
"""Permutations of each of the two tests."""


def compare_unknown(
    source: Source, known: NDArray[np.bool_], settings: AuditSettings
) -> Dropout | None:
    """Compare the samples of unknown value with the others; None if there are none.

    If the value is missing more often in some classes, or where the model errs, the groups do not
    stand for the people from whom the samples come.

    Args:
        source: predictions.
        known: mask of the samples whose value is known, (N,).
        settings: seed and level.
    """
    if known.all():
        return None
    p = source.predictions
    status = (~known).astype(np.int64)
    sample = Sample(
        labels=p.labels, answers=source.answers[None], groups=status, clusters=p.clusters,
        num_classes=len(p.classes), num_groups=2,
    )  # fmt: skip
    accuracy = proportions(accuracies(sample, settings.confidence_level))
    all_counts = np.bincount(p.labels, minlength=len(p.classes)).tolist()
    unknown = np.bincount(p.labels[~known], minlength=len(p.classes)).tolist()
    tests = np.array([_test_mix(sample, settings), _test_accuracy(sample, settings)])
    p_mix, p_accuracy = holm(tests).tolist()
    return Dropout(
        n=int(status.sum()),
        by_class=dict(zip(p.classes, zip(unknown, all_counts, strict=True), strict=True)),
        accuracy=accuracy[1],
        accuracy_known=accuracy[0],
        p_mix=p_mix,
        p_accuracy=p_accuracy,
        informative=p_mix <= settings.alpha or p_accuracy <= settings.alpha,
    )


def _test_accuracy(sample: Sample, settings: AuditSettings) -> float:
    """P-value of the difference in accuracy between known and unknown, at equal class mix.

    The accuracy within each class is weighted by the samples of both kinds (direct
    standardisation), so that a difference in the mix neither makes nor hides a difference.
    """

    def difference(m: Margins) -> Values:
        rates = ratio_known(m.hits, m.actual)
        both = (m.actual > 0).all(-2)
        weight = m.actual.sum(-2) * both
        apart = np.where(both, rates[..., 1, :] - rates[..., 0, :], 0.0)
        return np.abs(ratio_known((weight * apart).sum(-1), weight.sum(-1)))

    permutation = permute(
        sample,
        metrics={"accuracy": difference},
        n_resamples=DRAWS,
        random_state=settings.random_state,
    )
    if permutation.stuck == 1:
        return math.nan
    return float(permutation.p_value("accuracy")[0])


def _test_mix(sample: Sample, settings: AuditSettings) -> float:
    """P-value of the chi-square statistic of class by known or unknown.

    Whole clusters are permuted; one with samples of both kinds counts as two.
    """
    units = sample.cluster_numbers * 2 + sample.groups
    names, index = np.unique(units, return_inverse=True)
    cells, sizes = np.unique(index * sample.num_classes + sample.labels, return_counts=True)
    # Clusters with the same samples of each class are one type.
    starts = np.searchsorted(cells // sample.num_classes, np.arange(1, len(names)))
    contents = np.stack([cells % sample.num_classes, sizes], 1)
    types: dict[bytes, int] = {}
    kind = np.array(
        [types.setdefault(part.tobytes(), len(types)) for part in np.split(contents, starts)]
    )
    first = np.unique(kind, return_index=True)[1]
    by_type = np.zeros((len(types), sample.num_classes), np.int64)
    for t, unit in enumerate(first.tolist()):
        part = slice(*np.searchsorted(cells // sample.num_classes, [unit, unit + 1]))
        by_type[t, cells[part] % sample.num_classes] = sizes[part]
    observed = np.bincount(kind[names % 2 == 1], minlength=len(types))
    number = np.bincount(kind, minlength=len(types))
    rng = np.random.default_rng(settings.random_state)
    statistic = _chi_square(observed[None] @ by_type, number @ by_type)
    larger = sum(
        int((_chi_square(drawn @ by_type, number @ by_type) >= statistic - 1e-9).sum())
        for drawn in _draws(number, int(observed.sum()), rng)
    )
    return (1 + larger) / (1 + DRAWS)


def _draws(number: Ints, size: int, rng: np.random.Generator) -> Iterator[Ints]:
    """Draw clusters without replacement: how many of each type, in chunks (b, T)."""
    for rows in chunks(DRAWS, len(number)):
        yield rng.multivariate_hypergeometric(number, size, rows, method="marginals")


def _chi_square(part: Ints, total: Ints) -> Values:
    """Of the counts of a part by class, (b, C), against the rest of the total, (C,)."""
    occurs = total > 0
    share = part.sum(-1, keepdims=True) / total.sum()
    expected = share * total[occurs]
    spread = np.maximum(expected * (1 - share), 1e-12)
    values: Values = ((part[:, occurs] - expected) ** 2 / spread).sum(-1)
    return values
