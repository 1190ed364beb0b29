"""Results of an audit's sections: dropout, slices, clinical rates, exits, and cohorts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.gap_results import Estimate, Proportion


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
class ReliabilityBin:
    """The samples whose confidence lies in one bin of the calibration error.

    Attributes:
        n: number of samples.
        confidence: their mean largest probability.
        accuracy: share of right answers.
    """

    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Reliability:
    """Whether one exit, or the policy, is as sure of its answers as it is right.

    Attributes:
        exit: name of the exit at which all samples leave, "f" for the final one; "" for the policy.
        group: the group, "" for all samples.
        n: number of samples.
        accuracy: share of right answers.
        excess: mean largest probability minus accuracy: above 0 where it is too sure.
        ece: expected calibration error.
        chance: the calibration error that chance alone gives a calibrated network.
        failure: how well confidence ranks right answers above wrong ones, as an AUROC.
        bins: the bins that hold samples, in ascending order of confidence.
    """

    exit: str
    group: str
    n: int
    accuracy: float
    excess: Estimate
    ece: float
    chance: float
    failure: Estimate
    bins: tuple[ReliabilityBin, ...]


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
