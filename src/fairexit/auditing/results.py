"""The results of an audit as plain data: numbers with intervals, tests, and sample sizes.

`AuditResults` hold everything that a report shows. Their size does not depend on the number of
samples. `fairexit.report` puts them into words, tables and figures. A number is NaN if it is
undefined or if its interval is not reliable.
"""

import math
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
class Dropout:
    """Samples whose attribute is unknown, compared with the others.

    Attributes:
        n: number of samples of unknown value.
        by_class: class -> (samples of unknown value, all samples).
        accuracy: of the samples of unknown value.
        accuracy_known: of the others.
        p_mix: of the difference in class mix, by permutation of whole clusters.
        p_accuracy: of the difference in accuracy at equal class mix, also by permutation; NaN if
            there is nothing to permute.
        informative: whether one of the two differences is more than chance.
    """

    n: int
    by_class: dict[str, tuple[int, int]]
    accuracy: Proportion
    accuracy_known: Proportion
    p_mix: float
    p_accuracy: float
    informative: bool


@dataclass(frozen=True)
class Slice:
    """Samples that share one or two attribute values, compared with all others.

    Attributes:
        values: attribute -> value.
        n: number of samples.
        clusters: number of clusters.
        errors: share of wrong answers in the slice.
        rest: share of wrong answers outside, weighted to the slice's mix of classes.
        excess: errors minus rest, with its interval, which holds 0 exactly if it could be chance.
        p_value: one-sided and uncorrected.
        p_adjusted: corrected for all slices that were tested.
    """

    values: dict[str, str]
    n: int
    clusters: int
    errors: float
    rest: float
    excess: Estimate
    p_value: float
    p_adjusted: float


@dataclass(frozen=True)
class SliceSearch:
    """The search over slices and its worst slices.

    Attributes:
        worst: the worst slices, in ascending order of their p-values.
        searched: number of slices that were tested.
        skipped: number of slices that were not tested: too small, without a class in common with
            the other samples, or beyond the maximum number.
        attributes: the columns that were used.
        left_out: column that was not used -> reason.
        min_clusters: clusters that a slice needs.
    """

    worst: tuple[Slice, ...]
    searched: int
    skipped: int
    attributes: tuple[str, ...]
    left_out: dict[str, str]
    min_clusters: int


@dataclass(frozen=True)
class Clinical:
    """Measures of one class by group, as for a disease that is present or absent.

    Attributes:
        positive: the class.
        groups: group -> measure -> estimate. The measures are sensitivity, specificity, ppv, npv,
            auroc (NaN without probabilities) and, if a cut could be chosen, `sensitivity_at` and
            `specificity_at`: both measured on these samples, at the cut.
        specificity: the specificity for which the cut was chosen.
        cut: smallest probability that counts as positive, chosen on validation; None if there is
            no cut.
        reason: why there is no cut, "" if there is one.
    """

    positive: str
    groups: dict[str, dict[str, Estimate]]
    specificity: float
    cut: float | None
    reason: str


@dataclass(frozen=True)
class ExitRow:
    """The samples of one group that leave at one exit under the policy.

    Attributes:
        exit: name of the exit, "f" for the final one.
        group: the group.
        n: samples of the group that leave at this exit.
        share: their share of the group, with its interval.
        accuracy: their accuracy.
        cost: cost of one sample, as a share of the full network; NaN if not known.
        confusions: their most frequent errors: (true class, answer, number).
    """

    exit: str
    group: str
    n: int
    share: Estimate
    accuracy: Estimate
    cost: float
    confusions: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True)
class ExitUsage:
    """At which exits the samples of each group leave under the policy.

    Attributes:
        rows: one for each exit and group, by exit and then by group.
        mean_cost: group -> mean cost as a share of the full network; empty if not known.
        cost_reason: why the cost is not known, "" if it is.
        statistic: total variation distance between the exit shares of two groups (half the summed
            difference), averaged over the classes weighted by their samples; the largest over all
            pairs of groups.
        null_mean: mean of the statistic if the groups do not matter.
        p_value: of a permutation of whole clusters within their class profile.
        verdict: one of the verdicts above.
        first: ids of the samples that leave first, with the highest confidence.
        last: ids of the samples that leave last, with the lowest confidence.
    """

    rows: tuple[ExitRow, ...]
    mean_cost: dict[str, float]
    cost_reason: str
    statistic: float
    null_mean: float
    p_value: float
    verdict: str
    first: tuple[str, ...]
    last: tuple[str, ...]


