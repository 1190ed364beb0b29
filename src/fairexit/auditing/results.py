"""The results of an audit as plain data: numbers with intervals, tests, and what they rest on.

`AuditResults` hold everything a report shows and nothing that grows with the number of rows, except
for a few ids. How they are worded and drawn is the business of `fairexit.report`. NaN stands where
no sample defines a value or an interval cannot be trusted.
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
"""The verdicts on a gap. That a gap could be chance is no proof that there is none."""


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval.

    Attributes:
        value: as measured on the samples.
        low: lower end, NaN where there is no interval to trust.
        high: upper end, likewise.
        note: why there is no interval or how far to trust it; "" if nothing is to be said.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    note: str = ""


@dataclass(frozen=True)
class Gap:
    """A gap between groups beside what chance alone would give.

    Attributes:
        metric: its key, one of the metrics that compare groups.
        estimate: the gap, with the interval of the true gaps under which it is no surprise.
        null_mean: mean of the gap when the groups do not matter (permuted clusters).
        null_quantile: 95 % quantile of the same; larger gaps are more than chance.
        p_value: share of permutations with a gap as large, the data's own among them.
        corrected: the true gap whose samples would show more than this one as often as less;
            0 where chance alone would.
        min_detectable_gap: the smallest true gap that this set of samples would find in 80 of 100
            cases; NaN where even the largest that was tried stays hidden.
        verdict: one of the verdicts above.
    """

    metric: str
    estimate: Estimate
    null_mean: float
    null_quantile: float
    p_value: float
    corrected: float
    min_detectable_gap: float
    verdict: str


@dataclass(frozen=True)
class ClassGap:
    """The range over groups of one rate of one class, one class against the rest.

    Attributes:
        name: the class.
        rate: tpr or fpr.
        estimate: largest minus smallest rate over the groups that are large enough.
        rates: group -> rate, NaN where the group has no sample behind it.
        samples: group -> samples behind the rate.
        clusters: group -> clusters behind the rate.
        too_small: groups with fewer clusters than can say anything; they are in no comparison.
        highest: group with the highest rate, "" where fewer than two groups can be compared.
        lowest: likewise.
        null_mean: mean of the gap when the groups do not matter.
        p_value: for this class alone, NaN where there are too few samples.
        p_adjusted: corrected for all classes and both rates that were tested.
        min_detectable_gap: the smallest true gap that would be found in 80 of 100 cases.
        verdict: one of the verdicts above.
    """

    name: str
    rate: str
    estimate: Estimate
    rates: dict[str, float]
    samples: dict[str, int]
    clusters: dict[str, int]
    too_small: tuple[str, ...]
    highest: str
    lowest: str
    null_mean: float
    p_value: float
    p_adjusted: float
    min_detectable_gap: float
    verdict: str


@dataclass(frozen=True)
class Slice:
    """Samples that share one or two attribute values, compared with all others.

    Attributes:
        values: attribute -> value.
        n: samples in it.
        clusters: clusters in it.
        errors: share of wrong answers in it.
        rest: share of wrong answers outside, weighted to the slice's mix of classes.
        excess: errors minus rest, with its interval.
        p_value: for this slice alone, one-sided.
        p_adjusted: corrected for every slice that was looked at.
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
    """The search over slices: what was looked at, and the worst ones.

    Attributes:
        worst: the slices with the smallest p-values first.
        searched: how many slices were looked at.
        skipped: how many were not: too small, without a class in common with the rest, or beyond
            the most that are.
        attributes: the columns that took part.
        left_out: column -> why it took no part.
        least: clusters that a slice needs.
    """

    worst: tuple[Slice, ...]
    searched: int
    skipped: int
    attributes: tuple[str, ...]
    left_out: dict[str, str]
    least: int


@dataclass(frozen=True)
class Clinical:
    """One class read as a disease that is there or not, by group.

    Attributes:
        positive: the class.
        groups: group -> measure -> number; the measures are sensitivity, specificity, ppv, npv,
            auroc (NaN for hard answers) and, if a cut could be chosen, `sensitivity_at` and
            `specificity_at`: both on these samples, at the cut.
        specificity: the specificity that the cut was chosen for.
        cut: smallest probability that counts as positive, chosen on validation; None without.
        reason: why there is no cut, "" where there is one.
    """

    positive: str
    groups: dict[str, dict[str, Estimate]]
    specificity: float
    cut: float | None
    reason: str


@dataclass(frozen=True)
class ExitRow:
    """One exit as one group uses it under the policy.

    Attributes:
        exit: its name, "f" the final one.
        group: the group.
        n: samples of the group that leave here.
        share: their share of the group, with its interval.
        accuracy: of those that leave here.
        cost: mean cost of one of them, as a share of the full network; NaN if not known.
        confusions: the most frequent errors here: (true class, answer, how often).
    """

    exit: str
    group: str
    n: int
    share: Estimate
    accuracy: Estimate
    cost: float
    confusions: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True)
