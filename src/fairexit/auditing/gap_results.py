"""Results of an audit: numbers with intervals, gaps between groups, and the verdicts on them."""

import math
from dataclasses import dataclass

MORE_THAN_CHANCE = "more than chance"
COULD_BE_CHANCE = "could be chance"
TOO_FEW = "too few samples"
NOT_TESTED = "not tested"
"""The verdicts on a gap. A gap that could be chance is not proven to be absent."""


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval.

    Attributes:
        value: as measured on the samples.
        low: lower end of the interval, NaN if there is no reliable interval.
        high: upper end, NaN like the lower.
        note: why there is no interval, or a caution on it; "" if there is no remark.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    note: str = ""


@dataclass(frozen=True)
class Proportion(Estimate):
    """A share of samples with its exact interval, see `fairexit.stats.proportions`.

    Attributes:
        hits: samples that count.
        n: samples, of which `hits` count.
        clusters: clusters that the n samples come from.
    """

    hits: int = 0
    n: int = 0
    clusters: int = 0


@dataclass(frozen=True)
class Gap:
    """A gap between groups, compared with what chance alone gives.

    Attributes:
        metric: its key, one of the metrics that compare groups.
        estimate: the gap, with the interval of all true gaps that the test does not reject.
        null_mean: mean of the gap if the groups do not matter (permuted clusters).
        null_quantile: 95 % quantile of the gap if the groups do not matter; larger gaps are more
            than chance, and only their interval begins above 0.
        p_value: share of permutations with a gap at least as large, where the data count as one.
        corrected: the true gap whose samples have this gap as their median; 0 if chance alone
            would give as much.
        min_detectable_gap: the smallest true gap that these samples would show to be more than
            chance in 80 of 100 cases; NaN if even the largest gap tried would not be detected, if
            the gap does not vary under permutation, or if chance alone gives as much on average.
        verdict: one of the verdicts above, by `p_value`.
        p_any: of Eopp1 and Eodd, the p-value of any gap in any class by the combined test of
            `fairexit.stats.any_gap`; NaN for the other gaps.
    """

    metric: str
    estimate: Estimate
    null_mean: float
    null_quantile: float
    p_value: float
    corrected: float
    min_detectable_gap: float
    verdict: str
    p_any: float = math.nan


@dataclass(frozen=True)
class ClassGap:
    """The range over groups of one rate of one class, one class against the rest.

    Attributes:
        name: the class.
        rate: tpr or fpr.
        estimate: largest minus smallest rate over the groups with enough clusters.
        rates: group -> rate, NaN if the group has no sample for it.
        too_small: groups with too few clusters, which are left out of the comparison.
        highest: group with the highest rate, "" if fewer than two groups can be compared.
        lowest: group with the lowest rate, "" as well.
        null_mean: mean of the gap if the groups do not matter.
        p_value: uncorrected, NaN if there are too few samples.
        p_adjusted: corrected for all tests of its family. The true positive rates of the positive
            classes are one family, all other classes and rates are the other.
        tests: number of tests in its family.
        min_detectable_gap: the smallest true gap that would be detected in 80 of 100 cases; NaN as
            for `Gap`.
        verdict: one of the verdicts above.
    """

    name: str
    rate: str
    estimate: Estimate
    rates: dict[str, Proportion]
    too_small: tuple[str, ...]
    highest: str
    lowest: str
    null_mean: float
    p_value: float
    p_adjusted: float
    tests: int
    min_detectable_gap: float
    verdict: str


@dataclass(frozen=True)
class Headline:
    """The answer to the reader's first question: which group is worse off, and by how much.

    Attributes:
        name: the class.
        rate: tpr or fpr.
        chosen: why this class: NAMED, ASSUMED or LARGEST.
        worst: the group with the lowest true positive or the highest false positive rate.
        best: the group at the other end.
        rates: group -> rate, for all groups.
        compared: number of groups that were compared.
        left_out: groups with too few clusters to be compared.
        p_adjusted: of the gap between the groups, as in the class's `ClassGap`.
        tests: number of tests that the p-value is corrected for.
        verdict: one of the verdicts above.
    """

    name: str
    rate: str
    chosen: str
    worst: str
    best: str
    rates: dict[str, Proportion]
    compared: int
    left_out: tuple[str, ...]
    p_adjusted: float
    tests: int
    verdict: str


NAMED = "named"
ASSUMED = "assumed"
LARGEST = "largest gap"
"""Why a headline is about its class: the user named it, it was taken as the positive one of two
classes, or its gap is the largest that was tested, of those that are more than chance if any."""


@dataclass(frozen=True)
class Paired:
    """A metric of the audited model and of the baseline, on the same samples.

    Attributes:
        metric: its key.
        value: the audited model's, mean over seeds.
        baseline: the baseline's, mean over seeds.
        difference: value minus baseline, with the interval of the paired draws.
        smallest: the smallest improvement that this comparison shows in 80 of 100 cases; NaN where
            no improvement would be shown.
        values: the audited model's value for each seed.
        baselines: the baseline's value for each seed.
    """

    metric: str
    value: float
    baseline: float
    difference: Estimate
    smallest: float
    values: tuple[float, ...]
    baselines: tuple[float, ...]