@dataclass(frozen=True)
class Curve:
    """Metrics, exit shares and cost at each theta on these samples; not for choosing a theta.

    Attributes:
        thetas: in ascending order, (T,).
        metrics: the main metrics by name -> (T,).
        shares: exit -> share of all samples that leaves at this exit, (T,).
        cost: mean cost as a share of the full network, (T,); empty if not known.
        used: the policy's theta, NaN if it has several or none.
    """

    thetas: NDArray[np.float64]
    metrics: dict[str, NDArray[np.float64]]
    shares: dict[str, NDArray[np.float64]]
    cost: NDArray[np.float64]
    used: float


@dataclass(frozen=True)
class Paired:
    """A metric of the audited model and of the baseline, on the same samples.

    Attributes:
        metric: its key.
        value: the audited model's, mean over seeds.
        baseline: the baseline's, mean over seeds.
        difference: value minus baseline, with the interval of the paired draws.
        values: the audited model's value for each seed.
        baselines: the baseline's value for each seed.
    """

    metric: str
    value: float
    baseline: float
    difference: Estimate
    values: tuple[float, ...]
    baselines: tuple[float, ...]


@dataclass(frozen=True)
class CohortGap:
    """How much better one group fares than all other groups, here and in another cohort.

    Attributes:
        group: the group.
        measure: accuracy, or tpr.
        name: the class of a tpr, "" for accuracy.
        here: the group's value minus that of the other groups together, with its interval.
        there: the same in the other cohort.
        difference: there minus here, with its interval.
        mix: the part of the difference that the mix of classes explains, see `CohortShift`; 0 for
            a tpr, which does not depend on it.
        performance: the rest.
        p_value: of no difference, uncorrected.
        p_adjusted: corrected for all differences of the comparison (Holm 1979).
        verdict: one of the verdicts above.
    """

    group: str
    measure: str
    name: str
    here: Estimate
    there: Estimate
    difference: Estimate
    mix: Estimate
    performance: Estimate
    p_value: float
    p_adjusted: float
    verdict: str


@dataclass(frozen=True)
class CohortShift:
    """How the accuracy of a group differs between two cohorts, and how much the classes explain.

    Attributes:
        group: the group, "" for all samples of the compared groups.
        here: accuracy here.
        there: accuracy in the other cohort.
        difference: there minus here.
        mix: the part that this cohort's rates of each class give at the other cohort's mix of
            classes (direct standardisation).
        performance: the rest: the rates of the classes themselves differ.
    """

    group: str
    here: Estimate
    there: Estimate
    difference: Estimate
    mix: Estimate
    performance: Estimate


@dataclass(frozen=True)
class CohortComparison:
    """The same model on two sets of samples, compared by one attribute.

    Attributes:
        attribute: its name.
        here: name of the audited cohort.
        there: name of the other cohort.
        n: group -> (samples here, samples there), of all groups of either.
        clusters: group -> (clusters here, clusters there).
        left_out: groups that are too small in one of the cohorts and not compared.
        missing: classes that a compared group lacks in one of the cohorts; accuracies leave them
            out.
        gaps: each compared group against the others; with two groups, only the first of them.
        shifts: all samples, then each compared group.
        n_resamples: bootstrap draws of each cohort.
    """

    attribute: str
    here: str
    there: str
    n: dict[str, tuple[int, int]]
    clusters: dict[str, tuple[int, int]]
    left_out: tuple[str, ...]
    missing: tuple[str, ...]
    gaps: tuple[CohortGap, ...]
    shifts: tuple[CohortShift, ...]
    n_resamples: int