class Leaving:
    """Who leaves where under the policy.

    Attributes:
        rows: exit by exit, in each group by group.
        mean_cost: group -> mean cost as a share of the full network; empty if not known.
        cost_reason: why the cost is not known, "" where it is.
        statistic: half the summed difference of exit shares between groups, in each class and
            weighted by its samples (total variation), the largest of any two groups.
        null_mean: its mean when the groups do not matter.
        p_value: permutation of whole clusters within their class profile.
        verdict: one of the verdicts above.
        first: ids that leave first, and surest.
        last: ids that leave last, and least sure.
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
    """What each theta would give on these samples; to look at, not to choose by.

    Attributes:
        thetas: in rising order, (T,).
        metrics: the main metrics by name -> (T,).
        shares: exit -> share of all samples that leaves there, (T,).
        cost: mean cost as a share of the full network, (T,); empty if not known.
        used: the policy's theta, NaN where it has several or none.
    """

    thetas: NDArray[np.float64]
    metrics: dict[str, NDArray[np.float64]]
    shares: dict[str, NDArray[np.float64]]
    cost: NDArray[np.float64]
    used: float


@dataclass(frozen=True)
class Paired:
    """A metric of the audited model beside the baseline's, on the same samples.

    Attributes:
        metric: its key.
        value: the audited model's, mean over seeds.
        baseline: the baseline's, mean over seeds.
        difference: value minus baseline, with the interval of the paired draws.
        values: the audited model's, seed by seed.
        baselines: the baseline's, seed by seed.
    """

    metric: str
    value: float
    baseline: float
    difference: Estimate
    values: tuple[float, ...]
    baselines: tuple[float, ...]


@dataclass(frozen=True)
class AttributeAudit:
    """Everything about one sensitive attribute, or about several crossed ones.

    Attributes:
        attribute: its name; crossed ones are joined by " x ".
        groups: its values.
        n: group -> samples.
        clusters: group -> clusters.
        unknown: samples without a known value; they are in no number here.
        counts: samples by group, true class and answer, (M, C, C): the confusion matrices.
        empty_cells: (group, class) pairs without a sample.
        by_group: group -> metric -> number: precision, recall, f1 (macro), accuracy and, with
            probabilities, auroc and ece.
        overall: metric -> number: precision, recall, f1 (means over groups), their `_diff`,
            accuracy, balanced_accuracy, worst_group_*, and, with probabilities, auroc and ece.
        gaps: the fairness gaps beside chance.
        approximate: the permutation test is approximate (clusters have unique class profiles).
        stuck: share of the samples whose cluster has no partner to swap groups with.
        bundled: clusters were put together at random before they were permuted.
        classes: the gaps class by class.
        clinical: one for each positive class asked for.
        leaving: who leaves where; None for a plain model.
        curve: metrics over theta; None for a plain model.
        paired: the comparison with the baseline; empty without one.
        seeds: metric -> one value for each seed; empty with one seed.
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
    clinical: tuple[Clinical, ...] = ()
    leaving: Leaving | None = None
    curve: Curve | None = None
    paired: tuple[Paired, ...] = ()
    seeds: dict[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """What was audited, and how.

    Attributes:
        name: of the model.
        source: file or folder, or "" for tables in memory.
        split: the split that was measured, "" if the rows name none.
        n: samples.
        clusters: lesions or patients, those of one sample included.
        cluster_name: the column, "" where every sample is its own.
        classes: class names.
        class_counts: class -> samples.
        hard: answers only, no probabilities: no AUROC, no calibration.
        exits: exit names; ("f",) for a plain model.
        policy: who leaves where: the fields of `fairexit.evaluation.policy.Policy`.
        baseline: name of the model compared with, "" without.
        n_resamples: bootstrap draws of the count metrics.
        n_score_resamples: bootstrap draws of AUROC and ECE.
        n_permutations: permutations behind each p-value.
        random_state: seed of draws and permutations.
        confidence_level: of the intervals.
        alpha: largest p-value called a difference.
        dataset: what the prepared data say of themselves (name, website, licence, skipped,
            leaks); empty where they are not at hand.
        versions: of fairexit, Python and numpy.
    """

    name: str
    source: str
    split: str
    n: int
    clusters: int
    cluster_name: str
    classes: tuple[str, ...]
    class_counts: dict[str, int]
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


@dataclass(frozen=True)
class AuditResults:
    """Everything that an audit measured.

    Attributes:
        facts: what was audited, and how.
        attributes: one for each attribute, then the crossed ones.
        slices: the search for the worst slices.
    """

    facts: Facts
    attributes: tuple[AttributeAudit, ...]
    slices: SliceSearch


def plain(value: Any) -> Any:
    """A value as JSON holds it: dataclasses as objects, arrays as lists, NaN as None."""
    if is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(v) for key, v in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(v) for v in (value.tolist() if isinstance(value, np.ndarray) else value)]
    if isinstance(value, np.generic):
        return plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value