@dataclass(frozen=True)
class AttributeAudit:
    """All results for one sensitive attribute, or for several crossed attributes.

    Attributes:
        attribute: its name; those of crossed attributes are joined by " x ".
        groups: its values.
        n: group -> samples.
        clusters: group -> clusters.
        unknown: samples without a known value; they are left out of all numbers below.
        dropout: what is known of those samples; None if there are none.
        headlines: the answer for each positive class, or for the class with the largest gap; empty
            if no class is positive and none can be compared.
        counts: samples by group, true class and answer, (M, C, C): the confusion matrices.
        empty_cells: (group, class) pairs without a sample.
        by_group: group -> metric -> number: precision, recall, f1 (macro), accuracy and, with
            probabilities, auroc and ece.
        overall: metric -> number: precision, recall, f1 (means over groups), their `_diff`,
            accuracy, balanced_accuracy, worst_group_*, and, with probabilities, auroc and ece.
        gaps: the gaps between groups and their tests.
        approximate: whether the permutation test is approximate (class profiles were pooled).
        stuck: share of the samples whose cluster has no partner to swap groups with.
        bundled: whether clusters were merged at random before the permutation.
        classes: the gaps class by class.
        clinical: the clinical measures, one for each positive class.
        exit_usage: the exits at which samples leave; None for a plain model.
        curve: metrics over theta; None for a plain model.
        paired: the comparison with the baseline; empty without a baseline.
        seeds: metric -> one value for each seed; empty with a single seed.
    """

    attribute: str
    groups: tuple[str, ...]
    n: dict[str, int]
    clusters: dict[str, int]
    unknown: int
    counts: NDArray[np.int64]
    empty_cells: tuple[tuple[str, str], ...]
    by_group: dict[str, dict[str, Estimate]]
    overall: dict[str, Estimate]
    gaps: tuple[Gap, ...]
    approximate: bool
    stuck: float
    bundled: bool
    classes: tuple[ClassGap, ...]
    headlines: tuple[Headline, ...] = ()
    dropout: Dropout | None = None
    clinical: tuple[Clinical, ...] = ()
    exit_usage: ExitUsage | None = None
    curve: Curve | None = None
    paired: tuple[Paired, ...] = ()
    seeds: dict[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """The model, the data and the settings of an audit.

    Attributes:
        name: of the model.
        title: of the report, "" for the name of the model.
        date: day of the audit, as YYYY-MM-DD.
        source: file or folder, or "" for tables in memory.
        split: the split that was measured, "" if the rows name none.
        n: number of samples.
        accuracy: of all n samples, whether or not their attributes are known.
        clusters: number of lesions or patients, including those with a single sample.
        cluster_name: the column of clusters, "" if every sample is a cluster of its own.
        classes: class names.
        class_counts: class -> samples.
        positives: the positive classes.
        assumed_positive: whether the positive one of two classes was not named.
        hard: whether there are answers only and no probabilities, so no AUROC or calibration.
        exits: exit names; ("f",) for a plain model.
        policy: the early-exit policy, as fields of `fairexit.evaluation.policy.Policy`.
        baseline: name of the model to compare with, "" if there is none.
        n_resamples: bootstrap draws of the metrics of counts.
        n_score_resamples: bootstrap draws of AUROC and ECE.
        n_permutations: permutations behind each p-value.
        random_state: seed of draws and permutations.
        confidence_level: of the intervals.
        alpha: largest p-value that counts as more than chance.
        dataset: description of the prepared data (name, website, licence, skipped, leaks); empty
            if they are not available.
        versions: of fairexit, Python and numpy.
        notes: what a reader should know about how the tables were read.
        bounds: what was not computed in full because the table is large, one sentence each.
    """

    name: str
    title: str
    date: str
    source: str
    split: str
    n: int
    accuracy: Proportion
    clusters: int
    cluster_name: str
    classes: tuple[str, ...]
    class_counts: dict[str, int]
    positives: tuple[str, ...]
    assumed_positive: bool
    hard: bool
    exits: tuple[str, ...]
    policy: dict[str, Any]
    baseline: str
    n_resamples: int
    n_score_resamples: int
    n_permutations: int
    random_state: int
    confidence_level: float
    alpha: float
    dataset: dict[str, Any]
    versions: dict[str, str]
    notes: tuple[str, ...] = ()
    bounds: tuple[str, ...] = ()


@dataclass(frozen=True)
class AuditResults:
    """All results of an audit.

    Attributes:
        facts: the model, the data and the settings.
        attributes: one for each attribute, then one for the crossed attributes.
        slices: the search for the worst slices.
        cohorts: the comparison with another cohort, one for each attribute; empty without one.
    """

    facts: Facts
    attributes: tuple[AttributeAudit, ...]
    slices: SliceSearch
    cohorts: tuple[CohortComparison, ...] = ()


MAX_LISTED = 1_000_000
"""Numbers of an array up to which `plain` lists all of them."""


def plain(value: Any) -> Any:
    """A value for JSON: dataclasses as dicts, arrays as lists, NaN as None.

    An array of more than `MAX_LISTED` numbers, such as the counts of thousands of classes, becomes
    the list of those that are not 0, each as its indices and its value.
    """
    if isinstance(value, np.ndarray) and value.size > MAX_LISTED:
        places = np.argwhere(value)
        return [[*place, value[tuple(place)].item()] for place in places.tolist()]
    if is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(v) for key, v in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(v) for v in (value.tolist() if isinstance(value, np.ndarray) else value)]
    if isinstance(value, np.generic):
        return plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value
